// @ts-check
/**
 * Requests that failed lately, and the slowest of those recorded; each can be explained.
 *
 * They are asked for each few seconds, and only if any request ended meanwhile: the
 * server reads all that is recorded for it, 14 us for each request.
 */

import { call } from "./api.js";
import { arrange, byId, h } from "./dom.js";
import { clock, latency } from "./format.js";

/** Rows of each kind. */
const SHOWN = 8;

const HEADS = ["Ended", "Request", "Backend", "Answer", "Took"];

export class Requests {
  /** @param {(id: string) => void} openRequest */
  constructor(openRequest) {
    this.openRequest = openRequest;
    this.failed = h("tbody");
    this.slow = h("tbody");
    const heads = HEADS.map((text, at) =>
      h("th", { scope: "col", class: at > 3 ? "number" : null, text }),
    );
    byId("requests-table").append(
      h("table", {}, h("thead", {}, h("tr", {}, ...heads)), this.failed, this.slow),
    );
    this.seen = -1;
  }

  /**
   * Asks anew, if the number of requests that ended has changed.
   * @param {number} ended
   */
  async refresh(ended) {
    if (ended === this.seen) return;
    this.seen = ended;
    const [failed, slow] = await Promise.all([
      call("GET", `/api/v1/requests?failed=true&limit=${SHOWN}`),
      call("GET", `/api/v1/requests?slow=0&limit=${SHOWN}`),
    ]);
    this.#fill(this.failed, "Failed", failed.requests);
    this.#fill(this.slow, "Slowest", slow.requests);
  }

  /**
   * @param {HTMLElement} body
   * @param {string} title
   * @param {any[]} requests
   */
  #fill(body, title, requests) {
    const head = h(
      "tr",
      { class: "group" },
      h("th", { colspan: HEADS.length, scope: "rowgroup", text: title }),
    );
    const none =
      !requests.length &&
      h("tr", {}, h("td", { colspan: HEADS.length, class: "aside", text: "none" }));
    // A row that has the focus must not vanish under the finger.
    if (body.contains(document.activeElement)) return;
    arrange(body, [
      head,
      ...requests.map((each) => this.#row(each)),
      ...(none ? [none] : []),
    ]);
  }

  /** @param {any} request */
  #row(request) {
    const {
      request_id: id,
      method,
      target,
      backend,
      status,
      label,
      total_s: took,
      ended,
    } = request;
    const isBad = Boolean(label) || !status || status >= 500;
    return h(
      "tr",
      { data: { request: id } },
      h("td", { class: "mono", text: clock(ended) }),
      h(
        "th",
        { scope: "row" },
        h("button", {
          class: "link mono clip",
          type: "button",
          title: `explain ${id}`,
          text: `${method} ${target}`,
          onclick: () => this.openRequest(id),
        }),
      ),
      h("td", { class: "clip", text: backend || "–" }),
      h("td", {
        data: isBad ? { tone: "bad" } : {},
        text: [status || "none", label].filter(Boolean).join(" "),
      }),
      h("td", { class: "number", text: latency(took) }),
    );
  }
}
