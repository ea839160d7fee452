// @ts-check
/**
 * The picture of the flow: clients on the left, workers, backends on the right.
 *
 * A line is as wide as its part of all requests, and strokes wander along it, faster the
 * more requests there are. What a worker sends to which backend is not known apart, so
 * all lines meet in one junction, and none is drawn that nobody measured.
 *
 * The strokes move by a timer, some steps each second and only while there is something
 * to see: an animation of the style sheet would be drawn anew sixty times.
 */

import { byId, mark, s, say } from "./dom.js";
import { count, rate, things } from "./format.js";
import { standing } from "./row.js";

/** Backends and workers that are drawn at most; the rest is one node together. */
const MOST_BACKENDS = 10;
const MOST_WORKERS = 6;

const STEP = 34;
const CAPTION = 20;
const BOX = 26;
const THICK = 22;
const MOVE_MS = 150;

/** The length in pixels after which the dashes of the style sheet repeat. */
const DASHES = 32;

/** Widths of a digit and of a letter of a title, in pixels, for what fits in a box. */
const DIGIT = 7.4;
const LETTER = 7.7;

/**
 * @typedef {object} Spot a node to be drawn
 * @property {string} key
 * @property {string} title
 * @property {number} rate
 * @property {string} tone
 * @property {string} note
 * @property {boolean} [isCut] whether nothing can flow there
 */

