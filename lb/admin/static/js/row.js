// @ts-check
/**
 * One backend's row: its cells are made once, and only what changed is set again.
 */

import { Sparkline } from "./chart.js";
import { h, mark, say } from "./dom.js";
import { count, latency, percent, rate, span } from "./format.js";

/**
 * What a backend is at, in one word with its meaning: the table and the flow say the same.
 * @param {any} backend
 * @returns {{word: string, tone: "good" | "bad" | "warn" | "calm" | "plain"}}
 */
export function standing(backend) {
  const { wish, verdict, in_flight: flying } = backend;
  if (wish === "drain") return { word: flying ? `draining, ${flying} left` : "drained", tone: "calm" };
  if (wish === "maint") return { word: flying ? `maint, ${flying} left` : "maintenance", tone: "calm" };
  if (verdict === "down") return { word: "down", tone: "bad" };
  if (backend.ejected) return { word: "ejected", tone: "bad" };
  if (backend.is_gone || backend.share === 0) return { word: "asks for none", tone: "warn" };
  if (verdict === "unknown") return { word: "not checked yet", tone: "plain" };
  if (backend.share < 100) return { word: `up, at ${backend.share} %`, tone: "warn" };
  return { word: "up", tone: "good" };
}

/**
 * The verdict as tests and styles know it.
 * @param {any} backend
 */
export function verdictOf(backend) {
  return backend.ejected && backend.verdict !== "down" ? "ejected" : backend.verdict;
}

/** @typedef {{at: number, who: string}} Wished since when, and by whom */

/**
 * Since when it is at that; 0 where that is not known.
 * @param {any} backend
 * @param {Wished | undefined} wished
 */
export function sinceWhen(backend, wished) {
  if (backend.wish !== "ready") return wished?.at ?? 0;
  if (backend.verdict !== "down" && backend.ejected) return backend.ejected.at;
  return backend.since ?? 0;
}

/**
 * Why it is so, in a few words, where it is not plainly well.
 * @param {any} backend
 * @param {number} now the server's time
 * @param {Wished} [wished]
 */
export function because(backend, now, wished) {
  const { wish, cut_at: cutAt, in_flight: flying, ejected, verdict } = backend;
  if (wish !== "ready" && cutAt && flying) return `cut in ${span(cutAt - now)}`;
  if (wish !== "ready") return wished ? `by ${wished.who}` : "by the operator";
  if (verdict === "down") return backend.reason;
  if (ejected) return `${ejected.why}; back in ${span(ejected.until - now)}`;
  if (backend.share < 100 && verdict === "up") return "of its weight, growing";
  return "";
}

/** @type {[string, string][]} the operator's wishes: name, and what it does */
const WISHES = [
  ["ready", "it gets requests again"],
  ["drain", "it gets nothing new; what is under way goes on"],
  ["maint", "drain it, and check it no more"],
];

/** @type {Record<string, string>} names of figures, where a row is a card */
const LABELS = {
  rate: "req/s", share: "Share", errors: "Errors", p50: "p50", p95: "p95", p99: "p99",
  flying: "In flight", probes: "Probes", weight: "Weight",
};

/** The modes of a demo backend that the page can ask for. */
const MODES = ["slow", "failing", "hanging", "dead"];

/** @type {import("./series.js").Steps} of a backend that had nothing to do */
const NO_STEPS = { rate: [], p99_s: [] };

/**
 * @typedef {object} Hands what buttons do
 * @property {(name: string) => void} open
 * @property {(name: string, wish: any) => void} wish
 * @property {(name: string) => void} weight
 * @property {(name: string, mode: string) => void} demo
 */

export class Row {
  /**
   * @param {string} name
   * @param {Hands} hands
   */
  constructor(name, hands) {
    this.name = name;
    this.#make(name, hands);
    this.node = h("tr", { role: "row", data: { backend: name } }, ...Object.values(this.cells));
  }

