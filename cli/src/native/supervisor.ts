/**
 * Starts the programs of one host, keeps them running, stops them in reverse
 * order. The services keep no watch over each other: this is the one place.
 */
import { setTimeout as delay } from "node:timers/promises";
import { countDeaths, restartDelayMs } from "./backoff.ts";
import { attachedModes, errorLines, explainingLines } from "./log-lines.ts";
import { boundLog, lastLines } from "./log-file.ts";
import { ManagedProcess, type ProcessContext, type ProcessEnd } from "./managed-process.ts";
import { NativeError } from "./native-error.ts";
import { type Program } from "./programs.ts";
import { type Tell } from "./supervisor-messages.ts";

const READY_TIMEOUT_MS = 30_000;
const LOG_BOUND_INTERVAL_MS = 10_000;
const ERROR_LINES = 8;

export type SupervisorOptions = {
  readonly context: ProcessContext;
  readonly tell: Tell;
  /** How long a process may take to end after SIGTERM. */
  readonly stopTimeoutMs: number;
  /** Aborted when everything has to stop, during the start too. */
  readonly signal: AbortSignal;
  /** For what goes wrong after the start, other than the death of a process. */
  readonly fail: (error: unknown) => void;
};

export class Supervisor {
  /** In start order; a restarted process takes the place of the one that died. */
  readonly #processes = new Map<string, ManagedProcess>();
  readonly #boundTimer: NodeJS.Timeout;
  readonly #options: SupervisorOptions;
  readonly #stopping = new AbortController();
  readonly #stopSignal: AbortSignal;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#stopSignal = AbortSignal.any([options.signal, this.#stopping.signal]);
    this.#boundTimer = setInterval(() => this.#boundLogs(), LOG_BOUND_INTERVAL_MS);
  }

  /** Starts them together and waits until all are ready; throws START_FAILED when one is not. */
  async start(programs: readonly Program[]): Promise<void> {
    if (this.#stopSignal.aborted) return;
    const started = programs.map((program) => this.#spawn(program));
    await Promise.all(started.map((one) => this.#waitUntilReady(one)));
    for (const one of started) this.#keepRunning(one).catch(this.#options.fail);
  }

  /** XDP mode by interface, as capture last reported it. */
  modes(): ReadonlyMap<string, string> {
    return attachedModes(lastLines(this.#options.context.layout.logFile("capture")));
  }

  /** In reverse order, each one bounded; closing twice is harmless. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#boundTimer);
    for (const [name, managed] of [...this.#processes].reverse()) {
      const { stopTimeoutMs } = this.#options;
      const result = await managed.stop(stopTimeoutMs);
      if (result === "killed")
        this.#notice(`${name} did not stop within ${stopTimeoutMs / 1000} s and was killed`);
      this.#options.context.table.forget(name);
    }
    this.#processes.clear();
  }

  #spawn(program: Program): ManagedProcess {
    const managed = new ManagedProcess(program, this.#options.context);
    this.#processes.set(program.name, managed);
    return managed;
  }

  async #waitUntilReady(managed: ManagedProcess): Promise<void> {
    const outcome = await managed.ready(READY_TIMEOUT_MS, this.#stopSignal);
    if (outcome === "ready" || outcome === "aborted") return;
    throw new NativeError("START_FAILED", this.#describeFailedStart(managed, outcome));
  }

  #describeFailedStart(managed: ManagedProcess, outcome: "late" | ProcessEnd): string {
    const { name, wayOut } = managed.program;
    const what =
      outcome === "late"
        ? `is not ready after ${READY_TIMEOUT_MS / 1000} s`
        : `did not start (${outcome.how})`;
    const lines = [
      `${name} ${what}`,
      ...explainingLines(managed.lastLines(), ERROR_LINES).map((line) => `  ${line}`),
      ...(wayOut === undefined ? [] : [wayOut]),
      `its log is ${this.#options.context.layout.logFile(name)}`,
    ];
    return lines.join("\n");
  }

  async #keepRunning(first: ManagedProcess): Promise<void> {
    const signal = this.#stopSignal;
    let managed = first;
    let deaths = 0;
    for (;;) {
      const end = await managed.ended;
      if (signal.aborted) return;
      deaths = countDeaths(deaths, end.ranForMs);
      const delayMs = restartDelayMs(deaths);
      this.#noticeDeath(managed, { end, delayMs });
      if (!(await waited(delayMs, signal))) return;
      managed = this.#spawn(managed.program);
      void this.#noticeReturn(managed);
    }
  }

  #noticeDeath(
    managed: ManagedProcess,
    death: { readonly end: ProcessEnd; readonly delayMs: number },
  ): void {
    const [why] = errorLines(managed.lastLines()).slice(-1);
    this.#notice(
      `${managed.program.name} died (${death.end.how})${why === undefined ? "" : `: ${why}`}; restarting it in ${death.delayMs / 1000} s`,
    );
  }

  async #noticeReturn(managed: ManagedProcess): Promise<void> {
    const outcome = await managed.ready(READY_TIMEOUT_MS, this.#stopSignal);
    if (outcome === "ready") this.#notice(`${managed.program.name} is back`);
    if (outcome === "late")
      this.#notice(`${managed.program.name} is not ready after ${READY_TIMEOUT_MS / 1000} s`);
  }

  #notice(text: string): void {
    this.#options.tell({ kind: "notice", text });
  }

  #boundLogs(): void {
    for (const name of this.#processes.keys()) {
      try {
        boundLog(this.#options.context.layout.logFile(name));
      } catch (error) {
        // A full disk must not end what runs; the next attempt may do better.
        this.#notice(`the log of ${name} can't be bounded: ${(error as Error).message}`);
      }
    }
  }
}

/** False when the wait was cut short. */
async function waited(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  try {
    await delay(milliseconds, undefined, { signal });
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}
