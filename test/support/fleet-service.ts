import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { waitUntil, within } from "./eventually.ts";
import type { NetworkNamespace } from "./network-namespace.ts";

export type ServiceName = "capture" | "detector" | "enforcer" | "metrics";

/** Environment variables; a service sees these and nothing of the caller's. */
export type Settings = Readonly<Record<string, string>>;

/** A line that a service logged. */
export type LogRecord = Readonly<Record<string, unknown>> & {
  readonly level: string;
  readonly msg: string;
};

const LOG_TIMEOUT_MS = 15_000;
const EXIT_TIMEOUT_MS = 15_000;
/** What is kept of a service's log, and what of it is shown where something fails. */
const MAX_LOG_LINES = 10_000;
const SHOWN_LINES = 15;

export type FleetServiceOptions = {
  readonly service: ServiceName;
  readonly namespace: NetworkNamespace;
  readonly settings: Settings;
  /** A command that starts the service in its turn, such as `["capsh", "--drop=cap_bpf", "--"]`. */
  readonly wrapper?: readonly string[];
};

/** A service of the build folder, as a process in a network namespace, followed through its log. */
export class FleetService {
  readonly service: ServiceName;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #closed: Promise<unknown>;
  readonly #lines: string[] = [];
  readonly #records: LogRecord[] = [];

  constructor({ service, namespace, settings, wrapper = [] }: FleetServiceOptions) {
    this.service = service;
    const command = [...wrapper, process.execPath, "--enable-source-maps", bundlePath(service)];
    const [program, args] = namespace.commandLine(command[0] ?? "", command.slice(1));
    this.#child = spawn(program, args, {
      env: { PATH: process.env["PATH"], ...settings },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => this.#take(line));
    }
    // Closed, not only ended: then all that it logged has been read.
    this.#closed = once(this.#child, "close");
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What it logged as JSON, in order. */
  get records(): readonly LogRecord[] {
    return this.#records;
  }

  /** The end of the log, for the message of a failure. */
  get tail(): string {
    return [`last lines of ${this.service}:`, ...this.#lines.slice(-SHOWN_LINES)].join("\n  ");
  }

  ready(): Promise<LogRecord> {
    return this.logged("ready");
  }

  /** Waits for a line with this message; throws when the service ends without it. */
  async logged(message: string, timeoutMs: number = LOG_TIMEOUT_MS): Promise<LogRecord> {
    const find = () => this.#records.find(({ msg }) => msg === message);
    const what = `${this.service} to log "${message}"`;
    try {
      await waitUntil(() => find() !== undefined || !this.isRunning, { timeoutMs, what });
      if (!this.isRunning) await this.exited();
      const found = find();
      if (found) return found;
    } catch (cause) {
      throw new Error(`${(cause as Error).message}\n${this.tail}`, { cause });
    }
    throw new Error(`${this.service} ended before it logged "${message}"\n${this.tail}`);
  }

  /** Waits for its end; gives the exit code, null where a signal ended it. */
  async exited(): Promise<number | null> {
    const what = `${this.service} to end`;
    await within(this.#closed, { timeoutMs: EXIT_TIMEOUT_MS, what });
    return this.#child.exitCode;
  }

  /** SIGKILL: as a crash. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exited();
  }

  /** SIGTERM, and the exit code. */
  stop(): Promise<number | null> {
    this.#child.kill("SIGTERM");
    return this.exited();
  }

  /** Freezes the process: its connections stay open and silent. */
  pause(): void {
    this.#child.kill("SIGSTOP");
  }

  resume(): void {
    this.#child.kill("SIGCONT");
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  close(): Promise<void> {
    return this.kill();
  }

  #take(line: string): void {
    keep(this.#lines, line);
    if (line.startsWith("{")) keep(this.#records, JSON.parse(line) as LogRecord);
  }
}

function keep<T>(list: T[], item: T): void {
  list.push(item);
  if (list.length > MAX_LOG_LINES) list.shift();
}

function bundlePath(service: ServiceName): string {
  return fileURLToPath(new URL(`../../build/${service}.js`, import.meta.url));
}
