// @ts-check
/**
 * Elements made by hand: the one place where nodes are created.
 *
 * Names of backends, targets and reasons come from settings and from clients, so text
 * only ever becomes a text node. There is no innerHTML in this page, and the
 * Content-Security-Policy would refuse scripts and styles inside of it.
 */

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Record<string, any>} Props what an element has: see `adorn` */

/**
 * An element with attributes, listeners and children.
 * @param {string} tag
 * @param {Props} [props]
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {any}
 */
export function h(tag, props = {}, ...children) {
  return fill(adorn(document.createElement(tag), props), children);
}

/**
 * The same for SVG.
 * @param {string} tag
 * @param {Props} [props]
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {any}
 */
export function s(tag, props = {}, ...children) {
  return fill(adorn(document.createElementNS(SVG, tag), props), children);
}

/**
 * `onclick` and the like are listeners, `text` is the content, `data` is the dataset,
 * all else are attributes; what is null, undefined or false is left out.
 * @param {any} node
 * @param {Props} props
 */
function adorn(node, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "text") node.textContent = value;
    else if (name === "data") Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  return node;
}

/**
 * @param {any} node
 * @param {(Node | string | null | undefined | false)[]} children
 */
function fill(node, children) {
  node.append(...children.filter((child) => child || child === ""));
  return node;
}

/**
 * Sets text only where it changed: a text that is set again is laid out again.
 * @param {Node} node
 * @param {string | number} text
 */
export function say(node, text) {
  const wanted = String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
}

/**
 * Sets an attribute only where it changed; null takes it away.
 * @param {Element} node
 * @param {string} name
 * @param {string | number | null} value
 */
export function mark(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value))
    node.setAttribute(name, String(value));
}

/**
 * The element of the page with this id, which is there.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/**
 * Children in this order, moving only those that are elsewhere.
 * @param {Element} parent
 * @param {Element[]} wanted
 */
export function arrange(parent, wanted) {
  wanted.forEach((child, at) => {
    if (parent.children[at] !== child)
      parent.insertBefore(child, parent.children[at] ?? null);
  });
  while (parent.children.length > wanted.length) parent.lastElementChild?.remove();
}
