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

/** Seconds that a sparkline shows at least, and at most. */
const LEAST_S = 60;
const SPAN_S = 240;

/** Seconds between two points from which on the line breaks: nobody counted there. */
const GAP_S = 20;

export class Sparkline {
  /** @param {string} label what it shows, for who cannot see it */
  constructor(label) {
    this.area = s("path", { class: "area" });
    this.line = s("path", { class: "line" });
    this.node = s(
      "svg",
      {
        class: "spark",
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        preserveAspectRatio: "none",
        role: "img",
        "aria-label": label,
      },
      this.area,
      this.line,
    );
  }

  /**
   * @param {number[]} at unix times, the oldest first
   * @param {(number | null)[]} values one for each time; null where there is none
   */
  draw(at, values) {
    const { line, area } = paths(at, values);
    mark(this.line, "d", line);
    mark(this.area, "d", area);
  }
}

/**
 * The line and the area below it. The newest time is the right edge, zero the base.
 * @param {number[]} at
 * @param {(number | null)[]} values
 */
export function paths(at, values) {
  const end = at.at(-1) ?? 0;
  const span = Math.min(SPAN_S, Math.max(LEAST_S, end - (at[0] ?? end)));
  const top = Math.max(...values.map((value) => value ?? 0), 1e-9);
  const base = HEIGHT - 1;
  let line = "";
  let area = "";
  let before = -Infinity;
  values.forEach((value, index) => {
    const age = end - at[index];
    if (value === null || age > span) return;
    const x = (WIDTH * (1 - age / span)).toFixed(1);
    const y = (base - (value / top) * (HEIGHT - 3)).toFixed(1);
    const isOn = at[index] - before <= GAP_S;
    line += `${isOn ? "L" : "M"}${x} ${y}`;
    area += isOn ? `L${x} ${y}` : `${area && `V${base}`}M${x} ${base}V${y}`;
    before = at[index];
  });
  return { line, area: area && `${area}V${base}` };
}
