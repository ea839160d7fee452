// @ts-check
/**
 * Where everything lies in the picture of the flow. Pure: figures in, places out.
 *
 * What a worker sends to which backend is not known apart, so all lines meet in one
 * junction, and none is drawn that nobody measured. Lines that leave a place lie beside
 * each other there, as wide as their rates, so widths add up on both sides.
 */

import { count } from "./format.js";
import { standing } from "./standing.js";

/** Backends and workers that are drawn at most; the rest is one node together. */
const MOST_BACKENDS = 10;
const MOST_WORKERS = 6;

/** Pixels: from node to node, a node's height, the line of captions, all requests. */
const STEP = 34;
const BOX = 26;
const CAPTION = 20;
const THICK = 22;

const NARROW = 560;

/** Seconds without a heartbeat after which a worker looks stuck. */
const LATE_S = 5;

/**
 * @typedef {object} Spot a node to be drawn
 * @property {string} key
 * @property {string} title
 * @property {number} rate requests each second
 * @property {string} tone
 * @property {string} note
 * @property {boolean} [isCut] whether nothing flows there, and `note` says why
 */

/** @typedef {{clients: Spot, workers: Spot[], backends: Spot[]}} Spots */
/** @typedef {{key: string, d: string, spot: Spot, width: number}} Line */
/** @typedef {{spot: Spot, x: number, y: number, width: number, height: number}} Placed */
/** @typedef {{x: number, width: number}} Lane */

/**
 * What is to be drawn of these figures.
 * @param {import("./figures.js").Figures} figures
 * @returns {Spots}
 */
export function spotsOf(figures) {
  const { totals, workers, backends } = figures.latest;
  return {
    clients: {
      key: "clients",
      title: `${count(totals.connections)} open`,
      rate: figures.all?.requests ?? 0,
      tone: "plain",
      note: "",
    },
    workers: together(
      workers.map((/** @type {any} */ each) => workerSpot(each, figures)),
      MOST_WORKERS,
      "workers",
    ),
    backends: together(
      worst(backends.map((/** @type {any} */ each) => backendSpot(each, figures))),
      MOST_BACKENDS,
      "backends",
    ),
  };
}

/**
 * @param {any} worker
 * @param {import("./figures.js").Figures} figures
 * @returns {Spot}
 */
function workerSpot(worker, figures) {
  const isOdd = worker.behind || worker.heartbeat_age_s > LATE_S;
  return {
    key: `w${worker.pid}`,
    title: String(worker.pid),
    rate: figures.workers.get(worker.pid) ?? 0,
    tone: isOdd ? "warn" : "good",
    note: isOdd ? "late or behind" : "",
  };
}

/**
 * @param {any} backend
 * @param {import("./figures.js").Figures} figures
 * @returns {Spot}
 */
function backendSpot(backend, figures) {
  const { tone, word } = standing(backend);
  const each = figures.backends.get(backend.id)?.attempts ?? 0;
  return {
    key: `b${backend.id}`,
    title: backend.name,
    rate: each,
    tone,
    note: word,
    isCut: !each && (tone === "bad" || tone === "calm"),
  };
}

/**
 * Those that matter first, where there are too many: in trouble, or with most requests.
 * @param {Spot[]} spots
 */
function worst(spots) {
  if (spots.length <= MOST_BACKENDS) return spots;
  const first = new Set(
    spots.filter((spot) => spot.tone === "bad").slice(0, MOST_BACKENDS / 2),
  );
  for (const spot of [...spots].sort((a, b) => b.rate - a.rate)) {
    if (first.size >= MOST_BACKENDS - 1) break;
    first.add(spot);
  }
  return [...first, ...spots.filter((spot) => !first.has(spot))];
}

/**
 * @param {Spot[]} spots
 * @param {number} most
 * @param {string} what
 * @returns {Spot[]}
 */
