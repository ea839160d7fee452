// @ts-check
/**
 * What the page asks of the admin API: a call, its answer, or why it was refused.
 *
 * A token is asked for when an answer is 401, and kept for this tab only, until it is
 * closed (sessionStorage), never longer and nowhere else.
 */

import { askToken } from "./dialogs.js";

const KEPT_AS = "evenhand.token";

/** Milliseconds after which a call counts as lost. */
const PATIENCE_MS = 15_000;

/** Why a call came to nothing: the API's own sentence, or that it cannot be reached. */
export class Refusal extends Error {
  /**
   * @param {string} message
   * @param {number} status 0 where there was no answer
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * The path of a backend in the API, or of something below it.
 * @param {string} name
 * @param {string} [below]
 */
export function backendPath(name, below = "") {
  return `/api/v1/backends/${encodeURIComponent(name)}${below}`;
}

/** @typedef {{body?: object, prefer?: string}} Sent a JSON body; the field Prefer */

/**
 * The answer of a call, whose token is asked for where one is needed.
 * @param {string} method
 * @param {string} path
 * @param {Sent} [sent]
 * @returns {Promise<any>}
 * @throws {Refusal}
 */
export async function call(method, path, sent = {}) {
  let answer = await send(method, path, sent);
  let wasWrong = false;
  while (answer.status === 401) {
    const token = await askToken(wasWrong);
    if (token === null)
      throw new Refusal("Nothing was changed: a token is needed.", 401);
    keepToken(token);
    wasWrong = true;
    answer = await send(method, path, sent);
  }
  const told = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refusal(told?.detail ?? answer.statusText, answer.status);
  return told;
}

/**
 * @param {string} method
 * @param {string} path
 * @param {Sent} sent
 */
async function send(method, path, { body, prefer }) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  const token = keptToken();
  if (token && method !== "GET") headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  if (prefer) headers.Prefer = prefer;
  try {
    return await fetch(path, {
      method,
      headers,
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch {
    throw new Refusal("The admin process does not answer.", 0);
  }
}

/** @type {string | null} the token, also where the browser forbids storage */
let inHand = null;

function keptToken() {
  try {
    return inHand ?? sessionStorage.getItem(KEPT_AS);
  } catch {
    return inHand;
  }
}

/** @param {string} token */
function keepToken(token) {
  inHand = token;
  try {
    sessionStorage.setItem(KEPT_AS, token);
  } catch {
    // Storage is forbidden here: the token lasts until the page is left.
  }
}
