// @ts-check
/**
 * The table of backends: which rows, in which order, and not more than one can read.
 *
 * With thousands of backends only the first hundred that match are made into rows; the
 * others cost a comparison each second. The order is settled anew with each snapshot,
 * but not while a person is at a row: it must not slip away under the pointer.
 */

import { arrange, byId, h, mark, say } from "./dom.js";
import { count } from "./format.js";
import { Row } from "./row.js";
import { standing } from "./standing.js";

/** Rows that are made at most. */
const SHOWN = 100;

/**
 * @typedef {object} Column
 * @property {string} key
 * @property {string} title
 * @property {string} [about]
 * @property {((backend: any, figures: import("./figures.js").Figures) => number | string) | null} by what to sort by
 * @property {boolean} [falls] whether the largest is first at the first click
 */

/** How bad a state is, for sorting: the worst first. */
const TONES = ["bad", "warn", "calm", "plain", "good"];

/** @type {Column[]} */
const COLUMNS = [
  { key: "name", title: "Backend", by: (b) => b.name },
  { key: "state", title: "State", by: (b) => TONES.indexOf(standing(b).tone) },
  {
    key: "rate",
    title: "req/s",
    about: "requests given to it, retries too, each second",
    by: (b, f) => f.backends.get(b.id)?.attempts ?? -1,
    falls: true,
  },
  {
    key: "share",
    title: "Share",
    about: "of the requests of its set",
    by: (b, f) => f.backends.get(b.id)?.share ?? -1,
    falls: true,
  },
  {
    key: "errors",
    title: "Errors",
    about: "failed attempts and 5xx, each second",
    by: (b, f) =>
      (f.backends.get(b.id)?.failures ?? -1) + (f.backends.get(b.id)?.errors ?? -1),
    falls: true,
  },
  {
    key: "p50",
    title: "p50",
    about: "of the last minute",
    by: (b) => b.latency?.p50_s ?? -1,
    falls: true,
  },
  {
    key: "p95",
    title: "p95",
    about: "of the last minute",
    by: (b) => b.latency?.p95_s ?? -1,
    falls: true,
  },
  {
    key: "p99",
    title: "p99",
    about: "of the last minute",
    by: (b) => b.latency?.p99_s ?? -1,
    falls: true,
  },
  { key: "flying", title: "In flight", by: (b) => b.in_flight, falls: true },
  {
    key: "probes",
    title: "Probes",
    about: "the last ones, the newest on the right",
    by: (b) => -b.probes.filter((/** @type {any} */ p) => !p.ok).length,
  },
  { key: "weight", title: "Weight", by: (b) => b.weight, falls: true },
  { key: "actions", title: "Wanted", by: null },
];

export class Table {
  /**
   * @param {import("./row.js").Hands} hands
   * @param {(name: string) => import("./standing.js").Wished | undefined} wished
   */
  constructor(hands, wished) {
    this.hands = hands;
    this.wished = wished;
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    this.sort = { key: "", falls: false };
    this.about = byId("backends-about");
    this.more = byId("backends-more");
    this.filter = byId("filter");
    /** @type {import("./figures.js").Figures | null} */
    this.figures = null;
    /** @type {{name: string, row: Row}[]} */
    this.shown = [];
    this.heads = COLUMNS.map((column) => this.#head(column));
    this.body = h("tbody", { role: "rowgroup" });
    byId("backends-table").append(
      h(
        "table",
        { role: "table", "aria-labelledby": "backends-title" },
        h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...this.heads)),
        this.body,
      ),
    );
    this.filter.addEventListener("input", () => this.#again());
    this.#menu();
  }