export class Flow {
  constructor() {
    this.holder = byId("flow-picture");
    this.about = byId("flow-about");
    this.picture = s("svg", { role: "img", "aria-label": "flow of requests" });
    this.holder.append(this.picture);
    this.width = this.holder.clientWidth;
    /** @type {{path: SVGPathElement, speed: number, at: number}[]} */
    this.moving = [];
    this.drawn = "";
    /** @type {import("./figures.js").Figures | null} */
    this.figures = null;
    new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry.contentRect.width);
      if (this.figures) this.tell(this.figures);
    }).observe(this.holder);
    this.isSeen = true;
    new IntersectionObserver(([entry]) => (this.isSeen = entry.isIntersecting)).observe(this.holder);
    this.isCalm = matchMedia("(prefers-reduced-motion: reduce)");
    setInterval(() => this.#move(), MOVE_MS);
  }

  /** @param {import("./figures.js").Figures} figures */
  tell(figures) {
    this.figures = figures;
    if (!this.width) return;
    const all = figures.all?.requests ?? 0;
    const workers = workerSpots(figures);
    const backends = backendSpots(figures);
    this.#draw(workers, backends, all, figures);
    const words = `${rate(all)} requests per second, through ${things(figures.latest.workers.length, "worker")} to ${things(figures.latest.backends.length, "backend")}`;
    mark(this.picture, "aria-label", words);
    say(this.about, "requests per second; lines are as wide as their share");
  }

  /**
   * @param {Spot[]} workers
   * @param {Spot[]} backends
   * @param {number} all
   * @param {import("./figures.js").Figures} figures
   */
  #draw(workers, backends, all, figures) {
    const width = this.width;
    const isNarrow = width < 560;
    const height = CAPTION + Math.max(workers.length, backends.length, 2) * STEP;
    const [boxA, boxB, boxC] = isNarrow ? [56, 66, 134] : [136, 136, Math.min(300, width * 0.28)];
    const middle = CAPTION + (height - CAPTION) / 2;
    const left = { x: 0, w: boxA };
    const mid = { x: isNarrow ? boxA + (width - boxA - boxB - boxC) * 0.36 : width * 0.29 - boxB / 4, w: boxB };
    const right = { x: width - boxC, w: boxC };
    const join = mid.x + mid.w + (right.x - mid.x - mid.w) * 0.36;
    this.picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.picture.setAttribute("width", String(width));
    this.picture.setAttribute("height", String(height));
    const lines = [];
    const total = Math.max(all, sumOf(workers), sumOf(backends));
    const thick = (/** @type {number} */ value) => (total ? (value / total) * THICK : 0);
    const ys = (/** @type {Spot[]} */ spots) => spots.map((_, at) => middle + (at - (spots.length - 1) / 2) * STEP);
    const workerYs = ys(workers);
    const backendYs = ys(backends);
    let from = middle - thick(sumOf(workers)) / 2;
    let into = middle - thick(sumOf(workers)) / 2;
    workers.forEach((spot, at) => {
      const half = thick(spot.rate) / 2;
      from += half;
      into += half;
      lines.push({ key: `in-${spot.key}`, d: curve(left.x + left.w, from, mid.x, workerYs[at]), spot, w: thick(spot.rate) });
      lines.push({ key: `join-${spot.key}`, d: curve(mid.x + mid.w, workerYs[at], join, into), spot, w: thick(spot.rate) });
      from += half;
      into += half;
    });
    let out = middle - thick(sumOf(backends)) / 2;
    backends.forEach((spot, at) => {
      const half = thick(spot.rate) / 2;
      out += half;
      lines.push({ key: `out-${spot.key}`, d: curve(join, out, right.x, backendYs[at]), spot, w: thick(spot.rate) });
      out += half;
    });
    this.#lines(lines);
    this.#captions([["Clients", left.x], ["Workers", mid.x], ["Backends", right.x]]);
    this.#junction(join, middle, Math.max(thick(sumOf(backends)), thick(sumOf(workers)), 3));
    const clients = { key: "clients", title: `${figures.latest.totals.connections} open`, rate: all, tone: "plain", note: "" };
    this.#nodes([
      { spot: clients, ...left, y: middle, isNarrow },
      ...workers.map((spot, at) => ({ spot, ...mid, y: workerYs[at], isNarrow })),
      ...backends.map((spot, at) => ({ spot, ...right, y: backendYs[at], isNarrow })),
    ]);
  }

  /** @param {{key: string, d: string, spot: Spot, w: number}[]} lines */
  #lines(lines) {
    const group = this.picture.querySelector(".lines") ?? this.picture.appendChild(s("g", { class: "lines" }));
    const shape = lines.map((line) => line.key).join();
    if (shape !== this.drawn) {
      this.drawn = shape;
      group.replaceChildren(...lines.map(() => s("g", { class: "line" }, s("path", { class: "bed" }), s("path", { class: "pulse" }))));
      this.moving = [];
    }
    this.moving = lines.map((line, at) => {
      const node = group.children[at];
      const [bed, pulse] = node.children;
      mark(node, "data-tone", line.spot.isCut ? line.spot.tone : "flow");
      mark(node, "data-cut", line.spot.isCut ? "yes" : null);
      mark(bed, "d", line.d);
      mark(pulse, "d", line.d);
      mark(bed, "stroke-width", Math.max(1.5, line.w).toFixed(1));
      mark(pulse, "stroke-width", Math.max(1.5, Math.min(line.w * 0.28, 3)).toFixed(1));
      mark(pulse, "visibility", line.spot.rate > 0 ? "visible" : "hidden");
      return { path: /** @type {SVGPathElement} */ (pulse), speed: line.spot.rate > 0 ? 2 + 3 * Math.log10(1 + line.spot.rate) : 0, at: this.moving[at]?.at ?? 0 };
    });
  }

  /** @param {{spot: Spot, x: number, y: number, w: number, isNarrow: boolean}[]} nodes */
  #nodes(nodes) {
    const group = this.picture.querySelector(".nodes") ?? this.picture.appendChild(s("g", { class: "nodes" }));
    while (group.children.length > nodes.length) group.lastElementChild.remove();
    nodes.forEach(({ spot, x, y, w, isNarrow }, at) => {
      const node = group.children[at] ?? group.appendChild(
        s("g", { class: "node" }, s("rect", { rx: 6 }), s("circle", { r: 4 }), s("text", { class: "title" }), s("text", { class: "value" }), s("title")));
      const [rect, dot, title, value, hint] = node.children;
      mark(node, "data-tone", spot.tone);
      mark(node, "transform", `translate(${x.toFixed(1)} ${(y - BOX / 2).toFixed(1)})`);
      mark(rect, "width", w.toFixed(1));
      mark(rect, "height", BOX);
      mark(dot, "cx", 12);
      mark(dot, "cy", BOX / 2);
      mark(title, "x", 23);
      mark(title, "y", BOX / 2 + 4);
      mark(value, "x", (w - 8).toFixed(1));
      mark(value, "y", BOX / 2 + 4);
      const shown = spot.isCut ? spot.note : rate(spot.rate);
      const room = Math.floor((w - 37 - shown.length * DIGIT) / LETTER);
      say(title, room < Math.min(5, spot.title.length) ? "" : cut(spot.title, room));
      say(value, shown);
      say(hint, [spot.title, `${rate(spot.rate)} requests per second`, spot.note].filter(Boolean).join(", "));
    });
  }

  /** @param {[string, number][]} captions */
  #captions(captions) {
    const group = this.picture.querySelector(".captions") ?? this.picture.appendChild(s("g", { class: "captions" }));
    captions.forEach(([text, x], at) => {
      const node = group.children[at] ?? group.appendChild(s("text", { y: 11, text }));
      mark(node, "x", x.toFixed(1));
    });
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} thick
   */
  #junction(x, y, thick) {
    const node = this.picture.querySelector(".junction") ?? this.picture.appendChild(s("rect", { class: "junction", rx: 3, width: 6 }));
    mark(node, "x", (x - 3).toFixed(1));
    mark(node, "y", (y - thick / 2 - 4).toFixed(1));
    mark(node, "height", (thick + 8).toFixed(1));
  }

  #move() {
    if (!this.isSeen || this.isCalm.matches || document.hidden) return;
    if (document.documentElement.dataset.stream !== "live") return;
    for (const line of this.moving) {
      if (!line.speed) continue;
      line.at = (line.at + line.speed * MOVE_MS / 300) % DASHES;
      line.path.style.strokeDashoffset = `${-line.at}px`;
    }
  }
}

