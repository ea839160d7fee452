// @ts-check
/**
 * What a backend is at, in words: the table, the flow and the sheets tell one story.
 *
 * All of it is pure: a backend as a snapshot has it goes in, words come out.
 */

import { span } from "./format.js";

/**
 * What a backend is at, in one word with its meaning: the table and the flow say the same.
 * @param {any} backend
 * @returns {{word: string, tone: "good" | "bad" | "warn" | "calm" | "plain"}}
 */
export function standing(backend) {
  const { wish, verdict, in_flight: flying } = backend;
  if (wish === "drain")
    return { word: flying ? `draining, ${flying} left` : "drained", tone: "calm" };
  if (wish === "maint")
    return { word: flying ? `maint, ${flying} left` : "maintenance", tone: "calm" };
  if (verdict === "down") return { word: "down", tone: "bad" };
  if (backend.ejected) return { word: "ejected", tone: "bad" };
  if (backend.share === 0) return { word: "asks for none", tone: "warn" };
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
