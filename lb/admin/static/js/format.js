// @ts-check
/**
 * Numbers and times as people read them: short, with units, three digits of worth.
 */

const NOTHING = "–";

/**
 * A number of things each second, or null: "0", "0.4", "12.3", "1,234", "56.7k".
 * @param {number | null | undefined} value
 */
export function rate(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value === 0) return "0";
  if (value < 0.1) return "<0.1";
  if (value < 99.95) return value.toFixed(1);
  if (value < 9999.5) return count(Math.round(value));
  return `${(value / 1000).toFixed(1)}k`;
}

/**
 * A whole number with separators.
 * @param {number} value
 */
export function count(value) {
  return value.toLocaleString("en-US");
}

/**
 * Seconds of a latency or null: "0.61 ms", "12.3 ms", "456 ms", "1.23 s".
 * @param {number | null | undefined} seconds
 */
export function latency(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  const ms = seconds * 1000;
  if (ms < 9.995) return `${ms.toFixed(2)} ms`;
  if (ms < 99.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  return `${(ms / 1000).toFixed(2)} s`;
}

/**
 * A share from 0 to 1, or null: "0 %", "0.02 %", "33 %".
 * @param {number | null | undefined} value
 */
export function percent(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value === 0) return "0 %";
  const hundred = value * 100;
  if (hundred < 0.01) return "<0.01 %";
  if (hundred < 1) return `${hundred.toFixed(2)} %`;
  if (hundred < 9.95) return `${hundred.toFixed(1)} %`;
  return `${hundred.toFixed(0)} %`;
}

/**
 * How long something lasts: "4 s", "3 min", "2 h", "5 d".
 * @param {number} seconds
 */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 120) return `${whole} s`;
  if (whole < 7200) return `${Math.round(whole / 60)} min`;
  if (whole < 172800) return `${Math.round(whole / 3600)} h`;
  return `${Math.round(whole / 86400)} d`;
}

/**
 * The time of day of a unix time, in the reader's zone: "14:03:27".
 * @param {number} at
 */
export function clock(at) {
  return new Date(at * 1000).toLocaleTimeString("en-GB");
}

/**
 * "1 backend", "3 backends".
 * @param {number} many
 * @param {string} what
 */
export function things(many, what) {
  return `${count(many)} ${what}${many === 1 ? "" : "s"}`;
}
