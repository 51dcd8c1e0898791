import type { NetworkNamespace } from "../../test/support/network-namespace.ts";
import type { Relay } from "../load/relay.ts";
import { LineProcess } from "../support/line-process.ts";

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
  readonly #relays: readonly [source: LineProcess, relay: LineProcess, end: LineProcess];

  constructor({ namespace: place, server }: RelayChainOptions) {
    const start = (subjects: Omit<Relay, "server">) =>
      new LineProcess({ program: "relay", options: { server, ...subjects }, place });
    this.#relays = [
      start({ to: FIRST_SUBJECT }),
      start({ from: FIRST_SUBJECT, to: SECOND_SUBJECT }),
      start({ from: SECOND_SUBJECT }),
    ];
  }

  /** Call it at once, and wait for it before the first pass. */
  async ready(): Promise<void> {
    await Promise.all(this.#relays.map((relay) => relay.line()));
  }

  /** Milliseconds from the publish of the first to the last one's turn. */
  async pass(): Promise<number> {
    const [source, , end] = this.#relays;
    const told = end.line();
    source.trigger();
    return Number(await told) / 1e6;
  }

  async close(): Promise<void> {
    await Promise.all(this.#relays.map((relay) => relay.close()));
  }
}
