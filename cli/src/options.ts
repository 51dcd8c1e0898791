/** Options that several commands have. */
import { InvalidArgumentError, Option } from "commander";
import { durationArgument } from "./duration.ts";

export const DEFAULT_TIMEOUT_SECONDS = 5;
export const DEFAULT_WAIT_SECONDS = 5;
const MAX_TIMEOUT_SECONDS = 3600;

export function timeoutOption(): Option {
  return new Option("--timeout <seconds>", "how long to wait for NATS before giving up")
    .argParser(parseSeconds)
    .default(DEFAULT_TIMEOUT_SECONDS);
}

/** Commands that change something have both: how long hosts may take to confirm it. */
export function waitOptions(): readonly [Option, Option] {
  return [
    new Option("--wait <time>", "how long the hosts may take to confirm it")
      .argParser(durationArgument)
      .default(DEFAULT_WAIT_SECONDS, `${DEFAULT_WAIT_SECONDS}s`),
    new Option("--no-wait", "don't wait for them"),
  ];
}

/** What commander makes of both: false for --no-wait. */
export function waitMsOf(wait: number | false): number {
  return wait === false ? 0 : wait * 1000;
}

export function jsonOption(): Option {
  return new Option("--json", "print JSON, one object a line");
}

export function parseCount(text: string): number {
  const count = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (count < 1) throw new InvalidArgumentError("It is a whole number of at least 1.");
  return count;
}

function parseSeconds(text: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (seconds > 0 && seconds <= MAX_TIMEOUT_SECONDS) return seconds;
  throw new InvalidArgumentError(
    `It is a number of seconds up to ${MAX_TIMEOUT_SECONDS}, such as 5 or 0.5.`,
  );
}
