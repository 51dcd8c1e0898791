/**
 * The processes of one run folder. A pid file alone doesn't say whose the pid
 * is: after a crash it may belong to a stranger. So every process of ours
 * carries a mark in its environment, and only a process with the mark counts.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { type RunLayout } from "./run-layout.ts";

const MARK = "PACKETWATCH_PROCESS";

/** Reads `/proc/<pid>/environ`: NUL-separated; undefined when there is no such process. */
export type ReadEnviron = (pid: number) => string | undefined;

export class ProcessTable {
  readonly #layout: RunLayout;
  readonly #readEnviron: ReadEnviron;

  constructor(layout: RunLayout, readEnviron: ReadEnviron = readProcEnviron) {
    this.#layout = layout;
    this.#readEnviron = readEnviron;
  }

  /** To be put in the environment of the process that is started under this name. */
  mark(name: string): Readonly<Record<string, string>> {
    return { [MARK]: this.#markValue(name) };
  }

  record(name: string, pid: number): void {
    writeFileSync(this.#layout.pidFile(name), `${pid}\n`);
  }

  forget(name: string): void {
    rmSync(this.#layout.pidFile(name), { force: true });
  }

  /** The pid that is recorded under this name, if that process lives and is ours. */
  livePid(name: string): number | undefined {
    const pid = parsePid(readIfPresent(this.#layout.pidFile(name)));
    return pid !== undefined && this.#isOurs(name, pid) ? pid : undefined;
  }

  #isOurs(name: string, pid: number): boolean {
    const variables = this.#readEnviron(pid)?.split("\0") ?? [];
    return variables.includes(`${MARK}=${this.#markValue(name)}`);
  }

  #markValue(name: string): string {
    return `${this.#layout.runDir}:${name}`;
  }
}

/** A process that has ended but is not yet reaped has an empty environment, so it doesn't count. */
function readProcEnviron(pid: number): string | undefined {
  return readIfPresent(`/proc/${pid}/environ`);
}

function parsePid(text: string | undefined): number | undefined {
  const match = /^([1-9]\d{0,9})\s*$/.exec(text ?? "");
  return match === null ? undefined : Number(match[1]);
}

const isAbsent = (error: unknown) =>
  ["ENOENT", "ENOTDIR", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "");

function readIfPresent(file: string): string | undefined {
  try {
    return readFileSync(file, "latin1");
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}
