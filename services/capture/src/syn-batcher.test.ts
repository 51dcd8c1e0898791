import {
  createSynEvent,
  SYN_RECORD_BYTES,
  SynBatch,
  synRecordLayout,
} from "@packetwatch/contracts";
import { formatAddress, parseAddress, shardOf, sourceKey, writeAddress } from "@packetwatch/net";
import { describe, expect, it } from "vitest";
import type { SealedBatch } from "./shard-publisher.ts";
import { MAX_BATCH_BYTES, SynBatcher } from "./syn-batcher.ts";

function kernelRecord(
  source: string,
  options: { bootNs?: bigint; version?: number } = {},
): DataView {
  const view = new DataView(new ArrayBuffer(SYN_RECORD_BYTES));
  view.setUint8(synRecordLayout.version, options.version ?? 1);
  view.setBigUint64(synRecordLayout.timestamp_ns, options.bootNs ?? 5_000_000n, true);
  writeAddress(parseAddress(source), view, synRecordLayout.source);
  writeAddress(
    parseAddress(source.includes(":") ? "2001:db8::80" : "10.0.0.5"),
    view,
    synRecordLayout.destination,
  );
  view.setUint16(synRecordLayout.destination_port, 8080);
  return view;
}

function createBatcher() {
  const sealed: { shard: number; batch: SealedBatch }[] = [];
  const batcher = new SynBatcher({
    host: "host-a",
    interfaceName: "eth0",
    ipv6SourceBits: 64,
    batchBytes: MAX_BATCH_BYTES,
    toWallUs: (bootNs) => 1_700_000_000_000_000 + bootNs / 1000,
    onSealed: (shard, batch) => sealed.push({ shard, batch }),
  });
  const add = (view: DataView, length = SYN_RECORD_BYTES) => batcher.add(view, 0, length);
  return { batcher, sealed, add };
}

describe("the SYN batcher", () => {
  it.each(["192.0.2.1", "2001:db8:1:2:3:4:5:6"])(
    "puts %s into the shard of its source key",
    (source) => {
      const { batcher, sealed, add } = createBatcher();
      expect(add(kernelRecord(source))).toBe(true);
      const shard = shardOf(...sourceKey(parseAddress(source), 64));
      expect([...batcher.gathering]).toEqual([shard]);
      batcher.flush(shard);
      expect(sealed.map(({ shard: sealedShard }) => sealedShard)).toEqual([shard]);
      const event = createSynEvent();
      const batch = new SynBatch((sealed[0] as { batch: SealedBatch }).batch.payload);
      batch.read(0, event);
      expect(formatAddress([event.s0, event.s1, event.s2, event.s3])).toBe(source);
      expect(event.timeUs).toBe(1_700_000_000_005_000);
      expect(batch.header).toEqual({
        family: source.includes(":") ? 6 : 4,
        host: "host-a",
        interfaceName: "eth0",
        ipv6SourceBits: 64,
      });
    },
  );

  it("all addresses of a /64 share a shard", () => {
    const { batcher, add } = createBatcher();
    for (let host = 1; host < 200; host++) add(kernelRecord(`2001:db8:1:2::${host.toString(16)}`));
    expect(batcher.gathering.size).toBe(1);
  });

  it("seals a full batch, and goes on with the next", () => {
    const { batcher, sealed, add } = createBatcher();
    const record = kernelRecord("192.0.2.1");
    for (let count = 0; count < 3000; count++) add(record);
    for (const shard of batcher.gathering) batcher.flush(shard);
    expect(sealed.length).toBe(3);
    expect(sealed.reduce((sum, { batch }) => sum + batch.records, 0)).toBe(3000);
    for (const { batch } of sealed)
      expect(batch.payload.byteLength).toBeLessThanOrEqual(MAX_BATCH_BYTES);
  });

  it("a flush of a shard that has nothing seals nothing", () => {
    const { batcher, sealed } = createBatcher();
    batcher.flush(3);
    expect(sealed).toEqual([]);
  });

  it("refuses records of another version or length", () => {
    const { batcher, add } = createBatcher();
    expect(add(kernelRecord("192.0.2.1", { version: 2 }))).toBe(false);
    expect(add(kernelRecord("192.0.2.1"), 48)).toBe(false);
    expect(batcher.gathering.size).toBe(0);
  });

  it("records further apart than a batch can span go into two", () => {
    const { batcher, sealed, add } = createBatcher();
    add(kernelRecord("192.0.2.1", { bootNs: 0n }));
    add(kernelRecord("192.0.2.1", { bootNs: 4_000_000_000_000n }));
    for (const shard of batcher.gathering) batcher.flush(shard);
    expect(sealed.map(({ batch }) => batch.records)).toEqual([1, 1]);
  });
});
