import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { within } from "./eventually.ts";
import type { NetworkNamespace } from "./network-namespace.ts";

const END_TIMEOUT_MS = 5000;
const MAX_OUTPUT_CHARACTERS = 16 * 1024;

/** A program, with the processes that it starts, that runs in a namespace until it ends or is closed. */
export class BackgroundCommand {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #output = "";

  constructor(namespace: NetworkNamespace, [command, ...args]: readonly [string, ...string[]]) {
    const child = spawn(...namespace.commandLine(command, args), {
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own, to be ended as a whole: hping3 forks.
      detached: true,
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString()).slice(-MAX_OUTPUT_CHARACTERS);
      });
    }
    this.#child = child;
    this.#closed = once(child, "close");
  }

  /** The end of what it printed. */
  get output(): string {
    return this.#output;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async close(): Promise<void> {
    this.#killGroup();
    await within(this.#closed, { timeoutMs: END_TIMEOUT_MS, what: "a killed command to end" });
  }

  #killGroup(): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch (error) {
      // All of them have ended.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}
