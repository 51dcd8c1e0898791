import { execFile } from "node:child_process";
import { isIPv6 } from "node:net";
import type { Place } from "./network-namespace.ts";

export type Visit = {
  readonly from: Place;
  /** One of that network's addresses; default: what the route says. */
  readonly source?: string;
  readonly address: string;
  readonly port: number;
  /** That many connections, one after the other; default 1. */
  readonly times?: number;
};

/** What a server answered, in one word or several, or what came of the attempt instead. */
export type Answer = string;

/** Shorter than the second after which a SYN is sent again: one connection is one SYN. */
const CONNECT_TIMEOUT_SECONDS = 0.7;
const ANSWER_TIMEOUT_SECONDS = 10;

/** curl's exit codes: EXIT CODES of curl(1). */
const failures: Readonly<Record<number, Answer>> = {
  7: "refused",
  28: "timed out",
  52: "empty",
  56: "reset",
};

/** Fetches `/` over HTTP, in a connection of its own each time. */
export function visit({ from, source, address, port, times = 1 }: Visit): Promise<Answer> {
  const [command, args] = from.commandLine("curl", [
    ...["-q", "--silent", "--globoff", "--noproxy", "*", "--header", "Connection: close"],
    ...["--connect-timeout", String(CONNECT_TIMEOUT_SECONDS)],
    ...["--max-time", String(ANSWER_TIMEOUT_SECONDS)],
    ...(source === undefined ? [] : ["--interface", `host!${source}`]),
    ...Array.from({ length: times }, () => `http://${urlHost(address)}:${port}/`),
  ]);
  return new Promise((resolve) => {
    execFile(command, args, (error, stdout) => resolve(error ? failureOf(error) : stdout));
  });
}

function failureOf(error: Error): Answer {
  const code = Number((error as NodeJS.ErrnoException).code);
  return failures[code] ?? error.message;
}

function urlHost(address: string): string {
  return isIPv6(address) ? `[${address}]` : address;
}
