// @ts-check
/**
 * A stream of Server-Sent Events that comes back by itself, and says when it is silent.
 *
 * The browser's own EventSource gives up for good after an answer such as 503, and does
 * not notice a server that stands still. So each failure closes it and a timer opens it
 * anew, and who listens asks how long nothing has come. Hidden pages close their
 * streams: a browser opens six connections to a server at most, over all its tabs.
 */

const AGAIN_MS = 1000;

/** After so many milliseconds without a word a stream that is open is given up. */
const SILENT_MS = 12_000;

export class Stream {
  /**
   * @param {string} path
   * @param {Record<string, (data: any, id: string) => void>} hear by the kind of event
   * @param {() => void} [changed] told when it opens or breaks
   */
  constructor(path, hear, changed = () => {}) {
    this.path = path;
    this.hear = hear;
    this.changed = changed;
    /** @type {EventSource | null} */
    this.source = null;
    /** Whether the connection stands, as far as one can know. */
    this.isOpen = false;
    this.heardAt = performance.now();
    this.timer = 0;
  }

  /** Opens it; it stays open until `close`. */
  open() {
    if (this.source) return;
    clearTimeout(this.timer);
    this.heardAt = performance.now();
    const source = new EventSource(this.path);
    this.source = source;
    source.onopen = () => this.#is(true);
    source.onerror = () => this.#again();
    for (const [kind, hear] of Object.entries(this.hear)) {
      source.addEventListener(kind, (event) => {
        this.heardAt = performance.now();
        hear(JSON.parse(event.data), event.lastEventId);
      });
    }
  }

  /** Gives up one that is open and says nothing, to try a new one. */
  check() {
    if (this.source && performance.now() - this.heardAt > SILENT_MS) this.#again();
  }

  /** Closes it, until `open`. */
  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
    this.#is(false);
  }

  #again() {
    this.close();
    this.timer = window.setTimeout(() => this.open(), AGAIN_MS);
  }

  /** @param {boolean} isOpen */
  #is(isOpen) {
    if (this.isOpen === isOpen) return;
    this.isOpen = isOpen;
    this.changed();
  }
}
