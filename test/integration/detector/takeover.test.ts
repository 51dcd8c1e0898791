import { publishAcknowledged } from "@packetwatch/bus";
import {
  SYN_RECORD_BYTES,
  SynBatchWriter,
  synRecordLayout,
  synSubject,
} from "@packetwatch/contracts";
import { createDetector, createVerdict, defaultRules } from "@packetwatch/detection";
import { type AddressWords, SHARD_COUNT, shardOf, writeAddress } from "@packetwatch/net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ShardFeed } from "../../../services/detector/src/shard-feed.ts";
import { DetectorGroup } from "../../support/detector-group.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type NatsServer, startNats } from "../../support/nats.ts";

const SEEDS = [1, 2, 3, 4, 5, 6];
const ROUNDS = 40;
const SCANNERS = 60;
const BENIGN = 120;

type Batch = { readonly shard: number; readonly payload: Uint8Array };

/** A generator of whole numbers below a limit: mulberry32. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** One attempt of each source that is busy in this round; scanners try a new port each time. */
function createRound(
  round: number,
  startUs: number,
  random: (below: number) => number,
): readonly Batch[] {
  const writers = new Map<number, SynBatchWriter>();
  for (let index = 0; index < SCANNERS + BENIGN; index++) {
    if (random(3) > 0) continue;
    const source: AddressWords = [0, 0, 0xffff, 0xc6336400 + index];
    const port = index < SCANNERS ? 1000 + round : 80 + random(2);
    const shard = shardOf(...source);
    const writer = writers.get(shard) ?? new SynBatchWriter(header, 4096);
    writers.set(shard, writer);
    writer.append(startUs + index, kernelRecord(source, port), 0);
  }
  return [...writers].map(([shard, writer]) => ({ shard, payload: writer.take() }));
}

const header = { family: 4, host: "host-a", interfaceName: "eth0", ipv6SourceBits: 64 } as const;

function kernelRecord(source: AddressWords, port: number): DataView {
  const view = new DataView(new ArrayBuffer(SYN_RECORD_BYTES));
  writeAddress(source, view, synRecordLayout.source);
  writeAddress([0, 0, 0xffff, 0x0a000005], view, synRecordLayout.destination);
  view.setUint16(synRecordLayout.destination_port, port);
  return view;
}

/** The ids that one detector gives which is never disturbed. */
function judgeUndisturbed(batches: readonly Batch[]): string[] {
  const ids: string[] = [];
  const detector = createDetector({
    rules: defaultRules,
    capacity: 65_536,
    maxQuietSources: 65_536,
    blockTtlUs: 0,
    seed: 7,
  });
  const feed = new ShardFeed({
    detector,
    onDetections: (detections, origin) => {
      const context = { ...origin, decidedBy: "detector/one", windowSeconds: 60 };
      ids.push(...detections.map((detection) => createVerdict(detection, context).id));
    },
    onRejected: (reason) => {
      throw new Error(reason);
    },
  });
  for (const { payload } of batches) feed.take(payload);
  return ids;
}

/** Joins, leaves or crashes; at least one detector stays. */
async function disturb(group: DetectorGroup, random: (below: number) => number): Promise<void> {
  const victim = group.members[random(group.members.length)];
  const choice = group.members.length === 1 ? 0 : random(3);
  if (choice === 0 || !victim) await group.join();
  else if (choice === 1) await group.leave(victim);
  else await group.crash(victim);
}

let nats: NatsServer;
let group: DetectorGroup;

beforeEach(async () => {
  nats = await startNats();
  group = await DetectorGroup.connect(nats.url);
});

afterEach(async () => {
  await group.close();
  await nats.stop();
});

describe("detectors that come, go and crash while a stream is judged", () => {
  it.each(SEEDS)("reach the verdicts of one that was never disturbed (seed %d)", async (seed) => {
    const random = createRandom(seed);
    const startUs = (Date.now() - 30_000) * 1000;
    const published: Batch[] = [];
    await group.join();
    for (let round = 0; round < ROUNDS; round++) {
      const batches = createRound(round, startUs + round * 500_000, random);
      for (const { shard, payload } of batches) {
        await publishAcknowledged(group.bus, synSubject(shard), payload);
      }
      published.push(...batches);
      if (random(4) === 0) await disturb(group, random);
    }
    const expected = judgeUndisturbed(published);
    expect(expected.length).toBeGreaterThan(SCANNERS / 2);
    await waitUntil(() => group.verdicts.length >= expected.length, {
      timeoutMs: 15_000,
      what: `${expected.length} verdicts`,
    });
    await group.settle(5000);
    await waitUntil(() => group.members.every(({ lag }) => lag === 0), {
      timeoutMs: 5000,
      what: "no lag",
    });
    expect(group.verdicts.map(({ id }) => id).toSorted()).toEqual(expected.toSorted());
  });

  it("the stream of the test reaches every shard", () => {
    const batches = createRound(0, 0, () => 0);
    expect(new Set(batches.map(({ shard }) => shard)).size).toBeGreaterThan(SHARD_COUNT / 2);
  });
});