  /** @param {Column} column */
  #head({ key, title, about, by }) {
    const inner = by
      ? h("button", {
          type: "button",
          title: about,
          text: title,
          onclick: () => this.#sortBy(key),
        })
      : h("span", { text: title });
    return h(
      "th",
      { role: "columnheader", scope: "col", class: `c-${key}`, data: { key } },
      inner,
    );
  }

  /** Sorting for who has no column heads, on a phone. */
  #menu() {
    const menu = byId("sort");
    menu.append(h("option", { value: "", text: "as set" }));
    for (const { key, title, by } of COLUMNS)
      if (by) menu.append(h("option", { value: key, text: title }));
    menu.addEventListener("change", () => {
      this.sort = { key: "", falls: false };
      if (menu.value) this.#sortBy(menu.value);
      else this.#again();
    });
  }

  /** @param {string} key */
  #sortBy(key) {
    const column = COLUMNS.find((each) => each.key === key);
    const first = Boolean(column?.falls);
    if (this.sort.key !== key) this.sort = { key, falls: first };
    else if (this.sort.falls === first) this.sort = { key, falls: !first };
    else this.sort = { key: "", falls: false };
    for (const head of this.heads) {
      const isIt = head.dataset.key === this.sort.key;
      mark(
        head,
        "aria-sort",
        isIt ? (this.sort.falls ? "descending" : "ascending") : null,
      );
    }
    byId("sort").value = this.sort.key;
    this.#again();
  }

  #again() {
    if (this.figures) this.tell(this.figures, true);
  }

  /**
   * @param {import("./figures.js").Figures} figures
   * @param {boolean} [isAsked] whether a person asked for another order just now
   */
  tell(figures, isAsked = false) {
    this.figures = figures;
    const all = figures.latest.backends;
    const found = this.#matching(all);
    const listed =
      this.#isHeld() && !isAsked
        ? this.#asBefore(found)
        : this.#sorted(found).slice(0, SHOWN);
    const rows = listed.map((/** @type {any} */ backend) => {
      const row = this.rows.get(backend.name) ?? this.#grown(backend.name);
      row.tell(
        backend,
        figures,
        backend.wish === "ready" ? undefined : this.wished(backend.name),
      );
      return row;
    });
    this.shown = rows.map((row) => ({ name: row.name, row }));
    arrange(
      this.body,
      rows.map((row) => row.node),
    );
    this.#forget(all);
    this.#say(all.length, found.length, rows.length);
  }

  /** @param {import("./series.js").Series} series */
  draw(series) {
    for (const { row } of this.shown) row.draw(series);
  }

  /**
   * @param {import("./demo.js").Demo} demo
   * @param {number} now the server's time
   */
  offer(demo, now) {
    for (const { name, row } of this.shown) row.offer(demo.of(name, now));
  }

  /** Whether a person is at work in the table. */
  #isHeld() {
    return this.body.matches(":hover") || this.body.contains(document.activeElement);
  }

  /** @param {any[]} found */
  #asBefore(found) {
    const byName = new Map(found.map((backend) => [backend.name, backend]));
    const stay = this.shown.map(({ name }) => byName.get(name)).filter(Boolean);
    for (const backend of stay) byName.delete(backend.name);
    return [...stay, ...byName.values()].slice(0, SHOWN);
  }

  /** @param {any[]} all */
  #matching(all) {
    const wanted = this.filter.value.trim().toLowerCase();
    if (!wanted) return all;
    return all.filter((backend) =>
      [
        backend.name,
        backend.address,
        backend.set,
        backend.wish,
        standing(backend).word,
      ].some((text) => text.toLowerCase().includes(wanted)),
    );
  }

  /** @param {any[]} found */
  #sorted(found) {
    const by = COLUMNS.find((column) => column.key === this.sort.key)?.by;
    const figures = this.figures;
    if (!by || !figures) return found;
    const sign = this.sort.falls ? -1 : 1;
    const keyed = found.map((backend) => ({ backend, key: by(backend, figures) }));
    keyed.sort(
      (a, b) =>
        sign *
        (typeof a.key === "string"
          ? a.key.localeCompare(String(b.key), "en", { numeric: true })
          : a.key - Number(b.key)),
    );
    return keyed.map((each) => each.backend);
  }

  /** @param {string} name */
  #grown(name) {
    const row = new Row(name, this.hands);
    this.rows.set(name, row);
    return row;
  }

  /**
   * Rows of backends that left, and of those that nobody has looked at lately.
   * @param {any[]} all
   */
  #forget(all) {
    if (this.rows.size <= this.shown.length) return;
    const names = new Set(all.map((backend) => backend.name));
    const shown = new Set(this.shown.map(({ name }) => name));
    for (const name of this.rows.keys()) {
      if (!names.has(name) || (this.rows.size > 2 * SHOWN && !shown.has(name)))
        this.rows.delete(name);
    }
  }

  /**
   * @param {number} all
   * @param {number} found
   * @param {number} shown
   */
  #say(all, found, shown) {
    say(
      this.about,
      found === all ? count(all) : `${count(found)} of ${count(all)} match`,
    );
    const hidden = found - shown;
    say(
      this.more,
      hidden
        ? `${count(hidden)} more are not shown: filter or sort to find them.`
        : found
          ? ""
          : "No backend matches.",
    );
  }

  /**
   * @param {string} name
   * @param {string} words
   */
  complain(name, words) {
    this.rows.get(name)?.complain(words);
  }
}
