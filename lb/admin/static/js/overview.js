// @ts-check
/**
 * The first line of the page: can it serve, in words, and the figures of all requests.
 */

import { Sparkline } from "./chart.js";
import { byId, h, mark, say } from "./dom.js";
import { count, latency, percent, rate, span, things } from "./format.js";
import { standing } from "./standing.js";

/**
 * @typedef {object} State
 * @property {"ok" | "warning" | "down"} level
 * @property {boolean} isLoud whether it fills the width of the page
 * @property {string} words
 * @property {string} why
 */

/**
 * What a snapshot comes to, the worst first. Pure.
 * @param {any} snapshot
 * @returns {State}
 */
export function stateOf(snapshot) {
  const { sets, workers, backends, checker_pid: checker } = snapshot;
  const empty = sets.filter((/** @type {any} */ each) => !each.available);
  const names = (/** @type {any[]} */ some) => some.map((each) => each.name).join(", ");
  if (!workers.length) {
    return loud(
      "down",
      "No worker is alive",
      "Nobody is served until gunicorn has started one.",
    );
  }
  if (empty.length === sets.length) {
    return loud("down", "Nothing is available", whyNothing(backends));
  }
  if (empty.length) {
    return loud(
      "down",
      `Nothing is available in ${names(empty)}`,
      "Requests to it are answered 503.",
    );
  }
  const panicking = sets.filter((/** @type {any} */ each) => each.is_panic);
  if (panicking.length) {
    return loud(
      "warning",
      `Panic: too few are available in ${names(panicking)}`,
      "All backends that can be connected to get requests, also those that fail their checks.",
    );
  }
  if (checker === null) {
    return loud(
      "warning",
      "Nobody checks health",
      "Verdicts stay as they are until a checker runs.",
    );
  }
  return ordinary(backends);
}

/**
 * @param {"warning" | "down"} level
 * @param {string} words
 * @param {string} why
 * @returns {State}
 */
function loud(level, words, why) {
  return { level, isLoud: true, words, why };
}

/** @param {any[]} backends */
function whyNothing(backends) {
  const out = backends.filter((each) => each.wish !== "ready").length;
  const taken = out
    ? ` ${things(out, "backend")} ${out === 1 ? "is" : "are"} taken out by the operator.`
    : "";
  return `Requests are answered 503, or wait for queue.hold.${taken}`;
}

/**
 * @param {any[]} backends
 * @returns {State}
 */
function ordinary(backends) {
  const available = backends.filter((each) => each.available).length;
  const out = backends.filter((each) => each.wish !== "ready");
  const bad = backends.filter((each) => each.wish === "ready" && !each.available);
  const words = `${count(available)} of ${things(backends.length, "backend")} available`;
  const parts = [];
  if (bad.length)
    parts.push(listed(bad, (each) => `${each.name} ${standing(each).word}`));
  if (out.length)
    parts.push(`${listed(out, (each) => each.name)} taken out by the operator`);
  return {
    level: bad.length ? "warning" : "ok",
    isLoud: false,
    words,
    why: parts.join("; "),
  };
}

/**
 * @param {any[]} backends
 * @param {(backend: any) => string} words
 */
function listed(backends, words) {
  const first = backends.slice(0, 3).map(words);
  const more = backends.length - first.length;
  return first.join(", ") + (more ? ` and ${count(more)} more` : "");
}

/** The figures: name, and what it is of. */
const TILES = /** @type {const} */ ([
  ["requests", "Requests", "per second"],
  ["errors", "Errors", "answers with 5xx"],
  ["p50", "p50", "last minute"],
  ["p99", "p99", "last minute"],
  ["flying", "In flight", "at backends"],
  ["clients", "Clients", "connections open"],
]);

export class Overview {
  constructor() {
    this.state = byId("state");
    this.words = byId("state-words");
    this.why = byId("state-why");
    /** @type {Record<string, HTMLElement>} */
    this.values = {};
    /** @type {Record<string, HTMLElement>} */
    this.notes = {};
    const list = h("dl", { class: "tiles" });
    for (const [key, name, about] of TILES) {
      this.values[key] = h("dd", { class: "value", text: "–" });
      this.notes[key] = h("dd", { class: "note", text: about });
      list.append(
        h(
          "div",
          { class: "tile", data: { figure: key } },
          h("dt", { text: name }),
          this.values[key],
          this.notes[key],
        ),
      );
    }
    this.requests = new Sparkline("requests per second, last minutes");
    this.p99 = new Sparkline("p99, last minutes");
    list.children[0].append(h("dd", { class: "chart" }, this.requests.node));
    list.children[3].append(h("dd", { class: "chart" }, this.p99.node));
    byId("figures").append(list);
  }

  /** @param {State} state */
  show({ level, isLoud, words, why }) {
    mark(this.state, "data-level", level);
    mark(this.state, "data-loud", isLoud ? "yes" : null);
    say(this.words, words);
    say(this.why, why);
  }

  /** @param {import("./series.js").Series} series */
  draw({ at, all }) {
    this.requests.draw(at, all.rate);
    this.p99.draw(at, all.p99_s);
  }

  /** @param {import("./figures.js").Figures} figures */
  tell(figures) {
    const snapshot = figures.latest;
    if (!snapshot) return;
    const { all } = figures;
    const flying = snapshot.workers.reduce(
      (/** @type {number} */ n, /** @type {any} */ w) => n + w.in_flight,
      0,
    );
    say(this.values.requests, rate(all?.requests));
    say(
      this.values.errors,
      percent(all && all.requests ? all.errors / all.requests : all && 0),
    );
    mark(this.values.errors, "data-tone", all && all.errors ? "bad" : null);
    say(this.values.p50, latency(snapshot.latency?.p50_s));
    say(this.values.p99, latency(snapshot.latency?.p99_s));
    const seconds = snapshot.latency_window_s;
    const lately = `last ${seconds > 50 ? "minute" : span(seconds || 1)}`;
    say(this.notes.p50, lately);
    say(this.notes.p99, lately);
    say(this.values.flying, count(flying));
    say(this.values.clients, count(snapshot.totals.connections));
  }
}