  /**
   * @param {string} name
   * @param {Hands} hands
   */
  #make(name, hands) {
    const cell = (/** @type {string} */ kind, /** @type {any[]} */ ...inner) =>
      h("td", { role: "cell", class: `c-${kind}`, "data-label": LABELS[kind] }, ...inner);
    this.open = h("button", { class: "link name", type: "button", title: "why is it as it is?", text: name, onclick: () => hands.open(name) });
    this.place = h("span", { class: "aside mono" });
    this.word = h("span", { class: "chip" });
    this.since = h("span", { class: "aside" });
    this.why = h("span", { class: "aside why" });
    this.rateText = h("span", { class: "figure" });
    this.rates = new Sparkline(`requests per second of ${name}`);
    this.shareText = h("span", { class: "figure" });
    this.shareBar = h("span", { class: "bar" }, h("span"));
    this.errors = h("span", { class: "figure" });
    this.errorsKind = h("span", { class: "aside" });
    this.p50 = h("span", { class: "figure" });
    this.p95 = h("span", { class: "figure" });
    this.p99 = h("span", { class: "figure" });
    this.p99s = new Sparkline(`p99 of ${name}`);
    this.flying = h("span", { class: "figure" });
    this.limit = h("span", { class: "aside" });
    this.probes = h("span", { class: "probes", role: "img" });
    this.weight = h("button", { class: "weight", type: "button", data: { action: "weight" }, "aria-label": `weight of ${name}`, onclick: () => hands.weight(name) });
    this.wishes = WISHES.map(([wish, about]) =>
      h("button", { type: "button", data: { action: wish }, title: about, "aria-label": `${wish} ${name}`, text: wish, onclick: () => hands.wish(name, wish) }));
    this.trouble = h("span", { class: "trouble" });
    this.modes = MODES.map((mode) =>
      h("button", { type: "button", data: { demo: mode }, title: `let it be ${mode} for some seconds`, "aria-label": `make ${name} ${mode}`, text: mode, onclick: () => hands.demo(name, mode) }));
    this.ordered = h("span", { class: "aside" });
    this.demo = h("span", { class: "demo", role: "group", "aria-label": `demo: let ${name} misbehave`, hidden: true }, ...this.modes, this.ordered);
    this.cells = {
      name: h("th", { role: "rowheader", scope: "row", class: "c-name" }, this.open, this.place),
      state: cell("state", this.word, this.since, this.why),
      rate: cell("rate", this.rateText, this.rates.node),
      share: cell("share", this.shareText, this.shareBar),
      errors: cell("errors", this.errors, this.errorsKind),
      p50: cell("p50", this.p50),
      p95: cell("p95", this.p95),
      p99: cell("p99", this.p99, this.p99s.node),
      flying: cell("flying", this.flying, this.limit),
      probes: cell("probes", this.probes),
      weight: cell("weight", this.weight),
      actions: cell("actions", h("span", { class: "segments", role: "group", "aria-label": `what is wanted of ${name}` }, ...this.wishes), this.demo, this.trouble),
    };
  }

  /**
   * @param {any} backend
   * @param {import("./figures.js").Figures} figures
   * @param {Wished} [wished]
   */
  tell(backend, figures, wished) {
    const now = figures.now();
    const { word, tone } = standing(backend);
    mark(this.node, "data-verdict", verdictOf(backend));
    mark(this.node, "data-wish", backend.wish);
    mark(this.node, "data-tone", tone);
    say(this.place, [backend.address, backend.set !== "default" && backend.set, backend.backup && "backup"].filter(Boolean).join(" · "));
    say(this.word, word);
    const since = sinceWhen(backend, wished);
    say(this.since, since ? `for ${span(now - since)}` : "");
    const why = because(backend, now, wished);
    say(this.why, why);
    mark(this.why, "title", why || null);
    this.#rates(figures.backends.get(backend.id));
    this.#latency(backend.latency);
    say(this.flying, count(backend.in_flight));
    say(this.limit, backend.max_in_flight ? `of ${count(backend.max_in_flight)}` : "");
    this.#probes(backend.probes);
    say(this.weight, String(backend.weight));
    for (const button of this.wishes) mark(button, "aria-pressed", String(button.dataset.action === backend.wish));
  }

  /**
   * The demo's buttons, with the order in force; null where there are none.
   * @param {{mode: string | null, left: string} | null} order
   */
  offer(order) {
    this.demo.hidden = !order;
    if (!order) return;
    for (const button of this.modes) mark(button, "aria-pressed", String(button.dataset.demo === order.mode));
    say(this.ordered, order.left);
  }

  /** @param {import("./series.js").Series} series */
  draw(series) {
    const { rate: rates, p99_s: p99s } = series.rows.get(this.name) ?? NO_STEPS;
    this.rates.draw(series.at, rates);
    this.p99s.draw(series.at, p99s);
  }

  /** @param {import("./figures.js").BackendRates | undefined} rates */
  #rates(rates) {
    say(this.rateText, rate(rates?.attempts));
    say(this.shareText, rates ? percent(rates.share) : "–");
    this.shareBar.firstChild.style.inlineSize = `${((rates?.share ?? 0) * 100).toFixed(1)}%`;
    const { failures = 0, errors = 0 } = rates ?? {};
    say(this.errors, rates ? rate(Math.max(failures, errors)) : "–");
    say(this.errorsKind, failures >= errors && failures ? "failed/s" : errors ? "5xx/s" : "");
    mark(this.cells.errors, "data-tone", failures || errors ? "bad" : null);
    mark(this.cells.errors, "title", `${rate(failures)} failed attempts/s, ${rate(errors)} answers/s with 5xx`);
  }

  /** @param {any} found */
  #latency(found) {
    say(this.p50, latency(found?.p50_s));
    say(this.p95, latency(found?.p95_s));
    say(this.p99, latency(found?.p99_s));
  }

  /** @param {any[]} probes the oldest first */
  #probes(probes) {
    const key = probes.length ? `${probes.length}:${probes.at(-1).at}` : "";
    if (key === this.probed) return;
    this.probed = key;
    const good = probes.filter((probe) => probe.ok).length;
    mark(this.probes, "aria-label", probes.length ? `last probes: ${good} of ${probes.length} passed` : "no probe yet");
    this.probes.replaceChildren(...probes.map((probe) =>
      h("i", { class: probe.ok ? "ok" : "no", title: `${probe.ok ? "passed" : "failed"} in ${latency(probe.duration_s)}: ${probe.detail}` })));
  }

  /**
   * What went wrong with the last action, near its button; empty when nothing did.
   * @param {string} words
   */
  complain(words) {
    say(this.trouble, words);
  }
}
