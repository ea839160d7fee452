// @ts-check
/**
 * The last minutes in steps: what the server kept before the page was opened, then on.
 *
 * All rows share one list of times, so a row is two plain arrays as long as that: 4 MB
 * for 2,000 backends. A backend that had nothing to do has no row.
 */

import { call } from "./api.js";

/** Steps that are kept, as many as the server keeps. */
const STEPS = 120;

/** @typedef {{rate: number[], p99_s: (number | null)[]}} Steps as long as `at` */

export class Series {
  constructor() {
    /** @type {number[]} unix times at which steps ended, the oldest first */
    this.at = [];
    /** @type {Steps} */
    this.all = { rate: [], p99_s: [] };
    /** @type {Map<string, Steps>} by backend's name */
    this.rows = new Map();
  }

  /** Begins with what the server has kept. */
  async load() {
    const { at, all, backends } = await call("GET", "/api/v1/history");
    this.at = at;
    this.all = all;
    this.rows = new Map(Object.entries(backends));
  }

  /**
   * Takes in the step that a snapshot holds, if it is a new one.
   * @param {any} snapshot
   */
  take({ step_at: at, step, backends }) {
    if (at === null || at <= (this.at.at(-1) ?? 0) + 0.01) return;
    const before = this.at.length;
    this.at.push(at);
    push(this.all, step);
    for (const backend of backends) {
      let row = this.rows.get(backend.name);
      if (!row && !backend.step) continue;
      if (!row) {
        row = { rate: Array(before).fill(0), p99_s: Array(before).fill(null) };
        this.rows.set(backend.name, row);
      }
      push(row, backend.step);
    }
    for (const [name, row] of this.rows)
      if (row.rate.length <= before) this.rows.delete(name);
    if (this.at.length > STEPS) this.#shift();
  }

  #shift() {
    this.at.shift();
    for (const row of [this.all, ...this.rows.values()]) {
      row.rate.shift();
      row.p99_s.shift();
    }
  }
}

/**
 * @param {Steps} row
 * @param {{rate: number, p99_s: number | null} | null} step
 */
function push(row, step) {
  row.rate.push(step?.rate ?? 0);
  row.p99_s.push(step?.p99_s ?? null);
}
