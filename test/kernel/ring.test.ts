import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  countersMoved,
  type LoadedPacketwatch,
  loadPacketwatch,
} from "../support/loaded-packetwatch.ts";
import { ethernet, IPV4_SOURCE, ipv4, ipv6 } from "../support/packets.ts";
import { ACK, tcp } from "../support/segments.ts";

/** The smallest ring there is: a page. */
const RING_BYTES = 4096;
/** A record of 56 bytes with its header of 8; the kernel keeps the last byte of a ring free. */
const RECORDS_IN_FULL_RING = RING_BYTES / 64 - 1;
const SEED = Date.now() % 2 ** 31;

let packetwatch: LoadedPacketwatch;
beforeAll(() => {
  packetwatch = loadPacketwatch({ ringBytes: RING_BYTES });
});
beforeEach(() => packetwatch.reset());
afterAll(() => packetwatch.close());

const syn = (sourcePort: number) => ethernet(ipv4(tcp({ sourcePort })));
const blockedSyn = ethernet(ipv4(tcp(), { source: "203.0.113.9" }));
const range = (count: number) => Array.from({ length: count }, (_, index) => index);

describe("a full ring", () => {
  it("passes what it cannot report, and counts it to the unit", () => {
    const before = packetwatch.maps.counters();
    const actions = range(200).map((port) => packetwatch.sendOnly(syn(port)).action);
    const counted = countersMoved(before, packetwatch.maps.counters());

    expect(new Set(actions)).toEqual(new Set(["XDP_PASS"]));
    const lost = 200 - RECORDS_IN_FULL_RING;
    expect(counted).toEqual({ synIpv4: 200, reported: RECORDS_IN_FULL_RING, ringFull: lost });
    const ports = packetwatch.readRecords().map(({ sourcePort }) => sourcePort);
    expect(ports).toEqual(range(RECORDS_IN_FULL_RING));
  });

  it("reports again when it has been drained, and no more than it was drained of", () => {
    packetwatch.sendOnly(syn(1), 100);
    expect(packetwatch.readRecords(10)).toHaveLength(10);
    const before = packetwatch.maps.counters();
    packetwatch.sendOnly(syn(2), 15);
    const counted = countersMoved(before, packetwatch.maps.counters());
    expect(counted).toEqual({ synIpv4: 15, reported: 10, ringFull: 5 });

    const ports = packetwatch.readRecords().map(({ sourcePort }) => sourcePort);
    expect(ports).toEqual([
      ...range(RECORDS_IN_FULL_RING - 10).map(() => 1),
      ...range(10).map(() => 2),
    ]);
    expect(packetwatch.send(syn(3)).counted).toEqual({ synIpv4: 1, reported: 1 });
  });

  it("still drops what is blocked, and passes what opens no connection", () => {
    packetwatch.maps.block("203.0.113.9");
    packetwatch.sendOnly(syn(1), 100);
    const before = packetwatch.maps.counters();
    expect(packetwatch.sendOnly(blockedSyn).action).toBe("XDP_DROP");
    expect(packetwatch.sendOnly(ethernet(ipv4(tcp({ flags: ACK })))).action).toBe("XDP_PASS");
    expect(packetwatch.sendOnly(ethernet(ipv6(tcp()))).action).toBe("XDP_PASS");
    const counted = countersMoved(before, packetwatch.maps.counters());
    expect(counted).toEqual({ synIpv4: 1, synIpv6: 1, dropped: 1, ringFull: 1 });
  });
});

const step = fc.oneof(
  fc.record({ kind: fc.constant("syn" as const), count: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ kind: fc.constant("blocked" as const), count: fc.integer({ min: 1, max: 10 }) }),
  fc.record({ kind: fc.constant("read" as const), count: fc.integer({ min: 1, max: 90 }) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

describe("SYNs of any order, with a reader of any speed", () => {
  /** Sends and reads in turn, then reads the rest; returns the source ports that were sent and read. */
  function run(steps: readonly Step[]) {
    const sent: number[] = [];
    const read: number[] = [];
    const readSome = (max?: number) =>
      read.push(...packetwatch.readRecords(max).map(({ sourcePort }) => sourcePort));
    for (const { kind, count } of steps) {
      if (kind === "read") readSome(count);
      if (kind === "blocked") packetwatch.sendOnly(blockedSyn, count);
      if (kind !== "syn") continue;
      for (const _ of range(count)) {
        sent.push(sent.length);
        packetwatch.sendOnly(syn(sent.length - 1));
      }
    }
    readSome();
    return { sent, read };
  }

  function expectAllAccountedFor(steps: readonly Step[]): void {
    packetwatch.maps.block("203.0.113.9");
    const before = packetwatch.maps.counters();
    const { sent, read } = run(steps);
    const counted = countersMoved(before, packetwatch.maps.counters());
    const { synIpv4 = 0, reported = 0, ringFull = 0, dropped = 0 } = counted;

    expect(reported).toBe(read.length);
    expect(synIpv4).toBe(read.length + ringFull + dropped);
    expect(ringFull).toBe(sent.length - read.length);
    // What was read is what was sent, in its order, less what the full ring lost.
    expect(read).toEqual([...new Set(read)].toSorted((a, b) => a - b));
  }

  it(`add up to the unit: read + lost + dropped (seed ${SEED})`, () => {
    const steps = fc.array(step, { minLength: 1, maxLength: 30 });
    fc.assert(fc.property(steps, expectAllAccountedFor), { seed: SEED, numRuns: 50 });
  });
});

describe("a ring that is read in time", () => {
  it("wraps around hundreds of times without losing or damaging a record", () => {
    const before = packetwatch.maps.counters();
    for (const port of range(20_000)) {
      packetwatch.sendOnly(syn(port));
      if (port % 50 !== 49) continue;
      const records = packetwatch.readRecords();
      const expected = range(50).map((index) => port - 49 + index);
      expect(records.map(({ sourcePort }) => sourcePort)).toEqual(expected);
      expect(new Set(records.map(({ source }) => source))).toEqual(new Set([IPV4_SOURCE]));
    }
    const counted = countersMoved(before, packetwatch.maps.counters());
    expect(counted).toEqual({ synIpv4: 20_000, reported: 20_000 });
  });
});
