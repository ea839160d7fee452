// @ts-check
/**
 * Sparklines: the last minutes of one figure as a line over a soft area.
 *
 * Some forty lines of SVG instead of a library: there are two per row, without axes,
 * legends or zoom, and a library of 50 KB would be loaded to draw a path. Time runs
 * evenly from left to right, so a gap in what is known is a gap in the line.
 */

import { mark, s } from "./dom.js";

const WIDTH = 120;
const HEIGHT = 24;

/** Seconds that a sparkline shows. */
export const SPAN_S = 240;

/** Seconds without a point after which the line breaks. */
const GAP_S = 7;

/**
 * A point is a unix time and a value; null is no value.
 * @typedef {[number, number | null]} Point
 */

export class Sparkline {
  /** @param {string} label what it shows, for who cannot see it */
  constructor(label) {
    this.area = s("path", { class: "area" });
    this.line = s("path", { class: "line" });
    this.node = s(
      "svg",
      {
        class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none",
        role: "img", "aria-label": label,
      },
      this.area,
      this.line,
    );
  }

  /**
   * @param {Point[]} points the oldest first
   * @param {number} now unix time at the right edge
   */
  draw(points, now) {
    let top = 0;
    for (const [, value] of points) if (value !== null && value > top) top = value;
    const { line, area } = paths(points, now, top || 1);
    mark(this.line, "d", line);
    mark(this.area, "d", area);
  }
}

/**
 * @param {Point[]} points
 * @param {number} now
 * @param {number} top
 */
function paths(points, now, top) {
  let line = "";
  let area = "";
  let last = null;
  const base = HEIGHT - 1;
  for (const [at, value] of points) {
    if (value === null || at < now - SPAN_S) continue;
    const x = (WIDTH * (1 - (now - at) / SPAN_S)).toFixed(1);
    const y = (base - (value / top) * (HEIGHT - 3)).toFixed(1);
    if (last === null || at - last.at > GAP_S) {
      if (last) area += `V${base}Z`;
      line += `M${x} ${y}`;
      area += `M${x} ${base}V${y}`;
    } else {
      line += `L${x} ${y}`;
      area += `L${x} ${y}`;
    }
    last = { at };
  }
  return { line, area: last ? `${area}V${base}Z` : "" };
}
