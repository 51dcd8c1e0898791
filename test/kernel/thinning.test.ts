import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  countersMoved,
  type LoadedPacketwatch,
  loadPacketwatch,
} from "../support/loaded-packetwatch.ts";
import { ethernet, ipv4, ipv6 } from "../support/packets.ts";
import { tcp } from "../support/segments.ts";

const RING_BYTES = 4096;
const RECORDS_IN_FULL_RING = RING_BYTES / 64 - 1;
/** The ring is crowded from one record more than these on. */
const UNCROWDED_RECORDS = 32;
/** PW_REPEAT_NS, and time for a clock that is read once a tick. */
const REPEAT_MS = 1000 + 100;
const SEED = Date.now() % 2 ** 31;

let packetwatch: LoadedPacketwatch;
beforeEach(() => {
  const thinAboveBytes = UNCROWDED_RECORDS * 64;
  packetwatch = loadPacketwatch({ ringBytes: RING_BYTES, thinAboveBytes });
});
afterEach(() => packetwatch.close());

const range = (count: number) => Array.from({ length: count }, (_, index) => index);
type Attempt = { port?: number; source?: string; destination?: string; sourcePort?: number };

function attempt({ port = 80, sourcePort = 40_000, ...addresses }: Attempt = {}): Uint8Array {
  const segment = tcp({ destinationPort: port, sourcePort });
  const isIpv6 = (addresses.source ?? "").includes(":");
  return ethernet(isIpv6 ? ipv6(segment, addresses) : ipv4(segment, addresses));
}

/** Attempts that differ from all others, until the ring has so many records. */
function fill(records: number): void {
  for (const index of range(records)) packetwatch.sendOnly(attempt({ port: 10_000 + index }));
}

function countedBy(action: () => void): Readonly<Record<string, number>> {
  const before = packetwatch.maps.counters();
  action();
  return countersMoved(before, packetwatch.maps.counters());
}

const counted = (frame: Uint8Array) => countedBy(() => packetwatch.sendOnly(frame));
const reported = { synIpv4: 1, reported: 1 };
const thinned = { synIpv4: 1, thinned: 1 };

describe("a ring with room", () => {
  it("takes every repetition up to the mark, and the first beyond it", () => {
    const counts = countedBy(() => packetwatch.sendOnly(attempt(), 100));
    const taken = UNCROWDED_RECORDS + 2;
    expect(counts).toEqual({ synIpv4: 100, reported: taken, thinned: 100 - taken });
  });

  it("takes repetitions again when it has been drained", () => {
    packetwatch.sendOnly(attempt(), 100);
    packetwatch.readRecords();
    expect(counted(attempt())).toEqual(reported);
  });
});

describe("a crowded ring", () => {
  beforeEach(() => {
    fill(UNCROWDED_RECORDS + 1);
    packetwatch.sendOnly(attempt());
  });

  it("has taken what was new", () => {
    expect(packetwatch.readRecords()).toHaveLength(UNCROWDED_RECORDS + 2);
  });

  it.each([
    ["the same once more", {}],
    ["another source port", { sourcePort: 50_000 }],
  ])("leaves out %s, and counts it", (_, again) => {
    expect(counted(attempt(again))).toEqual(thinned);
  });

  it.each([
    ["another port", { port: 81 }],
    ["another destination", { destination: "198.51.100.3" }],
    ["another source", { source: "192.0.2.2" }],
  ])("takes %s, once", (_, other) => {
    expect(counted(attempt(other))).toEqual(reported);
    expect(counted(attempt(other))).toEqual(thinned);
  });

  it("keeps apart IPv6 addresses that differ in one bit anywhere", () => {
    const sources = ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:8000::1", "a001:db8::1"];
    for (const source of sources) {
      expect(counted(attempt({ source }))).toEqual({ synIpv6: 1, reported: 1 });
      expect(counted(attempt({ source }))).toEqual({ synIpv6: 1, thinned: 1 });
    }
  });

  it("takes it again after a second", async () => {
    await delay(REPEAT_MS);
    expect(counted(attempt())).toEqual(reported);
    expect(counted(attempt())).toEqual(thinned);
  });

  it("passes what it leaves out, and drops what is blocked", () => {
    expect(packetwatch.sendOnly(attempt()).action).toBe("XDP_PASS");
    packetwatch.maps.block("192.0.2.1");
    expect(packetwatch.sendOnly(attempt()).action).toBe("XDP_DROP");
  });
});

it("what a full ring has lost is taken when it is tried again", () => {
  fill(RECORDS_IN_FULL_RING);
  expect(counted(attempt())).toEqual({ synIpv4: 1, ringFull: 1 });
  packetwatch.readRecords(10);
  expect(counted(attempt())).toEqual(reported);
});

it(`every attempt is counted once, and every distinct one is read or lost (seed ${SEED})`, () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("send" as const), port: fc.integer({ min: 1, max: 60 }) }),
    fc.record({ kind: fc.constant("read" as const), port: fc.integer({ min: 1, max: 40 }) }),
  );
  const property = fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
    const sent = new Set<number>();
    const read: number[] = [];
    const readSome = (max?: number) =>
      read.push(...packetwatch.readRecords(max).map(({ destinationPort }) => destinationPort));
    const counts = countedBy(() => {
      for (const { kind, port } of steps) {
        if (kind === "read") {
          readSome(port);
          continue;
        }
        packetwatch.sendOnly(attempt({ port }));
        sent.add(port);
      }
      readSome();
    });
    const { synIpv4 = 0, reported: taken = 0, ringFull = 0, thinned: left = 0 } = counts;
    expect(synIpv4).toBe(taken + ringFull + left);
    expect(read).toHaveLength(taken);
    // Sightings outlast a run: what the last one reported is a repetition in this one.
    const missing = [...sent].filter((port) => !read.includes(port) && !seenBefore.has(port));
    if (ringFull === 0) expect(missing).toEqual([]);
    for (const port of read) seenBefore.add(port);
  });
  const seenBefore = new Set<number>();
  fc.assert(property, { seed: SEED, numRuns: 50 });
});
