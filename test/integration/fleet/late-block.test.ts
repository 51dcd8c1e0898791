import { publishAcknowledged } from "@packetwatch/bus";
import { encodeVerdict, streamNames, synSubject, verdictSubject } from "@packetwatch/contracts";
import { parseAddress, parsePrefix, SHARD_COUNT, shardOf } from "@packetwatch/net";
import { jetstreamManager } from "@nats-io/jetstream";
import { afterEach, beforeEach, expect, it } from "vitest";
import { synBatch } from "../../../cli/src/testing/payloads.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { DetectorSite } from "../../support/detector-site.ts";
import { holdsFor, waitUntil } from "../../support/eventually.ts";
import { blockVerdict, publishVerdict, unblockVerdict } from "../../support/published-verdicts.ts";
import type { ServiceProcess } from "../../support/service-process.ts";
import { VerdictTap } from "../../support/taps.ts";

const TIMEOUT_MS = 20_000;
const lifted = ["192.0.2.1", "192.0.2.2", "192.0.2.3"] as const;
const source = "192.0.2.4";

const cleanup = new Cleanup();
let site: DetectorSite;
let verdicts: VerdictTap;
let detector: ServiceProcess;

beforeEach(async () => {
  site = await DetectorSite.start(cleanup);
  detector = await site.startDetector({});
  verdicts = cleanup.own(new VerdictTap(site.bus));
  const ownsAll = () => site.valueOf("packetwatch_detector_owned_shards") === SHARD_COUNT;
  await waitUntil(ownsAll, { timeoutMs: TIMEOUT_MS, what: "the detector to read every shard" });
});
afterEach(() => cleanup.run());

async function scan(address: string): Promise<void> {
  const timeUs = Date.now() * 1000;
  const batch = synBatch([1, 2, 3].map((port) => ({ source: address, port, timeUs })));
  await publishAcknowledged(site.bus, synSubject(shardOf(...parseAddress(address))), batch);
}

const blocksOf = (address: string) =>
  verdicts.verdicts.filter(
    ({ verdict }) =>
      verdict.kind === "block" &&
      verdict.source === address &&
      verdict.decidedBy !== "detector/test",
  );

async function untilBlocked(address: string): Promise<void> {
  const isBlocked = () => blocksOf(address).length === 1;
  await waitUntil(isBlocked, { timeoutMs: TIMEOUT_MS, what: `a block of ${address}` });
}

it("who was unblocked while a detector was frozen stays unblocked, until it scans anew", async () => {
  detector.signal("SIGSTOP");
  for (const address of lifted) {
    await scan(address);
    await publishVerdict(site.bus, unblockVerdict(address));
  }
  await scan(source);
  detector.signal("SIGCONT");
  await untilBlocked(source);
  const areUnblocked = () => lifted.every((address) => blocksOf(address).length === 0);
  await holdsFor(areUnblocked, { timeoutMs: 1000, what: "their being unblocked" });
  for (const address of lifted) await scan(address);
  for (const address of lifted) await untilBlocked(address);
  expect(blocksOf(source)).toHaveLength(1);
  // Those that were decided in the dark, and given up, are none.
  site.forgetTelemetry();
  const counted = () => site.valueOf("packetwatch_detector_verdicts_total");
  await waitUntil(() => counted() >= 1 + lifted.length, {
    timeoutMs: TIMEOUT_MS,
    what: "each verdict to be counted",
  });
  expect(counted()).toBe(1 + lifted.length);
});

it("an earlier verdict that has left the list, with a mark or without, is in nobody's way", async () => {
  const subject = verdictSubject(parsePrefix(source));
  const over = blockVerdict(source, { expiresUs: Date.now() * 1000 });
  const options = { messageId: over.id, ttlSeconds: 1 };
  await publishAcknowledged(site.bus, subject, encodeVerdict(over), options);
  const [other] = lifted;
  await publishVerdict(site.bus, blockVerdict(other, { expiresUs: Date.now() * 1000 }));
  const manager = await jetstreamManager(site.bus.connection);
  const stream = streamNames.verdict;
  await manager.streams.purge(stream, { filter: verdictSubject(parsePrefix(other)) });
  const isGone = async () => {
    const last = await manager.streams.getMessage(stream, { last_by_subj: subject });
    return last === null || last.data.length === 0;
  };
  await waitUntil(isGone, { timeoutMs: TIMEOUT_MS, what: "the first verdict to expire" });
  for (const address of [source, other]) await scan(address);
  for (const address of [source, other]) await untilBlocked(address);
  expect(verdicts.verdicts.filter(({ verdict }) => verdict.kind === "unblock")).toEqual([]);
});
