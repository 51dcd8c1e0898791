/** A service in a process of its own, and what it logs. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { bundleProgram } from "./bundle-program.ts";
import { waitUntil, within } from "./eventually.ts";

const LINE_TIMEOUT_MS = 20_000;
const EXIT_TIMEOUT_MS = 20_000;
const BUNDLES = fileURLToPath(new URL("../../build/test/services", import.meta.url));

/** Bundles a TypeScript file, which Node 20 can't run; returns what it can. */
export function bundleService(file: string, name: string = basename(file, ".ts")): string {
  const outfile = join(BUNDLES, `${name}.js`);
  bundleProgram(file, outfile);
  return outfile;
}

export type LoggedLine = {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
};

export type ServiceProcessOptions = {
  readonly bundle: string;
  readonly args?: readonly string[];
  /** All that it has of an environment, besides PATH. */
  readonly environment?: Readonly<Record<string, string>>;
};

export class ServiceProcess {
  /** What it logged, in order; a line that isn't JSON has the level "none". */
  readonly lines: LoggedLine[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor({ bundle, args = [], environment = {} }: ServiceProcessOptions) {
    const child = spawn(process.execPath, [bundle, ...args], {
      env: { PATH: process.env["PATH"] ?? "", ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    // Closed, not only ended: then all that it logged has been read.
    this.#ended = once(child, "close");
    for (const output of [child.stdout, child.stderr]) {
      createInterface({ input: output }).on("line", (line) => this.lines.push(parseLine(line)));
    }
  }

  /** The messages in order, without the fields. */
  get messages(): readonly string[] {
    return this.lines.map(({ msg }) => msg);
  }

  logged(message: string): Promise<LoggedLine> {
    return waitUntil(() => this.lines.find(({ msg }) => msg === message), {
      timeoutMs: LINE_TIMEOUT_MS,
      what: `the line "${message}" among ${JSON.stringify(this.messages)}`,
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Its exit code, or the name of the signal that ended it. */
  async exit(): Promise<number | string | null> {
    await within(this.#ended, { timeoutMs: EXIT_TIMEOUT_MS, what: "the process to end" });
    return this.#child.exitCode ?? this.#child.signalCode;
  }

  /** Ends it where it still runs. */
  async close(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}

function parseLine(line: string): LoggedLine {
  try {
    return JSON.parse(line) as LoggedLine;
  } catch {
    return { level: "none", msg: line };
  }
}
