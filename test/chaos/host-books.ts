import { bpffsName, openPinnedMap, openRingBuffer } from "@packetwatch/bpf";
import {
  type KernelCounters,
  type MapName,
  pinPaths,
  readBlock,
  readRingLedger,
  readSourceKey,
  type RingLedgerCounts,
  ringLossReasons,
  SYN_RING_BYTES,
} from "@packetwatch/contracts";
import { formatAddress } from "@packetwatch/net";
import type { FleetHost } from "../support/fleet.ts";

/** What a host's pinned maps say, whoever is alive. */
export type HostBooks = {
  readonly counters: KernelCounters;
  /** Records taken from the ring, and records that wait in it. */
  readonly read: number;
  readonly waiting: number;
  readonly ledger: RingLedgerCounts;
  /** SYNs dropped, by blocked source. */
  readonly blocked: ReadonlyMap<string, number>;
};

export function readHostBooks(host: FleetHost): HostBooks {
  const pinned = host.pinned("eth0");
  try {
    return { counters: pinned.maps.counters(), ...readRing(host), blocked: readBlocked(host) };
  } finally {
    pinned.close();
  }
}

/** Records that were read and never published, or not known to be. */
export function lostOf({ ledger }: HostBooks): number {
  return ringLossReasons.reduce((sum, reason) => sum + ledger[reason], 0);
}

/** Records that a live capture holds. */
export function inFlightOf(books: HostBooks): number {
  return books.read - books.ledger.published - lostOf(books);
}

function readRing(host: FleetHost): Pick<HostBooks, "read" | "waiting" | "ledger"> {
  const map = openPinnedMap(pathOf(host, "events"), {});
  const ring = openRingBuffer(map);
  try {
    return {
      read: Number(ring.consumedBytes()) / SYN_RING_BYTES,
      waiting: ring.availableBytes() / SYN_RING_BYTES,
      ledger: readRingLedger(ring.notes),
    };
  } finally {
    ring.close();
    map.close();
  }
}

function readBlocked(host: FleetHost): ReadonlyMap<string, number> {
  const map = openPinnedMap(pathOf(host, "blocked"), {});
  try {
    return new Map(
      [...map.entries()].map(({ key, value }) => [
        formatAddress(readSourceKey(key)),
        Number(readBlock(value).dropped),
      ]),
    );
  } finally {
    map.close();
  }
}

function pathOf({ pinDir }: FleetHost, name: MapName): string {
  return pinPaths(pinDir, bpffsName("eth0")).map(name);
}
