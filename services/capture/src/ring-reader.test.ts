import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RingReader, type RingReaderOptions } from "./ring-reader.ts";

const SIZE_BYTES = 1024;
const RECORD_BYTES = 64;

/** A ring with so many records, and the callback that waits for more. */
function createRing(records: number) {
  const state = { records, onReadable: undefined as (() => void) | undefined };
  const data = new DataView(new ArrayBuffer(0));
  const ring: RingReaderOptions["ring"] = {
    sizeBytes: SIZE_BYTES,
    views: { bytes: new Uint8Array(), halves: new Uint16Array(), words: new Uint32Array(), data },
    availableBytes: () => state.records * RECORD_BYTES,
    consume: (visit, maxRecords) => {
      const taken = Math.min(state.records, maxRecords);
      state.records -= taken;
      for (let record = 0; record < taken; record++) visit(0, RECORD_BYTES);
      return taken;
    },
    onReadable: (callback) => (state.onReadable = callback),
    pause: () => (state.onReadable = undefined),
  };
  return { ring, state };
}

const RECORDS_PER_TURN = 100;

function createReader(records: number, options: Partial<RingReaderOptions> = {}) {
  const { ring, state } = createRing(records);
  let read = 0;
  const reader = new RingReader({
    ring,
    onRecord: () => read++,
    recordsPerTurn: RECORDS_PER_TURN,
    onTurn: () => undefined,
    restMs: () => 0,
    onError: () => undefined,
    ...options,
  });
  return { reader, state, read: () => read };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("the ring reader", () => {
  it("begins by leaving records where they outlive it", () => {
    const { state } = createReader(8);
    vi.advanceTimersByTime(1000);
    expect(state).toEqual({ records: 8, onReadable: undefined });
  });

  it("keeps half of the ring free while it holds back", () => {
    const { state, read } = createReader(9);
    vi.advanceTimersByTime(1000);
    expect([state.records, read()]).toEqual([0, 9]);
    state.records = 8;
    vi.advanceTimersByTime(1000);
    expect(state.records).toBe(8);
  });

  it("takes everything once it is released, until it holds back again", () => {
    const { reader, state, read } = createReader(5);
    reader.release();
    reader.release();
    state.onReadable?.();
    expect(read()).toBe(5);
    reader.hold();
    expect(state.onReadable).toBeUndefined();
    reader.release();
    expect(state.onReadable).toBeDefined();
  });

  it("takes what is there when it is closed", () => {
    const { reader, state, read } = createReader(5);
    reader.release();
    reader.close();
    expect([read(), state.onReadable]).toEqual([5, undefined]);
  });

  it("leaves what comes while it is being closed to the next", () => {
    let left = 1000;
    const { reader, state } = createReader(RECORDS_PER_TURN + 5, {
      onRecord: () => {
        if (left-- > 0) state.records++;
      },
    });
    reader.release();
    reader.close();
    expect(state.records).toBe(RECORDS_PER_TURN + 5);
  });

  it("closed while it holds back, it leaves what is there to the next, and stays closed", () => {
    const { reader, state } = createReader(5);
    reader.close();
    reader.release();
    reader.hold();
    vi.advanceTimersByTime(1000);
    expect(state).toEqual({ records: 5, onReadable: undefined });
  });

  it("leaves an empty ring alone for as long as it is told to, and takes what came meanwhile", () => {
    const { reader, state, read } = createReader(5, { restMs: () => 14 });
    reader.release();
    state.onReadable?.();
    expect([read(), state.onReadable]).toEqual([5, undefined]);
    state.records = 7;
    vi.advanceTimersByTime(13);
    expect([read(), state.onReadable]).toEqual([5, undefined]);
    vi.advanceTimersByTime(1);
    expect([read(), state.onReadable]).toEqual([12, undefined]);
  });

  it("waits again where nothing came while it rested, or more than a turn takes", () => {
    for (const came of [0, RECORDS_PER_TURN]) {
      const { reader, state, read } = createReader(5, { restMs: () => 14 });
      reader.release();
      state.onReadable?.();
      state.records = came;
      vi.advanceTimersByTime(14);
      expect([read(), state.onReadable]).toEqual([5 + came, expect.any(Function)]);
    }
  });

  it("never rests while a turn leaves something", () => {
    const { reader, state, read } = createReader(RECORDS_PER_TURN + 1, { restMs: () => 14 });
    reader.release();
    state.onReadable?.();
    expect([read(), state.onReadable]).toEqual([RECORDS_PER_TURN, expect.any(Function)]);
    state.onReadable?.();
    expect([read(), state.onReadable]).toEqual([RECORDS_PER_TURN + 1, undefined]);
  });

  it.each(["hold", "close"] as const)("a %s ends its rest", (end) => {
    const { reader, state } = createReader(5, { restMs: () => 14 });
    reader.release();
    state.onReadable?.();
    reader[end]();
    vi.advanceTimersByTime(1000);
    expect(state.onReadable).toBeUndefined();
  });

  it("doesn't rest where a turn made it hold back", () => {
    const { reader, state } = createReader(5, {
      onTurn: () => reader.hold(),
      restMs: () => 14,
    });
    reader.release();
    state.onReadable?.();
    vi.advanceTimersByTime(1000);
    expect(state.onReadable).toBeUndefined();
  });
});
