/** Options that several commands have. */
import { InvalidArgumentError, Option } from "commander";

export const DEFAULT_TIMEOUT_SECONDS = 5;
const MAX_TIMEOUT_SECONDS = 3600;

export function timeoutOption(): Option {
  return new Option("--timeout <seconds>", "how long to wait for NATS before giving up")
    .argParser(parseSeconds)
    .default(DEFAULT_TIMEOUT_SECONDS);
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
