// @ts-check
/**
 * One backend's row: its cells are made once, and only what changed is set again.
 */

import { CUT_S } from "./actions.js";
import { Sparkline } from "./chart.js";
import { h, mark, say } from "./dom.js";
import { count, latency, percent, rate, span } from "./format.js";
import { because, sinceWhen, standing, verdictOf } from "./standing.js";

/** @type {[string, string][]} the operator's wishes: name, and what it does */
const WISHES = [
  ["ready", "it gets requests again"],
  ["drain", "it gets nothing new; what is under way goes on"],
  ["maint", "drain it, and check it no more"],
];

/** @type {Record<string, string>} names of figures, where a row is a card */
const LABELS = {
  rate: "req/s",
  share: "Share",
  errors: "Errors",
  p50: "p50",
  p95: "p95",
  p99: "p99",
  flying: "In flight",
  probes: "Probes",
  weight: "Weight",
};

/** The modes of a demo backend that the page can ask for. */
const MODES = ["slow", "failing", "hanging", "dead"];

/** @type {import("./series.js").Steps} of a backend that had nothing to do */
const NO_STEPS = { rate: [], p99_s: [] };

/**
 * @typedef {object} Hands what buttons do
 * @property {(name: string) => void} open
 * @property {(name: string, wish: any) => void} wish
 * @property {(name: string, wish: any) => void} cut
 * @property {(name: string) => void} weight
 * @property {(name: string, mode: string) => void} demo
 */

/** A number that stays on one line. */
function figure() {
  return h("span", { class: "figure" });
}

/**
 * @param {string} kind
 * @param {...Node} inner
 */
function cell(kind, ...inner) {
  return h(
    "td",
    { role: "cell", class: `c-${kind}`, "data-label": LABELS[kind] },
    ...inner,
  );
}

export class Row {
  /**
   * @param {string} name
   * @param {Hands} hands
   */
  constructor(name, hands) {
    this.name = name;
    this.probed = "";
    this.open = h("button", {
      class: "link name",
      type: "button",
      title: "why is it as it is?",
      text: name,
      onclick: () => hands.open(name),
    });
    this.place = h("span", { class: "aside mono" });
    this.word = h("span", { class: "chip" });
    this.since = h("span", { class: "aside" });
    this.why = h("span", { class: "aside why" });
    this.cut = h("button", {
      class: "link cut",
      type: "button",
      data: { action: "cut" },
      hidden: true,
      text: `cut what is left in ${CUT_S} s`,
      onclick: () => hands.cut(name, this.node.dataset.wish),
    });
    this.rateText = figure();
    this.rates = new Sparkline(`requests per second of ${name}`);
    this.shareText = figure();
    this.shareBar = h("span", { class: "bar" }, h("span"));
    this.errors = figure();
    this.errorsKind = h("span", { class: "aside" });
    this.p50 = figure();
    this.p95 = figure();
    this.p99 = figure();
    this.p99s = new Sparkline(`p99 of ${name}`);
    this.flying = figure();
    this.limit = h("span", { class: "aside" });
    this.probes = h("span", { class: "probes", role: "img" });
    this.weight = h("button", {
      class: "weight",
      type: "button",
      data: { action: "weight" },
      "aria-label": `weight of ${name}`,
      onclick: () => hands.weight(name),
    });
    this.wishes = WISHES.map(([wish, title]) =>
      h("button", {
        type: "button",
        data: { action: wish },
        title,
        "aria-label": `${wish} ${name}`,
        text: wish,
        onclick: () => hands.wish(name, wish),
      }),
    );
    this.modes = MODES.map((mode) =>
      h("button", {
        type: "button",
        data: { demo: mode },
        title: `let it be ${mode} for some seconds`,
        "aria-label": `make ${name} ${mode}`,
        text: mode,
        onclick: () => hands.demo(name, mode),
      }),
    );
    this.demo = h(
      "span",
      {
        class: "demo",
        role: "group",
        "aria-label": `demo: let ${name} misbehave`,
        hidden: true,
      },
      ...this.modes,
    );
    this.trouble = h("span", { class: "trouble" });
    this.errorsCell = cell("errors", this.errors, this.errorsKind);
    this.node = h("tr", { role: "row", data: { backend: name } }, ...this.#cells());
  }

  #cells() {
    const wanted = {
      class: "segments",
      role: "group",
      "aria-label": `what is wanted of ${this.name}`,
    };
    return [
      h(
        "th",
        { role: "rowheader", scope: "row", class: "c-name" },
        this.open,
        this.place,
      ),
      cell("state", this.word, this.since, this.why, this.cut),
      cell("rate", this.rateText, this.rates.node),
      cell("share", this.shareText, this.shareBar),
      this.errorsCell,
      cell("p50", this.p50),
      cell("p95", this.p95),
      cell("p99", this.p99, this.p99s.node),
      cell("flying", this.flying, this.limit),
      cell("probes", this.probes),
      cell("weight", this.weight),
      cell("actions", h("span", wanted, ...this.wishes), this.demo, this.trouble),
    ];
  }

