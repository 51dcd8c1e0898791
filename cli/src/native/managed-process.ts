/** One process of the native runtime, from its start to its end. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { LogFollower, lastLines, openLog, sizeOf } from "./log-file.ts";
import { type Environment } from "@packetwatch/config";
import { type ProcessTable } from "./process-table.ts";
import { type Program } from "./programs.ts";
import { type RunLayout } from "./run-layout.ts";

const READY_POLL_MS = 20;
/** A program that doesn't say when it is ready counts as ready when it has lived this long. */
const SETTLE_MS = 3000;

export type ProcessContext = {
  readonly layout: RunLayout;
  readonly table: ProcessTable;
  readonly environment: Environment;
  readonly cwd: string;
};

export type ProcessEnd = {
  /** `exit code 1`, `SIGKILL`, or why it could not be started. */
  readonly how: string;
  readonly ranForMs: number;
};

export class ManagedProcess {
  readonly program: Program;
  /** Never rejects. */
  readonly ended: Promise<ProcessEnd>;
  #end: ProcessEnd | undefined;
  readonly #child: ChildProcess;
  readonly #follower: LogFollower;
  readonly #logFile: string;
  readonly #logStart: number;

  constructor(program: Program, context: ProcessContext) {
    this.program = program;
    this.#logFile = context.layout.logFile(program.name);
    this.#logStart = sizeOf(this.#logFile);
    this.#follower = new LogFollower(this.#logFile);
    this.#child = spawnLogged(program, context);
    this.ended = this.#watchEnd();
    if (this.#child.pid !== undefined) context.table.record(program.name, this.#child.pid);
  }

  /** Resolves to "ready", to how it ended before that, or to "late" after the time-out. */
  async ready(
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<"ready" | "late" | "aborted" | ProcessEnd> {
    const { isReady } = this.program;
    const startedAt = performance.now();
    while (!signal.aborted) {
      // Read before the log: what it logged before its end counts.
      const ended = this.#end;
      if (isReady !== undefined && this.#follower.newLines().some(isReady)) return "ready";
      if (ended !== undefined) return ended;
      const elapsedMs = performance.now() - startedAt;
      if (isReady === undefined && elapsedMs > SETTLE_MS) return "ready";
      if (elapsedMs > timeoutMs) return "late";
      await delay(READY_POLL_MS);
    }
    return "aborted";
  }

  /** The last lines of this run, not of an earlier one. */
  lastLines(): readonly string[] {
    return lastLines(this.#logFile, this.#logStart);
  }

  /** SIGTERM, and SIGKILL to its whole process group when the drain takes longer than it may. */
  async stop(timeoutMs: number): Promise<"drained" | "killed"> {
    this.#child.kill("SIGTERM");
    const drained = await Promise.race([this.ended, delay(timeoutMs, undefined, { ref: false })]);
    if (drained !== undefined) return "drained";
    killGroup(this.#child);
    await this.ended;
    return "killed";
  }

  #watchEnd(): Promise<ProcessEnd> {
    const startedAt = performance.now();
    return new Promise((resolve) => {
      const finish = (how: string) => {
        this.#end ??= { how, ranForMs: performance.now() - startedAt };
        resolve(this.#end);
      };
      this.#child.once("error", (error) => finish(error.message));
      this.#child.once("exit", (code, signal) => finish(signal ?? `exit code ${code}`));
    });
  }
}

/** In a process group of its own, so that a Ctrl-C doesn't reach it before the orderly stop. */
function spawnLogged(program: Program, context: ProcessContext): ChildProcess {
  const log = openLog(context.layout.logFile(program.name));
  try {
    return spawn(program.command, [...program.args], {
      cwd: context.cwd,
      env: {
        ...context.environment,
        ...program.environment,
        ...context.table.mark(program.name),
      },
      detached: true,
      stdio: ["ignore", log, log],
    });
  } finally {
    closeSync(log);
  }
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  process.kill(-child.pid, "SIGKILL");
}
