import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { within } from "../../test/support/eventually.ts";
import type { NetworkNamespace } from "../../test/support/network-namespace.ts";
import type { Relay } from "../load/relay.ts";
import { benchProgram } from "../support/child-json.ts";

const TIMEOUT_MS = 10_000;
/** In place of the attempts and of the verdicts. */
const FIRST_SUBJECT = "bench.relay.1";
const SECOND_SUBJECT = "bench.relay.2";

export type RelayChainOptions = {
  /** Where the services run whose way it takes. */
  readonly namespace: NetworkNamespace;
  readonly server: string;
};

/**
 * Three processes that hand one message on, as capture, detector and enforcer do, over plain NATS and without looking at
 * it: less than this no reaction can take.
 */
export class RelayChain {
  readonly #relays: readonly RelayProcess[];

  private constructor(relays: readonly RelayProcess[]) {
    this.#relays = relays;
  }

  static async start({ namespace, server }: RelayChainOptions): Promise<RelayChain> {
    const links: readonly Relay[] = [
      { server, to: FIRST_SUBJECT },
      { server, from: FIRST_SUBJECT, to: SECOND_SUBJECT },
      { server, from: SECOND_SUBJECT },
    ];
    const chain = new RelayChain(links.map((link) => new RelayProcess(namespace, link)));
    try {
      await Promise.all(chain.#relays.map((relay) => relay.line()));
      return chain;
    } catch (error) {
      await chain.close();
      throw error;
    }
  }

  /** Milliseconds from the publish of the first to the last one's turn. */
  async pass(): Promise<number> {
    const [source, , end] = this.#relays as readonly [RelayProcess, RelayProcess, RelayProcess];
    const told = end.line();
    source.trigger();
    return Number(await told) / 1e6;
  }

  async close(): Promise<void> {
    await Promise.all(this.#relays.map((relay) => relay.close()));
  }
}

class RelayProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;
  readonly #closed: Promise<unknown>;

  constructor(namespace: NetworkNamespace, relay: Relay) {
    const args = [benchProgram("relay"), JSON.stringify(relay)];
    const [file, fileArgs] = namespace.commandLine(process.execPath, args);
    this.#child = spawn(file, fileArgs, { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#closed = once(this.#child, "close");
  }

  /** The next line that it prints. */
  async line(): Promise<string> {
    const next = once(this.#lines, "line") as Promise<[string]>;
    const [line] = await within(next, { timeoutMs: TIMEOUT_MS, what: "a relay" });
    return line;
  }

  trigger(): void {
    this.#child.stdin.write("\n");
  }

  async close(): Promise<void> {
    this.#child.stdin.end();
    await this.#closed;
  }
}
