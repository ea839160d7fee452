// @ts-check
/**
 * What happened, the newest first: the last events at opening, then as they happen.
 *
 * The list holds a bounded number. Each event has an id, so one that comes twice, by the
 * list and by the stream, is shown once.
 */

import { call } from "./api.js";
import { byId, h, say } from "./dom.js";
import { clock, things } from "./format.js";

/** Events that are kept on the page. */
const KEPT = 60;

export class Events {
  /** @param {(name: string) => void} openBackend */
  constructor(openBackend) {
    this.openBackend = openBackend;
    this.list = byId("events-list");
    this.about = byId("events-about");
    /** @type {Map<string, import("./standing.js").Wished>} the last wish, by backend's name */
    this.wishes = new Map();
    /** @type {Set<string>} */
    this.ids = new Set();
    /** Events that were overwritten before anybody could read them. */
    this.lost = 0;
  }

  /** Fetches those of the past, at opening and after a pause. */
  async catchUp() {
    const { events } = await call("GET", `/api/v1/events?limit=${KEPT}`);
    for (const event of events) this.hear(event);
  }

  /** @param {any} event */
  hear(event) {
    const id = `${event.id} ${event.at}`; // another balancer counts from one again
    if (this.ids.has(id)) return;
    this.ids.add(id);
    if (event.kind === "wish" && event.at > (this.wishes.get(event.backend)?.at ?? 0)) {
      this.wishes.set(event.backend, { at: event.at, who: event.who });
    }
    const { tone, words } = told(event);
    this.#insert(
      event.at,
      h(
        "li",
        { data: { tone, kind: event.kind, at: event.at } },
        h("time", {
          datetime: new Date(event.at * 1000).toISOString(),
          text: clock(event.at),
        }),
        h("span", { class: "dot", "aria-hidden": "true" }),
        h(
          "p",
          {},
          this.#subject(event),
          ` ${words}`,
          event.reason && h("span", { class: "aside", text: ` ${event.reason}` }),
        ),
      ),
    );
    while (this.list.children.length > KEPT) this.list.lastElementChild.remove();
    if (this.ids.size > 20 * KEPT) this.ids = new Set([...this.ids].slice(-10 * KEPT));
    this.#count();
  }

  /**
   * The list and the stream are two ways, so the later event may come first.
   * @param {number} at
   * @param {Element} item
   */
  #insert(at, item) {
    let older = this.list.firstElementChild;
    while (older && Number(older.dataset.at) > at) older = older.nextElementSibling;
    this.list.insertBefore(item, older);
  }

  /** @param {number} many */
  lose(many) {
    this.lost += many;
    this.#count();
  }

  #count() {
    const lost = this.lost ? `, ${things(this.lost, "event")} lost` : "";
    say(this.about, `the last ${this.list.children.length}${lost}`);
  }

  /** @param {any} event */
  #subject(event) {
    if (!event.backend) return h("b", { text: WHO[event.kind] ?? "balancer" });
    const open = () => this.openBackend(event.backend);
    return h("button", {
      class: "link",
      type: "button",
      text: event.backend,
      onclick: open,
    });
  }
}

/** @type {Record<string, string>} who it is about where no backend is */
const WHO = {
  worker_came: "worker",
  worker_went: "worker",
  checker: "checker",
  settings: "settings",
  panic: "set",
  demo: "demo",
};

/**
 * An event in words, and how it is meant: good, bad, warn or plain.
 * @param {any} event
 * @returns {{tone: string, words: string}}
 */
export function told(event) {
  const { kind, before, after, who } = event;
  const by = who ? ` by ${who}` : "";
  switch (kind) {
    case "verdict":
      if (after === "up") return { tone: "good", words: "is up" };
      if (after === "down") return { tone: "bad", words: "is down" };
      return { tone: "plain", words: "has no verdict" };
    case "wish":
      if (after === "ready") return { tone: "good", words: `made ready${by}` };
      return {
        tone: "warn",
        words: `${after === "drain" ? "drained" : "in maintenance"}${by}`,
      };
    case "weight":
      return { tone: "plain", words: `weight ${before ?? "?"} → ${after ?? "?"}${by}` };
    case "added":
      return { tone: "good", words: `was added${by}` };
    case "removed":
      return { tone: "warn", words: `was removed${by}` };
    case "ejected":
      return { tone: "bad", words: "ejected by traffic" };
    case "readmitted":
      return { tone: "good", words: "readmitted" };
    case "panic":
      return after
        ? { tone: "bad", words: "panic" }
        : { tone: "good", words: "panic is over" };
    case "worker_came":
      return { tone: "plain", words: `came${numbered(after)}` };
    case "worker_went":
      return { tone: "warn", words: `went${numbered(before ?? after)}` };
    case "checker":
      return { tone: "plain", words: `is now${numbered(after)}` };
    case "demo":
      return { tone: "warn", words: event.backend ? "is to be" : "asked for" };
    case "settings":
      return { tone: "plain", words: `put in force${by}` };
    default:
      return { tone: "plain", words: kind.replaceAll("_", " ") };
  }
}

/** @param {string | number | null} pid */
function numbered(pid) {
  return pid ? ` (pid ${pid})` : "";
}
