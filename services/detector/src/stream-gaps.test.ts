import { formatSynBatchId, parseSynBatchId } from "@packetwatch/contracts";
import { describe, expect, it } from "vitest";
import { StreamGaps } from "./stream-gaps.ts";

const idOf = (sequence: number, recordsBefore: number, publisher = "host-a-1-x") =>
  formatSynBatchId({ publisher, shard: 7, sequence, recordsBefore });

describe("gaps in a shard's stream", () => {
  it("are the batches and records that a publisher sent between two that came", () => {
    const gaps = new StreamGaps();
    expect(gaps.observe(idOf(0, 0), 10)).toBeUndefined();
    expect(gaps.observe(idOf(1, 10), 5)).toBeUndefined();
    expect(gaps.observe(idOf(4, 115), 1)).toEqual({ batches: 2, records: 100 });
    expect(gaps.observe(idOf(5, 116), 1)).toBeUndefined();
  });

  it("are no gap where reading begins, and each publisher has its own", () => {
    const gaps = new StreamGaps();
    expect(gaps.observe(idOf(90, 900), 10)).toBeUndefined();
    expect(gaps.observe(idOf(3, 30, "host-b"), 10)).toBeUndefined();
    expect(gaps.observe(idOf(91, 910), 10)).toBeUndefined();
    expect(gaps.observe(idOf(5, 50, "host-b"), 10)).toEqual({ batches: 1, records: 10 });
  });

  it("a batch that comes twice, and one without a number, change nothing", () => {
    const gaps = new StreamGaps();
    gaps.observe(idOf(3, 30), 10);
    expect(gaps.observe(idOf(3, 30), 10)).toBeUndefined();
    expect(gaps.observe("", 10)).toBeUndefined();
    expect(gaps.observe("anything.7.else", 10)).toBeUndefined();
    expect(gaps.observe(idOf(4, 40), 10)).toBeUndefined();
  });

  it("an id is read as it was written, whatever its publisher is called", () => {
    const id = { publisher: "a.b.1.2", shard: 63, sequence: 12, recordsBefore: 345 };
    expect(parseSynBatchId(formatSynBatchId(id))).toEqual(id);
  });
});
