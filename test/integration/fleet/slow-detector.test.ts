import { publishAcknowledged } from "@packetwatch/bus";
import { MAX_SYN_BATCH_BYTES, synSubject } from "@packetwatch/contracts";
import { parseAddress, SHARD_COUNT, shardOf } from "@packetwatch/net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { synBatch } from "../../../cli/src/testing/payloads.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { DetectorSite } from "../../support/detector-site.ts";
import { waitUntil } from "../../support/eventually.ts";
import type { ServiceProcess } from "../../support/service-process.ts";
import { VerdictTap } from "../../support/taps.ts";

const TIMEOUT_MS = 20_000;
const FLOOD_BATCHES = 2500;
const FLOOD_RECORD_BYTES = 24;

const cleanup = new Cleanup();
let site: DetectorSite;
let verdicts: VerdictTap;

beforeEach(async () => {
  site = await DetectorSite.start(cleanup);
  verdicts = cleanup.own(new VerdictTap(site.bus));
});
afterEach(() => cleanup.run());

function startDetector(variables: Record<string, string> = {}): Promise<ServiceProcess> {
  return site.startDetector({ PW_SYN_STREAM_BYTES: "512MiB", ...variables });
}

/** By shard. */
function shardLags(): ReadonlyMap<string, number> {
  const series = site.seriesOf("packetwatch_detector_shard_lag_messages");
  return new Map(series.map(({ labels, value }) => [String(labels["shard"]), value]));
}

/** Waits until two detectors say that they share all shards. */
async function untilShared(): Promise<void> {
  const isShared = () => {
    const [one = 0, other = 0] = site
      .seriesOf("packetwatch_detector_owned_shards")
      .map(({ value }) => value);
    return one > 0 && other > 0 && one + other === SHARD_COUNT;
  };
  await waitUntil(isShared, { timeoutMs: TIMEOUT_MS, what: "two detectors to share the shards" });
}

function shardOfAddress(address: string): number {
  return shardOf(...parseAddress(address));
}

/** Addresses of a shard, or of all the others. */
function* addressesWhere(isWanted: (shard: number) => boolean): Generator<string> {
  for (let host = 0; host < 2 ** 16; host++) {
    const address = `198.18.${host >> 8}.${host & 255}`;
    if (isWanted(shardOfAddress(address))) yield address;
  }
}

async function scan(source: string): Promise<void> {
  const timeUs = Date.now() * 1000;
  const batch = synBatch([1, 2, 3].map((port) => ({ source, port, timeUs })));
  await publishAcknowledged(site.bus, synSubject(shardOfAddress(source)), batch);
}

/** As many attempts as NATS takes, of sources of one shard that don't scan. */
async function flood(shard: number): Promise<number> {
  const sources = addressesWhere((other) => other === shard);
  const perBatch = Math.floor(MAX_SYN_BATCH_BYTES / FLOOD_RECORD_BYTES) - 2;
  const pool = [...sources].slice(1);
  const timeUs = Date.now() * 1000;
  const batch = synBatch(
    Array.from({ length: perBatch }, (_, index) => ({
      source: pool[index % pool.length] as string,
      timeUs,
    })),
  );
  for (let sent = 0; sent < FLOOD_BATCHES; sent += 50) {
    const publishing = Array.from({ length: 50 }, () =>
      publishAcknowledged(site.bus, synSubject(shard), batch),
    );
    await Promise.all(publishing);
  }
  return FLOOD_BATCHES * perBatch;
}

function storedUsOf(source: string): Promise<number> {
  return waitUntil(() => verdicts.blockOf(source)?.storedUs, {
    timeoutMs: TIMEOUT_MS,
    what: `a verdict on ${source}`,
  });
}

it("a shard that falls behind shows it, catches up by itself, and no other shard waits for it", async () => {
  const detector = await startDetector();
  const behind = 7;
  const late = addressesWhere((shard) => shard === behind).next().value as string;
  const prompt = addressesWhere((shard) => shard !== behind).next().value as string;

  await waitUntil(() => shardLags().size === SHARD_COUNT, {
    timeoutMs: TIMEOUT_MS,
    what: "the detector to read every shard",
  });
  detector.signal("SIGSTOP");
  const records = await flood(behind);
  await scan(late);
  detector.signal("SIGCONT");
  const resumedUs = Date.now() * 1000;
  await scan(prompt);

  const lags = await waitUntil(
    () => {
      const read = shardLags();
      return (read.get(String(behind)) ?? 0) > 0 ? read : undefined;
    },
    { timeoutMs: TIMEOUT_MS, what: "the lag in the telemetry" },
  );
  expect(lags.size).toBe(SHARD_COUNT);
  const others = [...lags].filter(([shard]) => shard !== String(behind));
  expect(others.filter(([, lag]) => lag > 0)).toEqual([]);
  expect(site.valueOf("packetwatch_detector_lag_messages")).toBeGreaterThan(0);

  const [promptUs, lateUs] = [await storedUsOf(prompt), await storedUsOf(late)];
  const ms = (us: number) => Math.round((us - resumedUs) / 1000);
  console.log(
    `with ${records} attempts waiting in one shard: a scan in another one was judged after ${ms(promptUs)} ms, the last of the flood after ${ms(lateUs)} ms; lag seen: ${lags.get(String(behind))} batches`,
  );
  expect(promptUs).toBeLessThan(lateUs);
  expect(ms(promptUs)).toBeLessThan(ms(lateUs) / 2);
  await waitUntil(() => shardLags().get(String(behind)) === 0, {
    timeoutMs: TIMEOUT_MS,
    what: "no lag",
  });
});

it("the shards of a detector that is stuck are taken over, and given back when it goes on", async () => {
  const variables = { PW_DETECTOR_TTL: "1" };
  const stuck = await startDetector(variables);
  await startDetector(variables);
  await untilShared();
  stuck.signal("SIGSTOP");
  const startUs = Date.now() * 1000;
  const sources = Array.from(
    { length: SHARD_COUNT },
    (_, shard) => addressesWhere((other) => other === shard).next().value as string,
  );
  for (const source of sources) await scan(source);
  const storedUs = await Promise.all(sources.map(storedUsOf));
  const slowestMs = Math.round((Math.max(...storedUs) - startUs) / 1000);
  console.log(
    `with one of two detectors stuck, all ${SHARD_COUNT} shards judged within ${slowestMs} ms`,
  );

  stuck.signal("SIGCONT");
  site.forgetTelemetry();
  await untilShared();
  // Both have judged the scans of the stuck one's shards; the server kept one verdict of each.
  expect(verdicts.verdicts.length).toBe(SHARD_COUNT);
});
