/** A nats-server as a process of this machine. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { announce } from "./announce.ts";
import { waitUntil } from "./eventually.ts";
import type { NatsRun, NatsRunOptions } from "./nats-run.ts";

/** Names the binary; in place of the one that `make setup` leaves, or of the one on PATH. */
const BINARY_VARIABLE = "PW_NATS_SERVER";
const FETCHED_BINARY = fileURLToPath(new URL("../../.tools/bin/nats-server", import.meta.url));
/** Per-message TTL came with it. */
const OLDEST = [2, 11] as const;

const STOP_TIMEOUT_MS = 10_000;

/** Throws when there is no binary: the tests need a real server. */
export class NatsProcess implements NatsRun {
  readonly #child: ChildProcess;

  constructor({ port, store, arguments: more, onOutput }: NatsRunOptions) {
    const args = ["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", store, ...more];
    const child = spawn(findBinary(), args, { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.on("data", (chunk: Buffer) => onOutput(chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => onOutput(chunk.toString()));
    child.on("error", (error) => onOutput(`${error.message}\n`));
    endWithThisProcess(child);
    this.#child = child;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get hasEnded(): boolean {
    const { pid, exitCode, signalCode } = this.#child;
    return pid === undefined || exitCode !== null || signalCode !== null;
  }

  /** After SIGSTOP it resolves when the last of the threads has stopped. */
  async signal(signal: NodeJS.Signals): Promise<void> {
    if (!this.#child.kill(signal)) throw new Error(`nats-server isn't running: no ${signal}`);
    if (signal !== "SIGSTOP") return;
    const waitOptions = { timeoutMs: STOP_TIMEOUT_MS, what: "nats-server to be stopped" };
    await waitUntil(() => isStopped(this.#child.pid ?? 0), waitOptions);
  }

  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    if (this.hasEnded) return;
    // A frozen process takes no SIGTERM.
    this.#child.kill("SIGCONT");
    this.#child.kill(signal);
    if (await this.#endsInTime()) return;
    this.#child.kill("SIGKILL");
    if (await this.#endsInTime()) return;
    throw new Error(`nats-server (pid ${this.#child.pid}) did not end`);
  }

  #endsInTime(): Promise<boolean> {
    const waitOptions = { timeoutMs: STOP_TIMEOUT_MS, what: "nats-server to end" };
    return waitUntil(() => this.hasEnded, waitOptions).then(
      () => true,
      () => false,
    );
  }
}

/** On a machine that others use too, a thread may answer a little longer after the signal. */
function isStopped(pid: number): boolean {
  const tasks = readdirSync(`/proc/${pid}/task`);
  return tasks.every((task) => {
    const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).startsWith("T");
  });
}

/** A test run that is cut short leaves no server behind. */
function endWithThisProcess(child: ChildProcess): void {
  const end = () => child.kill("SIGKILL");
  process.once("exit", end);
  child.once("exit", () => process.off("exit", end));
}

/** The first of these that is there and new enough; says once in a process which it is. */
function findBinary(): string {
  const named = process.env[BINARY_VARIABLE];
  const candidates = named ? [named] : [FETCHED_BINARY, ...onPath("nats-server")];
  for (const binary of candidates.filter(isExecutable)) {
    const version = versionOf(binary);
    if (!isNewEnough(version)) continue;
    announce(`nats-server ${version.join(".")} (${binary})`);
    return binary;
  }
  throw new Error(
    `no nats-server >= ${OLDEST.join(".")} (looked at: ${candidates.join(", ")}): run 'make setup', ` +
      `or name one in ${BINARY_VARIABLE}`,
  );
}

function onPath(program: string): string[] {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, program)).filter((file) => existsSync(file));
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function versionOf(binary: string): number[] {
  const printed = execFileSync(binary, ["--version"], { encoding: "utf8" });
  const match = /v(\d+)\.(\d+)\.(\d+)/.exec(printed);
  return match ? match.slice(1).map(Number) : [0, 0, 0];
}

function isNewEnough([major = 0, minor = 0]: readonly number[]): boolean {
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}
