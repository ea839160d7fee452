// @ts-check
/**
 * Dialogs: questions with an answer, and sheets that only tell something.
 *
 * The browser's own `dialog` keeps the focus inside, closes on Escape and gives the
 * focus back. One may open another, which lies above it.
 */

import { h } from "./dom.js";

let opened = 0;

/**
 * An open dialog: `body` is to be filled, `closed` settles with the answer given.
 * @typedef {{node: HTMLDialogElement, body: HTMLElement, closed: Promise<string>}} Opened
 */

/**
 * Opens a dialog with a title and a button that closes it.
 * @param {string} title
 * @param {{wide?: boolean, asks?: boolean}} [how] one that asks has its own buttons
 * @returns {Opened}
 */
export function open(title, { wide = false, asks = false } = {}) {
  const body = h("div", { class: "dialog-body" });
  const id = `dialog-${++opened}`;
  const node = h(
    "dialog",
    { class: wide ? "sheet wide" : "sheet", "aria-labelledby": id },
    h(
      "div",
      { class: "dialog-head" },
      h("h2", { id, text: title }),
      !asks &&
        h("button", {
          class: "quiet",
          type: "button",
          text: "Close",
          onclick: () => node.close(""),
        }),
    ),
    body,
  );
  /** @type {Promise<string>} */
  const closed = new Promise((settle) => {
    node.addEventListener("close", () => {
      node.remove();
      settle(node.returnValue);
    });
  });
  // A click beside it closes it, as people expect; the box itself fills the node.
  node.addEventListener("click", (/** @type {Event} */ event) => {
    if (event.target === node) node.close("");
  });
  document.body.append(node);
  node.showModal();
  return { node, body, closed };
}

/**
 * Asks a question with a form of one field or none; the answer, or null if it was left.
 * @param {string} title
 * @param {{about: string, yes: string, field?: HTMLInputElement, label?: string, danger?: boolean}} what
 * @returns {Promise<string | null>}
 */
export async function ask(title, { about, yes, field, label, danger = false }) {
  const { node, body, closed } = open(title, { asks: true });
  const form = h(
    "form",
    {
      method: "dialog",
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        node.close(`yes:${field?.value ?? ""}`);
      },
    },
    h("p", { text: about }),
    field && h("label", {}, label ?? "", field),
    h(
      "div",
      { class: "dialog-foot" },
      h("button", { type: "button", text: "Cancel", onclick: () => node.close("") }),
      h("button", { type: "submit", class: danger ? "danger" : "primary", text: yes }),
    ),
  );
  body.append(form);
  (field ?? form.querySelector("button")).focus();
  field?.select();
  const answer = await closed;
  return answer.startsWith("yes:") ? answer.slice("yes:".length) : null;
}

/**
 * The token, or null.
 * @param {boolean} wasWrong whether one was given and refused
 */
export function askToken(wasWrong) {
  const field = h("input", {
    type: "password",
    name: "token",
    autocomplete: "off",
    required: true,
  });
  return ask(wasWrong ? "That was not the token" : "A token is needed", {
    about:
      "Changes need the token of the setting admin.token. It is kept until this tab is closed.",
    yes: "Go on",
    field,
    label: "Token",
  });
}
