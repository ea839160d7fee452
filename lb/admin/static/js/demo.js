// @ts-check
/**
 * The demo's controls: buttons that let a demo backend misbehave, or ask for some load.
 *
 * They are there only where the API says so, which it does in the demo's bundle alone.
 * Orders end by themselves; how long they last is counted down by the server's time.
 */

import { Refusal, call } from "./api.js";
import { byId, h, mark, say } from "./dom.js";
import { span } from "./format.js";

const SECONDS = 15;
const LOAD_S = 60;

export class Demo {
  /**
   * @param {(words: string) => void} tell says what was done
   * @param {(words: string, backend?: string) => void} complain says what went wrong
   */
  constructor(tell, complain) {
    this.tell = tell;
    this.complain = complain;
    this.isOn = false;
    /** @type {Map<string, {modes: string[], mode: string | null, until: number | null}>} */
    this.backends = new Map();
    /** @type {number | null} unix time at which the load ends */
    this.loadUntil = null;
    this.button = h("button", {
      type: "button",
      data: { demo: "load" },
      onclick: () => void this.load(),
    });
    this.box = byId("demo");
    this.box.append(this.button);
  }

  /** Asks what can be told to whom; without the demo once is enough. */
  async refresh() {
    /** @type {any} */
    let told;
    try {
      told = await call("GET", "/api/v1/demo");
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return;
    }
    this.isOn = told.controls;
    this.backends = new Map(
      told.backends.map((/** @type {any} */ each) => [each.name, each]),
    );
    this.loadUntil = told.load.until;
    this.box.hidden = !told.controls || !told.load.is_there;
  }

  /**
   * What a row shows: null where the backend takes no orders, else the order in force.
   * @param {string} name
   * @param {number} now the server's time
   * @returns {{mode: string | null, left: string} | null}
   */
  of(name, now) {
    const found = this.isOn ? this.backends.get(name) : undefined;
    if (!found) return null;
    const isOn = found.mode !== null && found.until !== null && found.until > now;
    return {
      mode: isOn ? found.mode : null,
      left: isOn ? span((found.until ?? 0) - now) : "",
    };
  }

  /** @param {number} now the server's time */
  show(now) {
    const isLoaded = this.loadUntil !== null && this.loadUntil > now;
    say(
      this.button,
      isLoaded
        ? `Load for ${span((this.loadUntil ?? 0) - now)} more`
        : `Send load for ${LOAD_S} s`,
    );
    mark(this.button, "aria-pressed", String(isLoaded));
  }

  /**
   * @param {string} name
   * @param {string} mode
   */
  async misbehave(name, mode) {
    await this.#order(
      `backends/${encodeURIComponent(name)}`,
      { mode, seconds: SECONDS },
      `${name}: ${mode} for ${SECONDS} s`,
      name,
    );
  }

  async load() {
    await this.#order("load", { seconds: LOAD_S }, `load for ${LOAD_S} s`);
  }

  /**
   * @param {string} what
   * @param {object} body
   * @param {string} done
   * @param {string} [name]
   */
  async #order(what, body, done, name) {
    this.complain("", name);
    try {
      await call("POST", `/api/v1/demo/${what}`, { body });
      this.tell(done);
      await this.refresh();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.complain(error.message, name);
    }
  }
}