  /**
   * @param {any} backend
   * @param {import("./figures.js").Figures} figures
   * @param {import("./standing.js").Wished} [wished]
   */
  tell(backend, figures, wished) {
    const now = figures.now();
    const { word, tone } = standing(backend);
    mark(this.node, "data-verdict", verdictOf(backend));
    mark(this.node, "data-wish", backend.wish);
    mark(this.node, "data-tone", tone);
    say(
      this.place,
      [
        backend.address,
        backend.set !== "default" && backend.set,
        backend.backup && "backup",
      ]
        .filter(Boolean)
        .join(" · "),
    );
    say(this.word, word);
    const since = sinceWhen(backend, wished);
    say(this.since, since ? `for ${span(now - since)}` : "");
    const why = because(backend, now, wished);
    say(this.why, why);
    mark(this.why, "title", why || null);
    this.cut.hidden =
      backend.wish === "ready" || !backend.in_flight || Boolean(backend.cut_at);
    this.#rates(figures.backends.get(backend.id));
    this.#latency(backend.latency);
    say(this.flying, count(backend.in_flight));
    say(this.limit, backend.max_in_flight ? `of ${count(backend.max_in_flight)}` : "");
    this.#probes(backend.probes);
    say(this.weight, String(backend.weight));
    for (const button of this.wishes)
      mark(button, "aria-pressed", String(button.dataset.action === backend.wish));
  }

  /**
   * The demo's buttons, with the order in force; null where there are none.
   * @param {{mode: string | null, left: string} | null} order
   */
  offer(order) {
    this.demo.hidden = !order;
    if (!order) return;
    for (const button of this.modes) {
      const { demo } = button.dataset;
      const isOn = demo === order.mode;
      mark(button, "aria-pressed", String(isOn));
      say(button, isOn ? `${demo} ${order.left}` : demo);
    }
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
    say(
      this.errorsKind,
      failures >= errors && failures ? "failed/s" : errors ? "5xx/s" : "",
    );
    mark(this.errorsCell, "data-tone", failures || errors ? "bad" : null);
    mark(
      this.errorsCell,
      "title",
      `${rate(failures)} failed attempts/s, ${rate(errors)} answers/s with 5xx`,
    );
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
    mark(
      this.probes,
      "aria-label",
      probes.length
        ? `last probes: ${good} of ${probes.length} passed`
        : "no probe yet",
    );
    this.probes.replaceChildren(
      ...probes.map((probe) =>
        h("i", {
          class: probe.ok ? "ok" : "no",
          title: `${probe.ok ? "passed" : "failed"} in ${latency(probe.duration_s)}: ${probe.detail}`,
        }),
      ),
    );
  }

  /**
   * What went wrong with the last action, near its button; empty when nothing did.
   * @param {string} words
   */
  complain(words) {
    say(this.trouble, words);
  }
}
