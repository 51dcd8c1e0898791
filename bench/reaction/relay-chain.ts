import { jetstreamManager, StorageType } from "@nats-io/jetstream";
import type { Bus } from "@packetwatch/bus";
import type { NetworkNamespace } from "../../test/support/network-namespace.ts";
import type { Relay } from "../load/relay.ts";
import { LineProcess } from "../support/line-process.ts";

type Link = NonNullable<Relay["from"]>;
type Links = readonly [first: Link, second: Link];

/** In place of attempts and verdicts: as plain NATS brings them, and as streams like theirs keep them on the way. */
export const relayLinks = {
  plain: [{ subject: "bench.plain.1" }, { subject: "bench.plain.2" }],
  stored: [
    { subject: "bench.stored.1", stream: "BENCH_STORED_1" },
    { subject: "bench.stored.2", stream: "BENCH_STORED_2" },
  ],
} as const satisfies Record<string, Links>;

/** One in memory, one in files. */
export async function createRelayStreams(bus: Bus): Promise<void> {
  const { streams } = await jetstreamManager(bus.connection, { checkAPI: false });
  for (const [index, storage] of [StorageType.Memory, StorageType.File].entries()) {
    const { subject, stream } = relayLinks.stored[index as 0 | 1];
    await streams.add({ name: stream, subjects: [subject], storage });
  }
}

export type RelayChainOptions = {
  /** Where the services run whose way it takes. */
  readonly namespace: NetworkNamespace;
  readonly server: string;
  readonly links: Links;
};

/**
 * Three processes that hand one message on, as capture, detector and enforcer do, without looking at it and without
 * waiting for an acknowledgement: less than this no reaction can take.
 */
export class RelayChain {
  readonly #relays: readonly [source: LineProcess, relay: LineProcess, end: LineProcess];

  constructor({ namespace: place, server, links: [first, second] }: RelayChainOptions) {
    const start = (way: Omit<Relay, "server">) =>
      new LineProcess({ program: "relay", options: { server, ...way }, place });
    this.#relays = [
      start({ to: first.subject }),
      start({ from: first, to: second.subject }),
      start({ from: second }),
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
