// @ts-check
/**
 * The picture of the flow: clients on the left, workers, backends on the right.
 *
 * A line is as wide as its part of all requests, and strokes wander along it, faster the
 * more requests there are. Where all of it lies is worked out in `flow_layout.js`; here
 * it is drawn.
 *
 * The strokes move by a timer, some steps each second and only while there is something
 * to see: an animation of the style sheet would be drawn anew sixty times.
 */

import { byId, mark, s, say } from "./dom.js";
import { layout, spotsOf } from "./flow_layout.js";
import { rate, things } from "./format.js";

const MOVE_MS = 150;

/** The length in pixels after which the dashes of the style sheet repeat. */
const DASHES = 32;

/** Widths of a digit and of a letter of a title, in pixels, for what fits in a box. */
const DIGIT = 7.4;
const LETTER = 7.7;

export class Flow {
  constructor() {
    const holder = byId("flow-picture");
    this.about = byId("flow-about");
    this.lines = s("g", { class: "lines" });
    this.captions = s("g", { class: "captions" });
    this.junction = s("rect", { class: "junction", rx: 3, width: 6 });
    this.nodes = s("g", { class: "nodes" });
    this.picture = s(
      "svg",
      { role: "img", "aria-label": "flow of requests" },
      this.lines,
      this.captions,
      this.junction,
      this.nodes,
    );
    holder.append(this.picture);
    this.width = holder.clientWidth;
    /** @type {{path: SVGElement, speed: number, at: number}[]} */
    this.moving = [];
    this.drawn = "";
    /** @type {import("./figures.js").Figures | null} */
    this.figures = null;
    new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry.contentRect.width);
      if (this.figures) this.tell(this.figures);
    }).observe(holder);
    this.isSeen = true;
    new IntersectionObserver(([entry]) => (this.isSeen = entry.isIntersecting)).observe(
      holder,
    );
    this.isCalm = matchMedia("(prefers-reduced-motion: reduce)");
    setInterval(() => this.#move(), MOVE_MS);
  }

  /** @param {import("./figures.js").Figures} figures */
  tell(figures) {
    this.figures = figures;
    if (!this.width) return;
    const found = layout(spotsOf(figures), this.width);
    mark(this.picture, "viewBox", `0 0 ${this.width} ${found.height}`);
    mark(this.picture, "width", this.width);
    mark(this.picture, "height", found.height);
    this.#drawLines(found.lines);
    this.#drawCaptions(found.captions);
    this.#drawNodes(found.nodes);
    mark(this.junction, "x", (found.junction.x - 3).toFixed(1));
    mark(this.junction, "y", found.junction.y.toFixed(1));
    mark(this.junction, "height", found.junction.height.toFixed(1));
    const { workers, backends } = figures.latest;
    mark(
      this.picture,
      "aria-label",
      `${rate(figures.all?.requests)} requests per second, through ${things(workers.length, "worker")} to ${things(backends.length, "backend")}`,
    );
    say(this.about, "requests per second; lines are as wide as their share");
  }

  /** @param {import("./flow_layout.js").Line[]} lines */
  #drawLines(lines) {
    const shape = lines.map((line) => line.key).join();
    if (shape !== this.drawn) {
      this.drawn = shape;
      this.lines.replaceChildren(
        ...lines.map(() =>
          s(
            "g",
            { class: "line" },
            s("path", { class: "bed" }),
            s("path", { class: "pulse" }),
          ),
        ),
      );
      this.moving = [];
    }
    this.moving = lines.map(({ d, spot, width }, at) => {
      const node = this.lines.children[at];
      const [bed, pulse] = node.children;
      mark(node, "data-tone", spot.isCut ? spot.tone : "flow");
      mark(bed, "d", d);
      mark(pulse, "d", d);
      mark(bed, "stroke-width", Math.max(1.5, width).toFixed(1));
      mark(pulse, "stroke-width", Math.max(1.5, Math.min(width * 0.28, 3)).toFixed(1));
      mark(pulse, "visibility", spot.rate > 0 ? "visible" : "hidden");
      const speed = spot.rate > 0 ? 1 + 1.5 * Math.log10(1 + spot.rate) : 0;
      return { path: pulse, speed, at: this.moving[at]?.at ?? 0 };
    });
  }

  /** @param {[string, number][]} captions */
  #drawCaptions(captions) {
    captions.forEach(([text, x], at) => {
      const node =
        this.captions.children[at] ??
        this.captions.appendChild(s("text", { y: 11, text }));
      mark(node, "x", x.toFixed(1));
    });
  }

  /** @param {import("./flow_layout.js").Placed[]} nodes */
  #drawNodes(nodes) {
    while (this.nodes.children.length > nodes.length)
      this.nodes.lastElementChild.remove();
    nodes.forEach((placed, at) => {
      const node = this.nodes.children[at] ?? this.nodes.appendChild(newNode());
      drawNode(node, placed);
    });
  }

  #move() {
    if (!this.isSeen || this.isCalm.matches || document.hidden) return;
    if (document.documentElement.dataset.stream !== "live") return;
    for (const line of this.moving) {
      if (!line.speed) continue;
      line.at = (line.at + line.speed) % DASHES;
      line.path.style.strokeDashoffset = `${-line.at}px`;
    }
  }
}

function newNode() {
  return s(
    "g",
    { class: "node" },
    s("rect", { rx: 6 }),
    s("circle", { r: 4, cx: 12 }),
    s("text", { class: "title", x: 23 }),
    s("text", { class: "value" }),
    s("title"),
  );
}

/**
 * @param {Element} node
 * @param {import("./flow_layout.js").Placed} placed
 */
function drawNode(node, { spot, x, y, width, height }) {
  const [rect, dot, title, value, hint] = node.children;
  const line = height / 2 + 4;
  mark(node, "data-tone", spot.tone);
  mark(node, "transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
  mark(rect, "width", width.toFixed(1));
  mark(rect, "height", height);
  mark(dot, "cy", height / 2);
  mark(title, "y", line);
  mark(value, "x", (width - 8).toFixed(1));
  mark(value, "y", line);
  const shown = spot.isCut ? spot.note : rate(spot.rate);
  const room = Math.floor((width - 37 - shown.length * DIGIT) / LETTER);
  say(title, room < Math.min(5, spot.title.length) ? "" : shortened(spot.title, room));
  say(value, shown);
  say(
    hint,
    [spot.title, `${rate(spot.rate)} requests per second`, spot.note]
      .filter(Boolean)
      .join(", "),
  );
}

/**
 * @param {string} text
 * @param {number} most
 */
function shortened(text, most) {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
