import { SYN_RING_BYTES } from "@packetwatch/contracts";
import { describe, expect, it } from "vitest";
import { type NotedRing, RingLedger } from "./ring-ledger.ts";

/** A ring from which so many records were read. */
function createRing(records: number): NotedRing {
  const notes = new BigUint64Array(8);
  return { notes, consumedBytes: () => BigInt(records * SYN_RING_BYTES), repair: () => false };
}

describe("the ring's ledger", () => {
  it("counts by what became of the records", () => {
    const ledger = new RingLedger(createRing(0));
    ledger.add("published", 7);
    ledger.add("buffer_full", 2);
    ledger.add("published", 1);
    expect(ledger.counts).toEqual({
      published: 8,
      buffer_full: 2,
      shutdown: 0,
      bad_record: 0,
      crash: 0,
    });
  });

  it("what an earlier capture read and did not account for is counted once, as lost in a crash", () => {
    const ring = createRing(10);
    new RingLedger(ring).add("published", 6);
    expect(new RingLedger(ring).settleCrash()).toBe(4);
    expect(new RingLedger(ring).settleCrash()).toBe(0);
    expect(new RingLedger(ring).counts).toMatchObject({ published: 6, crash: 4 });
  });

  it("what waited in a ring whose position was damaged is lost, and counted", () => {
    let position = 3n;
    const repair = () => {
      position = BigInt(10 * SYN_RING_BYTES);
      return true;
    };
    const ring = { notes: new BigUint64Array(8), consumedBytes: () => position, repair };
    expect(new RingLedger(ring).settleCrash()).toBe(10);
  });

  it("a new ring has lost nothing", () => {
    expect(new RingLedger(createRing(0)).settleCrash()).toBe(0);
  });
});