/**
 * @param {number} x0
 * @param {number} y0
 * @param {number} x1
 * @param {number} y1
 */
function curve(x0, y0, x1, y1) {
  const half = (x0 + x1) / 2;
  const f = (/** @type {number} */ n) => n.toFixed(1);
  return `M${f(x0)} ${f(y0)}C${f(half)} ${f(y0)} ${f(half)} ${f(y1)} ${f(x1)} ${f(y1)}`;
}

/**
 * @param {string} text
 * @param {number} most
 */
function cut(text, most) {
  return text.length <= most ? text : `${text.slice(0, Math.max(1, most - 1))}…`;
}

/** @param {Spot[]} spots */
function sumOf(spots) {
  return spots.reduce((all, spot) => all + spot.rate, 0);
}

/** @param {import("./figures.js").Figures} figures */
function workerSpots(figures) {
  /** @type {Spot[]} */
  const spots = figures.latest.workers.map((/** @type {any} */ worker) => ({
    key: `w${worker.pid}`,
    title: String(worker.pid),
    rate: figures.workers.get(worker.pid) ?? 0,
    tone: worker.behind || worker.heartbeat_age_s > 5 ? "warn" : "good",
    note: "",
  }));
  return together(spots, MOST_WORKERS, "workers");
}

/** The backends that matter most: those in trouble and those with most requests. */
function backendSpots(/** @type {import("./figures.js").Figures} */ figures) {
  /** @type {Spot[]} */
  const spots = figures.latest.backends.map((/** @type {any} */ backend) => {
    const { tone, word } = standing(backend);
    const each = figures.backends.get(backend.id)?.attempts ?? 0;
    return {
      key: `b${backend.id}`, title: backend.name, rate: each, tone, note: word,
      isCut: !each && (tone === "bad" || tone === "calm"),
    };
  });
  if (spots.length <= MOST_BACKENDS) return spots;
  const first = new Set(spots.filter((spot) => spot.tone === "bad").slice(0, MOST_BACKENDS / 2));
  for (const spot of [...spots].sort((a, b) => b.rate - a.rate)) {
    if (first.size < MOST_BACKENDS - 1) first.add(spot);
  }
  return together([...first, ...spots.filter((spot) => !first.has(spot))], MOST_BACKENDS, "backends");
}

/**
 * @param {Spot[]} spots
 * @param {number} most
 * @param {string} what
 */
function together(spots, most, what) {
  if (spots.length <= most) return spots;
  const rest = spots.slice(most - 1);
  /** @type {Spot} */
  const one = { key: `more-${what}`, title: `${count(rest.length)} more ${what}`, rate: sumOf(rest), tone: "plain", note: "" };
  return [...spots.slice(0, most - 1), one];
}
