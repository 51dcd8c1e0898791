import {
  SYN_RECORD_BYTES,
  SYN_RECORD_VERSION,
  SYN_RING_BYTES,
  synRecordLayout,
} from "@packetwatch/contracts";
import { SHARD_COUNT } from "@packetwatch/net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CapturePipeline } from "./capture-pipeline.ts";
import type { Sensor } from "./open-sensor.ts";
import { RingLedger } from "./ring-ledger.ts";
import { MAX_REST_MS } from "./turn-pace.ts";

const MIB = 2 ** 20;
/** As many as give each shard work, whatever the hash does. */
const EVERY_SHARD = 20 * SHARD_COUNT;

/** A ring with the kernel's records, each of another source, and the callback that waits for more. */
function createRing(sizeBytes: number) {
  const data = new DataView(new ArrayBuffer(EVERY_SHARD * SYN_RECORD_BYTES));
  for (let record = 0; record < EVERY_SHARD; record++) {
    const at = record * SYN_RECORD_BYTES;
    data.setUint8(at + synRecordLayout.version, SYN_RECORD_VERSION);
    data.setUint16(at + synRecordLayout.source + 10, 0xffff);
    data.setUint32(at + synRecordLayout.source + 12, 0x0b000000 + record);
  }
  const state = { records: 0, onReadable: undefined as (() => void) | undefined };
  const ring = {
    sizeBytes,
    notes: new BigUint64Array(8),
    views: { data },
    availableBytes: () => state.records * SYN_RING_BYTES,
    consume: (visit: (offset: number, length: number) => void) => {
      const taken = state.records;
      state.records = 0;
      for (let record = 0; record < taken; record++)
        visit(record * SYN_RECORD_BYTES, SYN_RECORD_BYTES);
      return taken;
    },
    onReadable: (callback: () => void) => (state.onReadable = callback),
    pause: () => (state.onReadable = undefined),
  } as unknown as Sensor["ring"];
  return { ring, state };
}

function startPipeline(ringBytes: number) {
  const { ring, state } = createRing(ringBytes);
  const published: { shard: number; records: number }[] = [];
  const sensor = { interfaceName: "eth0", ring, ledger: new RingLedger(ring) } as Sensor;
  const ignored = () => undefined;
  const pipeline = new CapturePipeline({
    sensors: [sensor],
    host: "host-a",
    instance: "host-a-1",
    ipv6SourceBits: 64,
    maxBufferedBytes: 64 * MIB,
    drainTimeoutMs: 1000,
    publish: async (shard, { records }) => void published.push({ shard, records }),
    events: {
      onRead: ignored,
      onBadRecord: ignored,
      onPublished: ignored,
      onDropped: ignored,
      onPublishFailed: ignored,
      onError: ignored,
    },
  });
  pipeline.retry();
  /** So many records come, and the event loop tells if anybody waits for them. */
  const receive = (records: number) => {
    state.records += records;
    state.onReadable?.();
  };
  const close = async () => {
    const closing = pipeline.close();
    await vi.advanceTimersByTimeAsync(1000);
    await closing;
  };
  return { published, state, receive, close };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("the pipeline from the ring to the bus", () => {
  it("sends a few attempts at once, and waits for more", async () => {
    const { published, state, receive, close } = startPipeline(16 * MIB);
    for (let attempt = 1; attempt <= 3; attempt++) {
      receive(1);
      expect(published.length).toBe(attempt);
      await vi.advanceTimersByTimeAsync(0);
    }
    expect(state.onReadable).toBeDefined();
    await close();
  });

  it("many go together: the ring is left alone for a while, and read whole after it", async () => {
    const { published, receive, close } = startPipeline(16 * MIB);
    for (let turn = 1; turn <= 2; turn++) {
      receive(EVERY_SHARD);
      expect(published.length).toBe(turn * SHARD_COUNT);
      await vi.advanceTimersByTimeAsync(0);
    }
    receive(1);
    receive(EVERY_SHARD - 1);
    expect(published.length).toBe(2 * SHARD_COUNT);
    await vi.advanceTimersByTimeAsync(MAX_REST_MS);
    receive(0);
    expect(published.length).toBe(3 * SHARD_COUNT);
    expect(published.reduce((sum, { records }) => sum + records, 0)).toBe(3 * EVERY_SHARD);
    await close();
  });

  it("a ring that a flood would fill meanwhile is never left alone", async () => {
    const { state, receive, close } = startPipeline(256 * 1024);
    for (let turn = 0; turn < 10; turn++) {
      receive(EVERY_SHARD);
      expect(state.onReadable).toBeDefined();
      await vi.advanceTimersByTimeAsync(0);
    }
    await close();
  });
});
