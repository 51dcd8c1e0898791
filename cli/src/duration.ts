/** Lengths of time on the command line: `90`, `90s`, `1.5m`, `2h`, `1d`, `500ms`. */
import { InvalidArgumentError } from "commander";

const units = [
  ["d", 86_400],
  ["h", 3600],
  ["m", 60],
  ["s", 1],
  ["ms", 0.001],
] as const;

/** Timers hold less than 25 days. */
const MAX_DURATION_SECONDS = 20 * 86_400;

/** Seconds; undefined where the text is no length of time. Without a unit it is seconds. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text.trim());
  if (match === null) return undefined;
  const size = units.find(([unit]) => unit === (match[2] ?? "s"))?.[1];
  return size === undefined ? undefined : Number(match[1]) * size;
}

/** For options: seconds, or commander's error. */
export function durationArgument(text: string): number {
  const seconds = parseDuration(text) ?? 0;
  if (seconds > 0 && seconds <= MAX_DURATION_SECONDS) return seconds;
  throw new InvalidArgumentError("It is a time up to 20d, such as 90s, 10m, 1.5h or 2d.");
}

/** As PW_BLOCK_TTL. */
const MAX_LONG_SECONDS = 10 * 365 * 86_400;

/** For options that no timer waits for, such as the end of a block: seconds, or commander's error. */
export function longDurationArgument(text: string): number {
  const seconds = parseDuration(text) ?? 0;
  if (seconds >= 1 && seconds <= MAX_LONG_SECONDS) return seconds;
  const longest = formatDuration(MAX_LONG_SECONDS);
  throw new InvalidArgumentError(
    `It is a time from 1s to ${longest}, such as 90s, 10m, 1.5h or 30d.`,
  );
}

/** `2h 5m`, `1m 30s`, `0.25s`: the two largest units. */
export function formatDuration(seconds: number): string {
  if (seconds < 1) return `${Number(seconds.toFixed(3))}s`;
  let rest = Math.round(seconds);
  const parts: string[] = [];
  for (const [unit, size] of units.slice(0, 4)) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return parts.slice(0, 2).join(" ");
}
