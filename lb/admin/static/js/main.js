// @ts-check
/**
 * The page put together: what comes in by the streams goes to the parts that show it.
 *
 * Each part is a class with `tell(figures)`. They are told at most once per frame, and
 * only while the figures are new: when the stream breaks or stands still, the page says
 * so, greys what it shows and counts its age, until it is back.
 */

import { Actions } from "./actions.js";
import { Refusal, call } from "./api.js";
import { Demo } from "./demo.js";
import { byId, h, mark, say } from "./dom.js";
import { Events } from "./events.js";
import { Figures, sum } from "./figures.js";
import { Flow } from "./flow.js";
import { span } from "./format.js";
import { Overview, stateOf } from "./overview.js";
import { Requests } from "./requests.js";
import { showBackend, showRequest } from "./sheets.js";
import { Series } from "./series.js";
import { Stream } from "./stream.js";
import { Table } from "./table.js";
import { Workers } from "./workers.js";

/** Seconds without a snapshot after which figures count as old. */
const STALE_S = 3;

const CHECK_MS = 500;

/** Milliseconds after the opening from which on a page without figures says why. */
const SLOW_MS = 5000;
const REFRESH_MS = 5000;

const page = document.documentElement;
const figures = new Figures();
const series = new Series();
const overview = new Overview();
const flow = new Flow();
const workers = new Workers();
const openRequest = (/** @type {string} */ id) => void showRequest(id);
const openBackend = (/** @type {string} */ name) => void showBackend(name, openRequest);
const events = new Events(openBackend);
const requests = new Requests(openRequest);
const actions = new Actions(() => figures.latest, announce, complain);
const demo = new Demo(announce, complain);
const table = new Table(
  {
    open: openBackend,
    wish: (name, wish) => void actions.wish(name, wish),
    cut: (name, wish) => void actions.cut(name, wish),
    weight: (name) => void actions.weight(name),
    demo: (name, mode) => void demo.misbehave(name, mode).then(show),
  },
  (name) => events.wishes.get(name),
);

/** Why there are no new figures though the stream stands; empty where there are. */
let unavailable = "";
let wasLive = false;
let wasEverLive = false;

/** @type {number | undefined} the step up to which lines are drawn */
let drawnAt;

const snapshots = new Stream(
  "/api/v1/stream",
  {
    snapshot: (data) => {
      unavailable = "";
      figures.take(data);
      series.take(data);
      requestAnimationFrame(show);
    },
    unavailable: (data) => {
      unavailable = data.detail;
      check();
    },
  },
  () => check(),
);

const transitions = new Stream("/api/v1/events/stream", {
  transition: (data) => events.hear(data),
  lost: (data) => events.lose(data.lost),
  begin: () => quietly(events.catchUp()),
});

/** Shows the newest figures everywhere. */
function show() {
  if (!figures.latest) return;
  check();
  overview.tell(figures);
  flow.tell(figures);
  table.tell(figures);
  table.offer(demo, figures.now());
  demo.show(figures.now());
  if (series.at.at(-1) !== drawnAt) draw();
  workers.tell(figures);
  say(byId("footer-about"), `shared file ${figures.latest.state_path}`);
}

/** Draws the lines of the last minutes, which change by the step. */
function draw() {
  drawnAt = series.at.at(-1);
  overview.draw(series);
  table.draw(series);
}

/** Says whether what is shown is new, and what state that is. */
function check() {
  snapshots.check();
  const isLive = Boolean(figures.latest) && figures.age() <= STALE_S && !unavailable;
  const stream = isLive
    ? "live"
    : figures.latest || unavailable
      ? "stale"
      : "connecting";
  mark(page, "data-stream", stream);
  say(byId("link-words"), linkWords(stream));
  const state = isLive ? stateOf(figures.latest) : oldState();
  overview.show(state);
  // A tab that is not looked at gets no news, and so it shows none.
  document.title = document.hidden ? "Evenhand" : `${state.words} · Evenhand`;
  if (isLive !== wasLive) {
    if (isLive && wasEverLive) announce("Figures are live again.");
    wasEverLive ||= isLive;
    wasLive = isLive;
  }
}

/** @param {string} stream */
function linkWords(stream) {
  if (stream === "live") return "live";
  if (!figures.latest) return unavailable ? "no figures" : "connecting";
  return `figures are ${span(figures.age())} old`;
}

/** @returns {import("./overview.js").State} */
function oldState() {
  if (unavailable)
    return {
      level: "down",
      isLoud: true,
      words: "No balancer to be seen",
      why: unavailable,
    };
  if (!figures.latest) {
    const isSlow = performance.now() > SLOW_MS;
    const why = isSlow
      ? "The stream does not open; trying again. 24 may be open at a time."
      : "";
    return { level: "warning", isLoud: isSlow, words: "Connecting", why };
  }
  const last = stateOf(figures.latest);
  const how = snapshots.isOpen
    ? "The admin process says nothing"
    : "The admin process cannot be reached";
  return {
    level: "warning",
    isLoud: true,
    words: "These figures are old",
    why: `${how}; trying again. Last known: ${lower(last.words)}.`,
  };
}

/** @param {string} words */
function lower(words) {
  return words.charAt(0).toLowerCase() + words.slice(1);
}

/** @param {string} words */
function announce(words) {
  say(byId("said"), words);
}

/**
 * @param {string} words
 * @param {string} [backend]
 */
function complain(words, backend) {
  const notice = byId("notice");
  const dismiss = h("button", {
    type: "button",
    class: "quiet",
    text: "Dismiss",
    onclick: () => complain(""),
  });
  notice.replaceChildren(
    ...(words
      ? [h("p", { text: backend ? `${backend}: ${words}` : words }), dismiss]
      : []),
  );
  if (backend) table.complain(backend, words);
}

/**
 * Lets go what the streams say better: that nobody answers.
 * @param {Promise<unknown>} work
 */
function quietly(work) {
  work.catch((error) => {
    if (!(error instanceof Refusal)) throw error;
  });
}

async function loadSeries() {
  await series.load();
  drawnAt = undefined;
}

function refresh() {
  if (document.hidden || page.dataset.stream !== "live") return;
  quietly(requests.refresh(sum(figures.latest.totals.responses)));
  if (demo.isOn) void demo.refresh();
}

document.addEventListener("visibilitychange", () => {
  for (const stream of [snapshots, transitions]) {
    if (document.hidden) stream.close();
    else stream.open();
  }
  figures.pause();
  check();
  if (!document.hidden) quietly(loadSeries());
});

quietly(loadSeries());
snapshots.open();
transitions.open();
setInterval(check, CHECK_MS);
setInterval(refresh, REFRESH_MS);
setTimeout(refresh, 1500);
void demo.refresh();
