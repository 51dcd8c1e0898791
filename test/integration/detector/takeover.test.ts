import { publishAcknowledged } from "@packetwatch/bus";
import { loadConfig } from "@packetwatch/config";
import {
  SYN_RECORD_BYTES,
  SynBatchWriter,
  synRecordLayout,
  synSubject,
} from "@packetwatch/contracts";
import { createDetector, rulesFromConfig, verdictId } from "@packetwatch/detection";
import { type AddressWords, SHARD_COUNT, shardOf, writeAddress } from "@packetwatch/net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ShardFeed } from "../../../services/detector/src/shard-feed.ts";
import { SeededRandom } from "../../chaos/seeded-random.ts";
import { DetectorGroup } from "../../support/detector-group.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type NatsServer, startNats } from "../../support/nats.ts";

/** `TAKEOVER_SEED=...` does one again. */
const DRAWN_SEED = Number(process.env["TAKEOVER_SEED"] ?? Date.now() % 2 ** 31);
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, DRAWN_SEED];
const ROUNDS = 40;
const ROUND_US = 500_000;
const SCANNERS = 60;
const SWEEPERS = 30;
const BENIGN = 90;

/** Windows so short that cool-downs end, and alerts come again, within the time of the stream. */
const variables = {
  PW_BLOCK_TTL: "600",
  PW_HORIZONTAL_TIME_THRESHOLD: "4",
  PW_HORIZONTAL_ADDRESS_THRESHOLD: "3",
  PW_SPREAD_TIME_THRESHOLD: "6",
  PW_SPREAD_TARGET_THRESHOLD: "4",
};

type Batch = { readonly shard: number; readonly payload: Uint8Array };
type Attempt = { readonly port: number; readonly host: number };

/** Scanners try a new port each time, sweepers a new host, and the benign go where they always go. */
function attemptOf(index: number, round: number, random: SeededRandom): Attempt {
  if (index < SCANNERS) return { port: 1000 + round, host: 5 };
  if (index < SCANNERS + SWEEPERS) return { port: 22, host: 10 + round };
  return { port: 80 + random.integer(0, 1), host: 5 };
}

/** One attempt of each source that is busy in this round. */
function createRound(round: number, startUs: number, random: SeededRandom): readonly Batch[] {
  const writers = new Map<number, SynBatchWriter>();
  for (let index = 0; index < SCANNERS + SWEEPERS + BENIGN; index++) {
    if (random.integer(0, 2) > 0) continue;
    const source: AddressWords = [0, 0, 0xffff, 0xc6336400 + index];
    const shard = shardOf(...source);
    const writer = writers.get(shard) ?? new SynBatchWriter(header, 4096);
    writers.set(shard, writer);
    writer.append(startUs + index, kernelRecord(source, attemptOf(index, round, random)), 0);
  }
  return [...writers].map(([shard, writer]) => ({ shard, payload: writer.take() }));
}

const header = { family: 4, host: "host-a", interfaceName: "eth0", ipv6SourceBits: 64 } as const;

function kernelRecord(source: AddressWords, { port, host }: Attempt): DataView {
  const view = new DataView(new ArrayBuffer(SYN_RECORD_BYTES));
  writeAddress(source, view, synRecordLayout.source);
  writeAddress([0, 0, 0xffff, 0x0a000000 + host], view, synRecordLayout.destination);
  view.setUint16(synRecordLayout.destination_port, port);
  return view;
}

/** The ids that one detector gives which is never disturbed, by action. */
function judgeUndisturbed(batches: readonly Batch[]): { block: string[]; alert: string[] } {
  const ids: { block: string[]; alert: string[] } = { block: [], alert: [] };
  const config = loadConfig("detector", variables);
  const detector = createDetector({
    rules: rulesFromConfig(config),
    capacity: 65_536,
    maxQuietSources: 65_536,
    blockTtlUs: config.blockTtlSeconds * 1e6,
    seed: 7,
  });
  const feed = new ShardFeed({
    detector,
    onDetections: (detections) => {
      for (const detection of detections) ids[detection.action].push(verdictId(detection));
    },
    onRejected: (reason) => {
      throw new Error(reason);
    },
  });
  for (const { payload } of batches) feed.take(payload);
  return ids;
}

/** Joins, leaves or crashes; at least one detector stays. */
async function disturb(group: DetectorGroup, random: SeededRandom): Promise<void> {
  const choice = group.members.length === 1 ? "join" : random.pick(["join", "leave", "crash"]);
  if (choice === "join") await group.join();
  else if (choice === "leave") await group.leave(random.pick(group.members));
  else await group.crash(random.pick(group.members));
}

let nats: NatsServer;
let group: DetectorGroup;

beforeEach(async () => {
  nats = await startNats();
  group = await DetectorGroup.connect(nats.url, variables);
});

afterEach(async () => {
  await group.close();
  await nats.stop();
});

describe("detectors that come, go and crash while a stream is judged", () => {
  it.each(SEEDS)("decide what one that was never disturbed decides (seed %d)", async (seed) => {
    const random = new SeededRandom(seed);
    const startUs = (Date.now() - ROUNDS * (ROUND_US / 1000)) * 1000;
    const published: Batch[] = [];
    await group.join();
    for (let round = 0; round < ROUNDS; round++) {
      const batches = createRound(round, startUs + round * ROUND_US, random);
      await Promise.all(
        batches.map(({ shard, payload }) =>
          publishAcknowledged(group.bus, synSubject(shard), payload),
        ),
      );
      published.push(...batches);
      if (random.integer(0, 3) === 0) await disturb(group, random);
    }
    const expected = judgeUndisturbed(published);
    expect(expected.block.length).toBeGreaterThan(SCANNERS / 2);
    expect(expected.alert.length).toBeGreaterThan(SWEEPERS);
    await waitUntil(
      () =>
        group.verdicts.length >= expected.block.length &&
        group.alerts.length >= expected.alert.length,
      { timeoutMs: 15_000, what: `${expected.block.length} verdicts` },
    );
    await group.settle(5000);
    await waitUntil(() => group.members.every(({ lag }) => lag === 0), {
      timeoutMs: 5000,
      what: "no lag",
    });
    expect(group.verdicts.map(({ id }) => id).toSorted()).toEqual(expected.block.toSorted());
    expect(group.alerts.map(({ id }) => id).toSorted()).toEqual(expected.alert.toSorted());
  });

  it("the stream of the test reaches every shard", () => {
    const calm = { integer: () => 0 } as unknown as SeededRandom;
    const batches = createRound(0, 0, calm);
    expect(new Set(batches.map(({ shard }) => shard)).size).toBeGreaterThan(SHARD_COUNT / 2);
  });
});
