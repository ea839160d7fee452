// @ts-check
/**
 * The processes that serve: does each live, and does each know what the others know?
 */

import { arrange, byId, h, mark, say } from "./dom.js";
import { count, rate, span } from "./format.js";

/** Seconds without a heartbeat after which a worker looks stuck; it has one each second. */
const LATE_S = 5;

const HEADS = ["pid", "View", "Heartbeat", "Clients", "In flight", "req/s"];

export class Workers {
  constructor() {
    /** @type {Map<number, any>} rows by pid */
    this.rows = new Map();
    this.body = h("tbody");
    this.about = byId("workers-about");
    const heads = HEADS.map((text, at) =>
      h("th", { scope: "col", class: at > 2 ? "number" : null, text }),
    );
    byId("workers-table").append(
      h("table", {}, h("thead", {}, h("tr", {}, ...heads)), this.body),
    );
  }

  /** @param {import("./figures.js").Figures} figures */
  tell(figures) {
    const { workers, generation, checker_pid: checker } = figures.latest;
    const rows = workers.map((/** @type {any} */ worker) => this.#row(worker, figures));
    const living = new Set(workers.map((/** @type {any} */ worker) => worker.pid));
    for (const pid of this.rows.keys()) if (!living.has(pid)) this.rows.delete(pid);
    arrange(this.body, rows);
    const checked =
      checker === null ? "no checker" : `health is checked by pid ${checker}`;
    say(this.about, `generation ${count(generation)}; ${checked}`);
  }

  /**
   * @param {any} worker
   * @param {import("./figures.js").Figures} figures
   */
  #row(worker, figures) {
    let row = this.rows.get(worker.pid);
    if (!row) {
      const cells = HEADS.map((_, at) =>
        at
          ? h("td", { class: at > 2 ? "number" : null })
          : h("th", { scope: "row", class: "mono", text: String(worker.pid) }),
      );
      row = { node: h("tr", { data: { worker: worker.pid } }, ...cells), cells };
      this.rows.set(worker.pid, row);
    }
    const [, agrees, beat, clients, flying, each] = row.cells;
    say(agrees, worker.behind ? `${count(worker.behind)} behind` : "agrees");
    mark(agrees, "data-tone", worker.behind ? "warn" : "good");
    mark(agrees, "title", `has seen generation ${worker.generation_seen}`);
    const isLate = worker.heartbeat_age_s > LATE_S;
    say(
      beat,
      isLate
        ? `silent for ${span(worker.heartbeat_age_s)}`
        : worker.is_leaving
          ? "leaving"
          : "now",
    );
    mark(beat, "data-tone", isLate ? "bad" : null);
    say(clients, count(worker.connections));
    say(
      flying,
      worker.queued
        ? `${worker.in_flight} (+${worker.queued} wait)`
        : count(worker.in_flight),
    );
    say(each, rate(figures.workers.get(worker.pid)));
    return row.node;
  }
}