function together(spots, most, what) {
  if (spots.length <= most) return spots;
  const rest = spots.slice(most - 1);
  const title = `${count(rest.length)} more ${what}`;
  return [
    ...spots.slice(0, most - 1),
    { key: `more-${what}`, title, rate: sumOf(rest), tone: "plain", note: "" },
  ];
}

/**
 * @param {Spots} spots
 * @param {number} width of the picture in pixels
 */
export function layout({ clients, workers, backends }, width) {
  const [left, middle, right] = lanes(width);
  const height = CAPTION + Math.max(workers.length, backends.length, 2) * STEP;
  const axis = CAPTION + (height - CAPTION) / 2;
  const total = Math.max(clients.rate, sumOf(workers), sumOf(backends));
  const thick = (/** @type {number} */ value) => (total ? (value / total) * THICK : 0);
  const join = middle.x + middle.width + (right.x - middle.x - middle.width) * 0.36;
  const lines = [
    ...fan(workers, { x: left.width, axis }, middle.x, thick),
    ...fan(workers, { x: join, axis }, middle.x + middle.width, thick),
    ...fan(backends, { x: join, axis }, right.x, thick),
  ];
  const stem = Math.max(thick(sumOf(backends)), thick(sumOf(workers)), 3) + 8;
  return {
    height,
    lines,
    nodes: [
      ...column([clients], left, axis),
      ...column(workers, middle, axis),
      ...column(backends, right, axis),
    ],
    captions: /** @type {[string, number][]} */ ([
      ["Clients", left.x],
      ["Workers", middle.x],
      ["Backends", right.x],
    ]),
    junction: { x: join, y: axis - stem / 2, height: stem },
  };
}

/**
 * Where the three columns stand.
 * @param {number} width
 * @returns {[Lane, Lane, Lane]}
 */
function lanes(width) {
  const isNarrow = width < NARROW;
  const [a, b, c] = isNarrow ? [56, 66, 134] : [136, 136, Math.min(300, width * 0.28)];
  const x = isNarrow ? a + (width - a - b - c) * 0.36 : width * 0.29 - b / 4;
  return [
    { x: 0, width: a },
    { x, width: b },
    { x: width - c, width: c },
  ];
}

/**
 * @param {Spot[]} spots
 * @param {Lane} lane
 * @param {number} axis
 * @returns {Placed[]}
 */
function column(spots, { x, width }, axis) {
  return spots.map((spot, at) => ({
    spot,
    x,
    y: level(at, spots.length, axis) - BOX / 2,
    width,
    height: BOX,
  }));
}

/**
 * Lines between one point, where they lie beside each other, and a node each.
 * @param {Spot[]} spots
 * @param {{x: number, axis: number}} from
 * @param {number} x where the nodes begin or end
 * @param {(rate: number) => number} thick
 * @returns {Line[]}
 */
function fan(spots, from, x, thick) {
  let edge = from.axis - thick(sumOf(spots)) / 2;
  return spots.map((spot, at) => {
    const width = thick(spot.rate);
    const point = { x: from.x, y: edge + width / 2 };
    const node = { x, y: level(at, spots.length, from.axis) };
    edge += width;
    const d = from.x < x ? curve(point, node) : curve(node, point);
    return { key: `${from.x < x ? "to" : "from"}-${spot.key}`, d, spot, width };
  });
}

/**
 * @param {number} at
 * @param {number} many
 * @param {number} axis
 */
function level(at, many, axis) {
  return axis + (at - (many - 1) / 2) * STEP;
}

/**
 * @param {{x: number, y: number}} from
 * @param {{x: number, y: number}} to
 */
function curve(from, to) {
  const half = (from.x + to.x) / 2;
  const points = [half, from.y, half, to.y, to.x, to.y].map((each) => each.toFixed(1));
  return `M${from.x.toFixed(1)} ${from.y.toFixed(1)}C${points.join(" ")}`;
}

/** @param {Spot[]} spots */
function sumOf(spots) {
  return spots.reduce((all, spot) => all + spot.rate, 0);
}
