import {
  encodeSynRecordingEntry,
  encodeSynRecordingHeader,
  MAX_RECORDED_BATCH_BYTES,
  type SynRecordingEntry,
  SynRecordingReader,
  synSubject,
} from "@packetwatch/contracts";
import { describe, expect, it } from "vitest";
import { synBatch, TIME_US } from "../testing/payloads.ts";
import { Recorder } from "./recorder.ts";

const HEADER_BYTES = encodeSynRecordingHeader().length;
const payload = synBatch([{ port: 80 }, { port: 81, timeUs: TIME_US + 90e6 }]);
const message = { subject: synSubject(7), payload, storedUs: TIME_US };
const ENTRY_BYTES = encodeSynRecordingEntry({ shard: 7, storedUs: 1, batch: payload }).length;

function record(limits: { maxBytes?: number; maxAttempts?: number } = {}) {
  const pieces: Uint8Array[] = [];
  const recorder = new Recorder({
    write: (bytes) => pieces.push(bytes),
    maxBytes: limits.maxBytes ?? 1e6,
    maxAttempts: limits.maxAttempts ?? Infinity,
  });
  recorder.begin();
  return { recorder, entries: () => readBack(pieces) };
}

function readBack(pieces: readonly Uint8Array[]): readonly SynRecordingEntry[] {
  const entries: SynRecordingEntry[] = [];
  const reader = new SynRecordingReader({
    onEntry: (entry) => entries.push(entry),
    onMalformed: (error) => {
      throw error;
    },
  });
  for (const piece of pieces) reader.push(piece);
  expect(reader.end().kind).toBe("whole");
  return entries;
}

describe("a recorder", () => {
  it("writes each batch as it came, and says what it amounts to", () => {
    const { recorder, entries } = record();
    recorder.take(message);
    recorder.take({ ...message, subject: synSubject(63), storedUs: TIME_US + 5 });
    expect(entries()).toEqual([
      { shard: 7, storedUs: TIME_US, batch: payload },
      { shard: 63, storedUs: TIME_US + 5, batch: payload },
    ]);
    expect(recorder.bytes).toBe(HEADER_BYTES + 2 * ENTRY_BYTES);
    expect(recorder.batches).toBe(2);
    expect(recorder.tally.describe()).toMatch(/^4 attempts of 1 source, .* \(1m 30s\)$/);
  });

  it("records a batch that it can't read, and counts it", () => {
    const { recorder, entries } = record();
    const unknown = Uint8Array.of(9, 9, 9);
    recorder.take({ ...message, payload: unknown });
    expect(entries()[0]?.batch).toEqual(unknown);
    expect(recorder.rejections.describe()).toBe("1 payload rejected: too_short");
    expect(recorder.tally.describe()).toBe("no attempts");
  });

  it("skips and counts what fits no entry", () => {
    const { recorder, entries } = record({ maxBytes: 1e9 });
    recorder.take({ ...message, subject: "packetwatch.v1.syn.64" });
    recorder.take({ ...message, payload: new Uint8Array(0) });
    recorder.take({ ...message, payload: new Uint8Array(MAX_RECORDED_BATCH_BYTES + 1) });
    expect({ skipped: recorder.skipped, entries: entries() }).toEqual({ skipped: 3, entries: [] });
  });

  it.each([
    [ENTRY_BYTES - 1, 0],
    [ENTRY_BYTES, 1],
    [2 * ENTRY_BYTES - 1, 1],
    [2 * ENTRY_BYTES, 2],
  ])("with room for %d bytes of entries holds %d, and is then full", (room, count) => {
    const { recorder, entries } = record({ maxBytes: HEADER_BYTES + room });
    for (let taken = 0; taken < 5; taken++) recorder.take(message);
    expect(entries()).toHaveLength(count);
    expect(recorder.doneBecause).toBe("full");
    expect(recorder.bytes).toBeLessThanOrEqual(HEADER_BYTES + room);
  });

  it("ends with the batch that reaches the limit of attempts", () => {
    const { recorder, entries } = record({ maxAttempts: 3 });
    recorder.take(message);
    expect(recorder.doneBecause).toBeUndefined();
    recorder.take(message);
    expect(recorder.doneBecause).toBe("limit");
    recorder.take(message);
    expect(entries()).toHaveLength(2);
  });
});
