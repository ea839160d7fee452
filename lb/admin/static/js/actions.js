// @ts-check
/**
 * What a person does to a backend, and what the page says of it.
 *
 * A drain is not waited for by a request that hangs: the snapshots tell how many are in
 * flight, so the row counts down, for everybody who watches. A question is asked only
 * where clients would notice: when the last available backend of a set would go.
 */

import { Refusal, backendPath, call } from "./api.js";
import { ask } from "./dialogs.js";
import { h } from "./dom.js";

const MAX_WEIGHT = 256;

/** Seconds until what is left of a drain is cut, where that is asked for. */
export const CUT_S = 30;

/** @typedef {"ready" | "drain" | "maint"} Wish */

export class Actions {
  /**
   * @param {() => any} latest the newest snapshot, or null
   * @param {(words: string) => void} tell says what was done
   * @param {(words: string, backend: string) => void} complain says what went wrong
   */
  constructor(latest, tell, complain) {
    this.latest = latest;
    this.tell = tell;
    this.complain = complain;
  }

  /**
   * @param {string} name
   * @param {Wish} wish
   */
  async wish(name, wish) {
    if (wish !== "ready" && !(await this.#mayTake(name, wish))) return;
    await this.#change(name, async () => {
      const told = await call("POST", backendPath(name, `/${wish}`));
      const { in_flight: flying } = told.backends[0];
      const left = flying && wish !== "ready" ? `, ${flying} in flight` : "";
      this.tell(`${name}: ${wish}${left}`);
    });
  }

  /**
   * Gives what is in flight a deadline; it is answered at once, and cut all the same.
   * @param {string} name
   * @param {Wish} wish the one in force
   */
  async cut(name, wish) {
    await this.#change(name, async () => {
      await call("POST", backendPath(name, `/${wish}?wait=${CUT_S}`), {
        prefer: "respond-async",
      });
      this.tell(`${name}: what is left is cut in ${CUT_S} s`);
    });
  }

  /** @param {string} name */
  async weight(name) {
    const backend = this.#find(name);
    const field = h("input", {
      type: "number",
      min: 1,
      max: MAX_WEIGHT,
      step: 1,
      required: true,
      value: backend?.weight ?? 1,
      inputmode: "numeric",
    });
    const given = await ask(`Weight of ${name}`, {
      about: `Its share of the requests of its set, from 1 to ${MAX_WEIGHT}. It stays until the settings say another.`,
      yes: "Set weight",
      field,
      label: "Weight",
    });
    if (given === null) return;
    await this.#change(name, async () => {
      await call("PUT", backendPath(name, "/weight"), {
        body: { weight: Number(given) },
      });
      this.tell(`${name}: weight ${given}`);
    });
  }

  /**
   * @param {string} name
   * @param {() => Promise<void>} doIt
   */
  async #change(name, doIt) {
    this.complain("", name);
    try {
      await doIt();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.complain(error.message, name);
    }
  }

  /**
   * @param {string} name
   * @param {Wish} wish
   */
  async #mayTake(name, wish) {
    const backend = this.#find(name);
    const others = this.latest()?.backends.some(
      (/** @type {any} */ each) =>
        each.set === backend?.set && each.name !== name && each.available,
    );
    if (!backend?.available || others) return true;
    const answer = await ask(`${name} is the last one`, {
      about: `No other backend of the set ${backend.set} is available. Without it the set's requests are answered 503.`,
      yes: wish === "drain" ? "Drain it all the same" : "Take it out all the same",
      danger: true,
    });
    return answer !== null;
  }

  /** @param {string} name */
  #find(name) {
    return this.latest()?.backends.find(
      (/** @type {any} */ each) => each.name === name,
    );
  }
}
