// @ts-check
/**
 * What the snapshots say, and what follows from two of them: rates.
 *
 * A snapshot holds totals that only rise, so a rate is the difference to the snapshot of
 * some seconds ago. One second alone would make small rates dance, so it is three. Times
 * are the server's: this computer's clock may be off, and is only used for how long ago
 * something came in.
 */

/** @typedef {any} Snapshot as in docs/operations.md, `GET /api/v1/stream` */

/** Seconds over which rates are taken. */
export const RATE_S = 3;

/**
 * @typedef {object} BackendRates
 * @property {number} attempts requests that it was given, each second
 * @property {number} failures attempts that failed, each second
 * @property {number} errors 5xx that clients got by it, each second
 * @property {number | null} share its part of its set's attempts, 0 to 1
 */

export class Figures {
  constructor() {
    /** @type {Snapshot | null} the newest snapshot */
    this.latest = null;
    /** Milliseconds of `performance.now()` when it came. */
    this.cameAt = 0;
    /** @type {{requests: number, errors: number, accepted: number} | null} each second */
    this.all = null;
    /** @type {Map<number, BackendRates>} by backend's id; empty before two snapshots */
    this.backends = new Map();
    /** @type {Map<number, number>} requests each second, by worker's pid */
    this.workers = new Map();
    /** @type {Counted[]} */
    this.kept = [];
  }

  /**
   * Takes in a snapshot; what came before another balancer's start is forgotten.
   * @param {Snapshot} snapshot
   */
  take(snapshot) {
    const now = counted(snapshot);
    const last = this.kept.at(-1);
    if (last && now.at === last.at) return; // the same again is no news
    if (
      last &&
      (now.requests < last.requests || now.at < last.at || now.at - last.at > 30)
    ) {
      this.kept = [];
    }
    this.kept.push(now);
    while (this.kept.length > 2 && this.kept[1].at <= now.at - RATE_S)
      this.kept.shift();
    this.latest = snapshot;
    this.cameAt = performance.now();
    this.#work(this.kept[0], now);
  }

  /** Forgets what rates are made of, as after a pause. */
  pause() {
    this.kept = [];
  }

  /** Seconds since the newest snapshot came. */
  age() {
    return (performance.now() - this.cameAt) / 1000;
  }

  /** The server's unix time now, as well as it is known. */
  now() {
    return this.latest ? this.latest.at + this.age() : Date.now() / 1000;
  }

  /**
   * @param {Counted} before
   * @param {Counted} now
   */
  #work(before, now) {
    const took = now.at - before.at;
    if (took < 0.5) {
      this.all = null;
      this.backends = new Map();
      this.workers = new Map();
      return;
    }
    this.all = {
      requests: rise(now.requests, before.requests) / took,
      errors: rise(now.errors, before.errors) / took,
      accepted: rise(now.accepted, before.accepted) / took,
    };
    this.backends = backendRates(before, now, took);
    this.workers = new Map();
    for (const [pid, requests] of now.workers) {
      this.workers.set(pid, rise(requests, before.workers.get(pid) ?? requests) / took);
    }
  }
}

/**
 * @typedef {object} Counted the totals of one snapshot
 * @property {number} at
 * @property {number} requests
 * @property {number} errors
 * @property {number} accepted
 * @property {Map<number, {set: string, attempts: number, failures: number, errors: number}>} backends
 * @property {Map<number, number>} workers
 */

/**
 * @param {Snapshot} snapshot
 * @returns {Counted}
 */
function counted(snapshot) {
  const { responses, accepted } = snapshot.totals;
  const backends = new Map();
  for (const { id, set, totals } of snapshot.backends) {
    backends.set(id, {
      set,
      attempts: totals?.attempts ?? 0,
      failures: totals ? sum(totals.failures) : 0,
      errors: totals?.responses["5xx"] ?? 0,
    });
  }
  return {
    at: snapshot.at,
    requests: sum(responses),
    errors: responses["5xx"] ?? 0,
    accepted,
    backends,
    workers: new Map(
      snapshot.workers.map((/** @type {any} */ w) => [w.pid, w.requests]),
    ),
  };
}

/**
 * @param {Counted} before
 * @param {Counted} now
 * @param {number} took
 */
function backendRates(before, now, took) {
  /** @type {Map<number, BackendRates>} */
  const found = new Map();
  /** @type {Map<string, number>} */
  const bySet = new Map();
  for (const [id, totals] of now.backends) {
    const then = before.backends.get(id) ?? totals;
    const attempts = rise(totals.attempts, then.attempts) / took;
    bySet.set(totals.set, (bySet.get(totals.set) ?? 0) + attempts);
    found.set(id, {
      attempts,
      failures: rise(totals.failures, then.failures) / took,
      errors: rise(totals.errors, then.errors) / took,
      share: null,
    });
  }
  for (const [id, rates] of found) {
    const all = bySet.get(now.backends.get(id)?.set ?? "") ?? 0;
    rates.share = all ? rates.attempts / all : null;
  }
  return found;
}

/**
 * @param {Record<string, number>} counts
 */
export function sum(counts) {
  let all = 0;
  for (const value of Object.values(counts)) all += value;
  return all;
}

/**
 * @param {number} now
 * @param {number} before
 */
function rise(now, before) {
  return Math.max(0, now - before);
}
