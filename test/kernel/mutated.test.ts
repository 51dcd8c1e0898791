import { formatAddress, readAddress } from "@packetwatch/net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { viewOf } from "../support/bytes.ts";
import { FrameMutator } from "../support/frame-mutator.ts";
import { fuzzRuns, fuzzSeed } from "../support/fuzz-budget.ts";
import {
  countersMoved,
  type LoadedPacketwatch,
  loadPacketwatch,
} from "../support/loaded-packetwatch.ts";
import { describeFrame, type Seen, type SeenSyn } from "../support/oracle.ts";
import { IPV4_SOURCE } from "../support/packets.ts";

/** A quarter for each of the four situations: a million in all. */
const RUNS = fuzzRuns(250_000);
/** Fewer records than the ring holds. */
const BATCH = 500;
const TIMEOUT_MS = fuzzRuns(600_000);

type Situation = "nobody is blocked" | "blocked" | "blocked and allowed" | "blocked, not enforced";
const situations: readonly Situation[] = [
  "nobody is blocked",
  "blocked",
  "blocked and allowed",
  "blocked, not enforced",
];

const sourceOf = ({ source }: SeenSyn) => formatAddress(readAddress(viewOf(source), 0));
/** The /64 of the packet builder's IPv6 source. */
const BLOCKED_PREFIX = "2001:db8:0:1::";
const BLOCKED_NETWORK = 0x2001_0db8_0000_0001n;

/** An IPv6 source is blocked with its /64. */
function isBlockedSource(seen: SeenSyn): boolean {
  const source = sourceOf(seen);
  if (seen.family === 4) return source === IPV4_SOURCE;
  const words = viewOf(seen.source);
  return words.getBigUint64(0) === BLOCKED_NETWORK;
}

/** What of a frame can be told from a record, on one line. */
function recordLine(seen: SeenSyn): string {
  const flags = seen.flagsAndWindow?.flags ?? 0;
  const destination = formatAddress(readAddress(viewOf(seen.destination), 0));
  return `${sourceOf(seen)} ${seen.sourcePort} ${destination} ${seen.destinationPort} ${flags} ${seen.ttl}`;
}

function isDropped(seen: Seen, situation: Situation): boolean {
  return seen.kind === "syn" && situation === "blocked" && isBlockedSource(seen);
}

let packetwatch: LoadedPacketwatch;
beforeAll(() => {
  packetwatch = loadPacketwatch();
});
afterAll(() => packetwatch.close());
beforeEach(() => packetwatch.reset());

function prepare(situation: Situation): void {
  if (situation === "nobody is blocked") return;
  packetwatch.maps.block(IPV4_SOURCE);
  packetwatch.maps.block(BLOCKED_PREFIX);
  if (situation === "blocked, not enforced") packetwatch.maps.enforce("off");
  if (situation !== "blocked and allowed") return;
  packetwatch.maps.allow(IPV4_SOURCE);
  packetwatch.maps.allow(`${BLOCKED_PREFIX}/64`);
}

/** What the counters must have moved by, by what the frames are. */
function expectedCounts(batch: readonly Seen[], situation: Situation): Record<string, number> {
  const counts: Record<string, number> = {};
  const count = (name: string) => (counts[name] = (counts[name] ?? 0) + 1);
  for (const seen of batch) {
    if (seen.kind === "unparsed") count(`unparsed.${seen.reason}`);
    if (seen.kind !== "syn") continue;
    count(`synIpv${seen.family}`);
    count(isDropped(seen, situation) ? "dropped" : "reported");
  }
  return counts;
}

/** Frames whose fate is not the one that the parser of test/support/oracle.ts foretells. */
function runBatch(mutator: FrameMutator, situation: Situation): number {
  const before = packetwatch.maps.counters();
  const seen: Seen[] = [];
  for (let index = 0; index < BATCH; index++) {
    const frame = mutator.next();
    const one = describeFrame(frame);
    seen.push(one);
    const { action } = packetwatch.sendOnly(frame);
    const expected = isDropped(one, situation) ? "XDP_DROP" : "XDP_PASS";
    if (action !== expected) {
      throw new Error(`${action}, not ${expected}: ${Buffer.from(frame).toString("hex")}`);
    }
  }
  const reported = seen.filter(
    (one): one is SeenSyn => one.kind === "syn" && !isDropped(one, situation),
  );
  const records = packetwatch.readRecords();
  const lines = records.map(
    ({ source, sourcePort, destination, destinationPort, tcpFlags, ttl }) =>
      `${source} ${sourcePort} ${destination} ${destinationPort} ${tcpFlags} ${ttl}`,
  );
  expect(lines).toEqual(reported.map(recordLine));
  const moved = countersMoved(before, packetwatch.maps.counters());
  expect(moved).toMatchObject(expectedCounts(seen, situation));
  return seen.filter((one) => isDropped(one, situation)).length;
}

describe(`of ${RUNS} mutated packets (FUZZ_SEED=${fuzzSeed})`, () => {
  it.each(situations)(
    "none ends the program in an abort, and only a lone SYN of a blocked source is dropped: %s",
    (situation) => {
      prepare(situation);
      const mutator = new FrameMutator(fuzzSeed + situations.indexOf(situation));
      const startedMs = performance.now();
      let dropped = 0;
      for (let done = 0; done < RUNS; done += BATCH) dropped += runBatch(mutator, situation);
      const tookMs = performance.now() - startedMs;
      console.log(`${situation}: ${RUNS} in ${Math.round(tookMs)} ms, ${dropped} dropped`);
      if (situation === "blocked") expect(dropped).toBeGreaterThan(RUNS / 10);
      else expect(dropped).toBe(0);
    },
    TIMEOUT_MS,
  );
});
