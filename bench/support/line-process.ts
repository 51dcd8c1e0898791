import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { within } from "../../test/support/eventually.ts";
import { here, type Place } from "../../test/support/network-namespace.ts";
import { benchProgram } from "./child-json.ts";

const TIMEOUT_MS = 10_000;

export type LineProcessOptions = {
  /** A bundle beside this one. */
  readonly program: string;
  /** Its argument, as JSON. */
  readonly options: object;
  /** Default: where this process is. */
  readonly place?: Place;
};

/** A program of the bench that answers lines with lines, and ends with its input. */
export class LineProcess {
  readonly #program: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;
  readonly #closed: Promise<unknown>;

  constructor({ program, options, place = here }: LineProcessOptions) {
    const args = [benchProgram(program), JSON.stringify(options)];
    const [file, fileArgs] = place.commandLine(process.execPath, args);
    this.#program = program;
    this.#child = spawn(file, fileArgs, { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#closed = once(this.#child, "close");
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The next line that it prints. */
  async line(): Promise<string> {
    const next = once(this.#lines, "line") as Promise<[string]>;
    const what = `a line of ${this.#program}`;
    const [line] = await within(next, { timeoutMs: TIMEOUT_MS, what });
    return line;
  }

  /** Sends an empty line. */
  trigger(): void {
    this.#child.stdin.write("\n");
  }

  /** Asks, and gives the answer. */
  ask(): Promise<string> {
    const answer = this.line();
    this.trigger();
    return answer;
  }

  async close(): Promise<void> {
    this.#child.stdin.end();
    await this.#closed;
  }
}
