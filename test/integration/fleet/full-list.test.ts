import { jetstreamManager } from "@nats-io/jetstream";
import { publishAcknowledged } from "@packetwatch/bus";
import { streamNames, synSubject, verdictSubject } from "@packetwatch/contracts";
import { parseAddress, parsePrefix, shardOf } from "@packetwatch/net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { synBatch } from "../../../cli/src/testing/payloads.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { DetectorSite } from "../../support/detector-site.ts";
import { waitUntil } from "../../support/eventually.ts";
import type { ServiceProcess } from "../../support/service-process.ts";
import { VerdictTap } from "../../support/taps.ts";

const TIMEOUT_MS = 20_000;
const LIMIT = 16;
const SCANNERS = LIMIT + 4;
/** Longer than a source is left alone after a refusal. */
const LATER_SECONDS = 11;

const cleanup = new Cleanup();
let site: DetectorSite;
let verdicts: VerdictTap;
let detector: ServiceProcess;

beforeEach(async () => {
  site = await DetectorSite.start(cleanup);
  detector = await site.startDetector({ PW_MAX_VERDICTS: String(LIMIT) });
  verdicts = cleanup.own(new VerdictTap(site.bus));
});
afterEach(() => cleanup.run());

const addressOf = (index: number) => `198.51.100.${index + 1}`;

/** Three new ports, `afterSeconds` from the first scan. */
async function scan(source: string, afterSeconds: number): Promise<void> {
  const timeUs = Math.round((Date.now() + afterSeconds * 1000) * 1000);
  const ports = [1, 2, 3].map((port) => port + afterSeconds * 10);
  const batch = synBatch(ports.map((port) => ({ source, port, timeUs })));
  await publishAcknowledged(site.bus, synSubject(shardOf(...parseAddress(source))), batch);
}

function refused(): number {
  const failures = site.seriesOf("packetwatch_detector_verdict_failures_total");
  return failures.find(({ labels }) => labels["reason"] === "stream_full")?.value ?? 0;
}

it("verdicts that a full list refuses are counted and said, and follow when there is room and the scan goes on", async () => {
  for (let index = 0; index < SCANNERS; index++) await scan(addressOf(index), 0);
  await waitUntil(() => refused() === SCANNERS - LIMIT, {
    timeoutMs: TIMEOUT_MS,
    what: `${SCANNERS - LIMIT} refused verdicts in the telemetry`,
  });
  expect(verdicts.verdicts.length).toBe(LIMIT);
  const said = detector.lines.filter(({ level }) => level === "error");
  expect(said[0]?.msg).toMatch(/PW_MAX_VERDICTS/);
  expect(said.length).toBeLessThan(SCANNERS - LIMIT);

  const blocked = verdicts.verdicts.map(({ verdict }) => verdict.source);
  const refusedSource = Array.from({ length: SCANNERS }, (_, index) => addressOf(index)).find(
    (source) => !blocked.includes(source),
  ) as string;
  const manager = await jetstreamManager(site.bus.connection);
  const gone = verdictSubject(parsePrefix(blocked[0] as string));
  await manager.streams.purge(streamNames.verdict, { filter: gone });
  await scan(refusedSource, 1);
  await scan(refusedSource, LATER_SECONDS);
  await waitUntil(() => verdicts.blockOf(refusedSource), {
    timeoutMs: TIMEOUT_MS,
    what: `${refusedSource} to be blocked`,
  });
});
