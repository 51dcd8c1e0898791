import { join } from "node:path";
import { openPinnedMap, openRingBuffer, type RingBuffer } from "@packetwatch/bpf";
import { mapNames, readRingLedger, ringLossReasons } from "@packetwatch/contracts";
import { PinnedPacketwatch } from "../../test/support/pinned-packetwatch.ts";

/** What became of the SYNs of an interface, up to NATS; since the maps were made. */
export type Books = {
  readonly seen: number;
  readonly reported: number;
  readonly dropped: number;
  readonly ringFull: number;
  /** Left out by a crowded ring as repetitions. */
  readonly thinned: number;
  readonly published: number;
  /** Read from the ring and never published. */
  readonly lost: number;
};

/** The kernel's counters and capture's ledger of a watched interface. */
export class HostBooks {
  readonly #pinned: PinnedPacketwatch;
  readonly #ring: RingBuffer;

  constructor(pinFolder: string) {
    this.#pinned = new PinnedPacketwatch(pinFolder);
    const events = openPinnedMap(join(pinFolder, mapNames.events), {});
    this.#ring = openRingBuffer(events);
    events.close();
  }

  read(): Books {
    const counters = this.#pinned.maps.counters();
    const { synIpv4, synIpv6, reported, dropped, ringFull, thinned } = counters;
    const ledger = readRingLedger(this.#ring.notes);
    const lost = ringLossReasons.reduce((sum, reason) => sum + ledger[reason], 0);
    const { published } = ledger;
    return { seen: synIpv4 + synIpv6, reported, dropped, ringFull, thinned, published, lost };
  }

  close(): void {
    this.#ring.close();
    this.#pinned.close();
  }
}

export function booksSince(before: Books, after: Books): Books {
  const names = Object.keys(before) as (keyof Books)[];
  return Object.fromEntries(names.map((name) => [name, after[name] - before[name]])) as Books;
}
