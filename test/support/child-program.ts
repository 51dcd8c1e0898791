import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { bundleProgram } from "./bundle-program.ts";
import { within } from "./eventually.ts";
import type { NetworkNamespace } from "./network-namespace.ts";

const ANSWER_TIMEOUT_MS = 10_000;

/** A program of `test/support/children/`, which Node 20 runs only as JavaScript. */
export class ChildProgram {
  readonly #bundle: string;

  /** Bundles it into the build folder, beside the packages that it needs. */
  constructor(name: string) {
    this.#bundle = pathFromHere(`../../build/test/children/${name}.js`);
    bundleProgram(pathFromHere(`children/${name}.ts`), this.#bundle);
  }

  /** Runs it to its end, so that nothing of it is left; returns what it printed. */
  run(namespace: NetworkNamespace, args: readonly string[], input?: string): string {
    const [command, commandArgs] = this.#commandLine(namespace, args);
    return execFileSync(command, commandArgs, { encoding: "utf8", input, stdio: "pipe" });
  }

  /** The same, while this process goes on. */
  async runAside(namespace: NetworkNamespace, args: readonly string[], input: string) {
    const child = spawn(...this.#commandLine(namespace, args), {
      stdio: ["pipe", "ignore", "inherit"],
    });
    child.stdin.end(input);
    const [code] = await once(child, "exit");
    if (code !== 0) throw new Error(`${this.#bundle} ended with ${code}`);
  }

  /** Starts it and waits for its first line, which says that it is ready. */
  async start(namespace: NetworkNamespace, args: readonly string[]): Promise<TalkingChild> {
    const child = new TalkingChild(spawn(...this.#commandLine(namespace, args)));
    await child.nextLine("ready");
    return child;
  }

  #commandLine(namespace: NetworkNamespace, args: readonly string[]): [string, string[]] {
    return namespace.commandLine(process.execPath, [this.#bundle, ...args]);
  }
}

/** A child process that answers each line with a line. */
export class TalkingChild {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #exited: Promise<unknown>;

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#process = child;
    this.#exited = once(child, "exit");
    child.stderr.pipe(process.stderr);
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  async ask(question: string): Promise<string> {
    this.#process.stdin.write(`${question}\n`);
    return this.nextLine(question);
  }

  async nextLine(what: string): Promise<string> {
    const waitOptions = { timeoutMs: ANSWER_TIMEOUT_MS, what: `a child's answer to "${what}"` };
    const { value, done } = await within(this.#lines.next(), waitOptions);
    if (done === true) throw new Error(`the child ended before it answered "${what}"`);
    return value;
  }

  async close(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#exited;
  }
}

function pathFromHere(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}
