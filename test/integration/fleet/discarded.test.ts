import { publishAcknowledged } from "@packetwatch/bus";
import { formatSynBatchId, synSubject } from "@packetwatch/contracts";
import { SHARD_COUNT } from "@packetwatch/net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { synBatch } from "../../../cli/src/testing/payloads.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { DetectorSite } from "../../support/detector-site.ts";
import { waitUntil } from "../../support/eventually.ts";
import type { ServiceProcess } from "../../support/service-process.ts";

const TIMEOUT_MS = 20_000;
/** What waits for a frozen detector: four times what the stream can hold. */
const BATCHES_WHILE_FROZEN = 220;
const RECORDS_PER_BATCH = 800;

const cleanup = new Cleanup();
let site: DetectorSite;
let detector: ServiceProcess;

beforeEach(async () => {
  site = await DetectorSite.start(cleanup);
  detector = await site.startDetector({ PW_SYN_STREAM_BYTES: "1MiB" });
  await waitUntil(() => site.valueOf("packetwatch_detector_owned_shards") === SHARD_COUNT, {
    timeoutMs: TIMEOUT_MS,
    what: "the detector to own all shards",
  });
});
afterEach(() => cleanup.run());

/** Numbers its batches as a capture does; sources that don't scan. */
class Publisher {
  produced = 0;
  readonly #places = new Map<number, { sequence: number; records: number }>();
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  async publish(shard: number, count: number): Promise<void> {
    const place = this.#places.get(shard) ?? { sequence: 0, records: 0 };
    const { sequence, records: recordsBefore } = place;
    this.#places.set(shard, { sequence: sequence + 1, records: recordsBefore + count });
    this.produced += count;
    const timeUs = Date.now() * 1000;
    const source = (index: number) => `198.18.${index >> 8}.${index & 255}`;
    const attempts = Array.from({ length: count }, (_, index) => ({
      source: source(index),
      timeUs,
    }));
    const messageId = formatSynBatchId({ publisher: this.#name, shard, sequence, recordsBefore });
    await publishAcknowledged(site.bus, synSubject(shard), synBatch(attempts), { messageId });
  }
}

const judged = () => site.valueOf("packetwatch_detector_events_total");
const lost = () => site.valueOf("packetwatch_detector_lost_events_total");

it("what the stream discards before a frozen detector reads it is counted: produced = judged + discarded", async () => {
  const publishers = [new Publisher("host-a-1-x"), new Publisher("host-b-1-y")];
  const produced = () => publishers.reduce((sum, { produced }) => sum + produced, 0);
  const publishEverywhere = async (batches: number, records: number) => {
    for (let index = 0; index < batches; index++) {
      await publishers[index % 2]!.publish(index % 3, records + (index % 7));
    }
  };
  await publishEverywhere(6, 1);
  const isJudged = { timeoutMs: TIMEOUT_MS, what: "the first batches to be judged" };
  await waitUntil(() => judged() === produced(), isJudged);

  detector.signal("SIGSTOP");
  await publishEverywhere(BATCHES_WHILE_FROZEN, RECORDS_PER_BATCH);
  detector.signal("SIGCONT");
  // The next batch of each publisher and shard is what shows a gap at the end.
  await publishEverywhere(6, 1);
  await waitUntil(() => judged() + lost() === produced(), {
    timeoutMs: TIMEOUT_MS,
    what: `${produced()} attempts to be judged or counted as discarded`,
  });
  expect(lost()).toBeGreaterThan(RECORDS_PER_BATCH);
  expect(site.valueOf("packetwatch_detector_lost_batches_total")).toBeGreaterThan(1);
  console.log(`produced ${produced()} = judged ${judged()} + discarded ${lost()}`);
  const said = detector.lines.filter(({ msg }) => msg.includes("PW_SYN_STREAM_BYTES"));
  expect(said.length).toBeGreaterThan(0);
});
