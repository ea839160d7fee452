// @ts-check
/**
 * Two sheets that explain: why a backend is as it is, and what happened to a request.
 */

import { Refusal, backendPath, call } from "./api.js";
import { open } from "./dialogs.js";
import { h } from "./dom.js";
import { clock, count, latency, span, things } from "./format.js";
import { because, sinceWhen, standing, verdictOf } from "./standing.js";

const REFRESH_MS = 2000;

/**
 * Why is it down? The API's `health`, asked anew while the sheet is open.
 * @param {string} name
 * @param {(id: string) => void} openRequest
 */
export async function showBackend(name, openRequest) {
  const sheet = open(name, { wide: true });
  let isOpen = true;
  sheet.closed.then(() => (isOpen = false));
  while (isOpen) {
    const parts = await about(
      () => call("GET", backendPath(name)),
      (told) => backendParts(told, openRequest),
    );
    if (!sheet.body.contains(document.activeElement))
      sheet.body.replaceChildren(...parts);
    await new Promise((settle) => setTimeout(settle, REFRESH_MS));
  }
}

/**
 * The story of a request, or of all that had that id.
 * @param {string} id
 */
export async function showRequest(id) {
  const sheet = open("A request's story", { wide: true });
  sheet.body.append(
    ...(await about(
      () => call("GET", `/api/v1/requests/${encodeURIComponent(id)}`),
      ({ requests }) => requests.flatMap(requestParts),
    )),
  );
}

/**
 * @param {() => Promise<any>} fetched
 * @param {(told: any) => Node[]} parts
 * @returns {Promise<Node[]>}
 */
async function about(fetched, parts) {
  try {
    return parts(await fetched());
  } catch (error) {
    if (error instanceof Refusal)
      return [h("p", { class: "trouble", text: error.message })];
    throw error;
  }
}

/**
 * @param {any} backend
 * @param {(id: string) => void} openRequest
 */
function backendParts(backend, openRequest) {
  const now = Date.now() / 1000;
  const { health } = backend;
  const { traffic } = health;
  const { word, tone } = standing(backend);
  const since = sinceWhen(backend, undefined);
  const why = because(backend, now);
  return [
    h(
      "p",
      { class: "lead" },
      h("span", {
        class: "chip",
        data: { tone, verdict: verdictOf(backend) },
        text: word,
      }),
      ` ${since ? `since ${clock(since)}, ${span(now - since)} ago` : ""}${why ? `: ${why}` : ""}`,
    ),
    health.outlook.length
      ? list("What changes that", health.outlook)
      : h("p", { class: "aside", text: "Nothing stands against it." }),
    probesPart(health.probes),
    h("h3", { text: "What traffic saw" }),
    h("p", {
      text: `In the last ${span(traffic.recent_s)}: ${things(traffic.recent, "request")} recorded, ${count(traffic.recent_failed)} of them failed there. Ever: ${things(traffic.attempts, "attempt")}, ${things(traffic.connect_failures, "failed connect")}.`,
    }),
    Object.keys(traffic.failures).length > 0 &&
      list(
        "Failures ever, by reason",
        Object.entries(traffic.failures).map(
          ([label, many]) => `${label}: ${count(many)}`,
        ),
      ),
    traffic.last_failed.length > 0 && failedPart(traffic.last_failed, openRequest),
    h("p", {
      class: "aside mono",
      text: `${backend.address} · set ${backend.set} · id ${backend.id}${backend.changed.length ? ` · changed at run time: ${backend.changed.join(", ")}` : ""}`,
    }),
  ].filter(Boolean);
}

/** @param {any[]} probes the newest first */
function probesPart(probes) {
  const rows = probes.map((probe) =>
    h(
      "tr",
      {},
      h("td", { class: "mono", text: clock(probe.at) }),
      h("td", {
        data: { tone: probe.ok ? "good" : "bad" },
        text: probe.ok ? "passed" : "failed",
      }),
      h("td", { class: "number", text: latency(probe.connect_s) }),
      h("td", { class: "number", text: latency(probe.head_s) }),
      h("td", { class: "number", text: latency(probe.duration_s) }),
      h("td", { text: probe.detail }),
    ),
  );
  const heads = ["At", "Result", "Connect", "Head", "In all", "What it found"];
  return h(
    "div",
    { class: "scroller", tabindex: 0, role: "region", "aria-label": "probes" },
    h("h3", { text: "Last probes" }),
    rows.length
      ? h(
          "table",
          {},
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              ...heads.map((text, at) =>
                h("th", {
                  scope: "col",
                  class: at > 1 && at < 5 ? "number" : null,
                  text,
                }),
              ),
            ),
          ),
          h("tbody", {}, ...rows),
        )
      : h("p", { class: "aside", text: "None yet." }),
  );
}

/**
 * @param {any[]} failed
 * @param {(id: string) => void} openRequest
 */
function failedPart(failed, openRequest) {
  return h(
    "div",
    {},
    h("h3", { text: "The last that failed there" }),
    h(
      "ul",
      {},
      ...failed.map((each) =>
        h(
          "li",
          {},
          `${clock(each.ended)} `,
          h("button", {
            class: "link mono",
            type: "button",
            text: `${each.method} ${each.target}`,
            onclick: () => openRequest(each.id),
          }),
          ` ${each.status || "no answer"} ${each.label}`,
        ),
      ),
    ),
  );
}

/**
 * @param {string} title
 * @param {string[]} lines
 */
function list(title, lines) {
  return h(
    "div",
    {},
    h("h3", { text: title }),
    h("ul", {}, ...lines.map((text) => h("li", { text }))),
  );
}

/** The phases of a request, as parts of its bar. */
const PHASES = /** @type {[string, string][]} */ ([
  ["queued_s", "queue"],
  ["connect_s", "connect"],
  ["to_head_s", "head"],
]);

/** @param {any} request */
function requestParts(request) {
  return [
    h("p", { class: "lead mono", text: `${request.method} ${request.target}` }),
    h("p", {
      class: "aside",
      text: `id ${request.request_id}, from ${request.client}, ended ${clock(request.ended)}`,
    }),
    phasesPart(request),
    h(
      "dl",
      { class: "story" },
      ...Object.entries(request.story).flatMap(([what, words]) => [
        h("dt", { text: what }),
        h("dd", { text: words }),
      ]),
    ),
  ];
}

/** @param {any} request */
function phasesPart(request) {
  const total = request.total_s || 1e-9;
  const known = PHASES.map(([key, name]) => ({ name, took: request[key] ?? 0 }));
  const rest = Math.max(0, total - known.reduce((all, each) => all + each.took, 0));
  const parts = [...known, { name: "rest", took: rest }].filter(
    (each) => each.took > 0,
  );
  const bar = h("div", { class: "phases", "aria-hidden": "true" });
  for (const { name, took } of parts) {
    const part = h("span", {
      class: `phase ${name}`,
      title: `${name} ${latency(took)}`,
    });
    part.style.flexGrow = String(took / total);
    bar.append(part);
  }
  const legend = parts.map(({ name, took }) =>
    h("li", { class: name, text: `${name} ${latency(took)}` }),
  );
  return h("div", {}, bar, h("ul", { class: "legend" }, ...legend));
}
