import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { waitUntil, within } from "./eventually.ts";

const TIMEOUT_MS = 30_000;
const repository = fileURLToPath(new URL("../../", import.meta.url));

/** A copy of examples/ outside of the repository, as a reader makes it; its packages are those that are installed. */
export class ExamplesCopy {
  readonly folder = mkdtempSync(join(tmpdir(), "packetwatch-examples-"));

  constructor() {
    cpSync(join(repository, "examples"), this.folder, { recursive: true });
    symlinkSync(join(repository, "node_modules"), join(this.folder, "node_modules"));
  }

  start(command: readonly string[], environment: Readonly<Record<string, string>>): ExampleProcess {
    return new ExampleProcess(this.folder, command, environment);
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One example that runs: `command` is as in the documentation, `node node/watch.mjs`. */
export class ExampleProcess {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #output = "";

  constructor(
    folder: string,
    command: readonly string[],
    environment: Readonly<Record<string, string>>,
  ) {
    const [program = "", ...args] = command;
    const child = spawn(program === "node" ? process.execPath : program, args, {
      cwd: folder,
      env: { PATH: process.env["PATH"], ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => (this.#output += chunk.toString()));
    }
    this.#child = child;
    this.#closed = once(child, "close");
  }

  get output(): string {
    return this.#output;
  }

  get lines(): readonly string[] {
    return this.#output.split("\n").filter((line) => line !== "");
  }

  printed(text: string | RegExp): Promise<unknown> {
    return waitUntil(() => this.#output.match(text), {
      timeoutMs: TIMEOUT_MS,
      what: `${text} in ${JSON.stringify(this.#output)}`,
    });
  }

  /** Waits for its end; its exit code, null where a signal ended it. */
  async exited(): Promise<number | null> {
    await within(this.#closed, { timeoutMs: TIMEOUT_MS, what: "the example to end" });
    return this.#child.exitCode;
  }

  stop(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
    this.#child.kill(signal);
    return this.exited();
  }

  async close(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
  }
}
