/**
 * The detection core alone, all rules on. The load: most sources visit one port of one host of their own, nine in a hundred
 * two ports of four hosts, so nothing of theirs ever fires and all of it has to be remembered; one in a hundred scans at
 * random, and is blocked for ten seconds or alerted about. Sources come in random order, which is the worst for the caches.
 * A hundredth of the events is out of order.
 */
import { createHash } from "node:crypto";
import { PerformanceObserver } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import type { SynEvent } from "@packetwatch/contracts";
import {
  createDetector,
  defaultRules,
  type Detection,
  type Detector,
  type SynReader,
  verdictId,
} from "@packetwatch/detection";

import { check, figure, type Figure } from "./harness/bench-report.ts";
import { type BenchContext, runBench } from "./harness/run-bench.ts";

const SEED = 20_240_101;
const START_US = 1_704_067_200_000_000;
/** The clock of the events runs as if they came at a million a second. */
const STEP_US = 1;
const LATENESS_US = 50_000;
const BLOCK_TTL_US = 10_000_000;
const HOSTS = 64;
const PORTS = [443, 80] as const;

type Size = {
  readonly sources: number;
  readonly events: number;
  readonly goalPerSecond: number;
};

const sizes = {
  full: {
    rounds: 2,
    loads: [
      { sources: 1_000, events: 9_999_360, goalPerSecond: 10e6 },
      { sources: 100_000, events: 9_999_360, goalPerSecond: 10e6 },
      { sources: 1_000_000, events: 9_999_360, goalPerSecond: 4e6 },
    ],
  },
  smoke: {
    rounds: 2,
    loads: [
      { sources: 1_000, events: 100_352, goalPerSecond: 10e6 },
      { sources: 20_000, events: 100_352, goalPerSecond: 10e6 },
    ],
  },
} as const;

type Result = {
  readonly eventsPerSecond: number;
  /** The same where others take the core away now and then. */
  readonly eventsPerCpuSecond: number;
  readonly detections: number;
  readonly hash: string;
  readonly tableBytes: number;
  readonly evictedLive: number;
  readonly eventsCounted: number;
  readonly longestPauseMs: number;
};

/** Events drawn once before the clock runs, so that their making isn't measured; the stream goes round in them. */
const DRAWN_EVENTS = 2 ** 22;

type Load = {
  readonly sources: Uint32Array;
  readonly destinations: Uint32Array;
  readonly ports: Uint16Array;
  readonly latenessUs: Uint16Array;
};

function drawLoad(sources: number): Load {
  const draw = createXorshift();
  const load = {
    sources: new Uint32Array(DRAWN_EVENTS),
    destinations: new Uint32Array(DRAWN_EVENTS),
    ports: new Uint16Array(DRAWN_EVENTS),
    latenessUs: new Uint16Array(DRAWN_EVENTS),
  };
  for (let index = 0; index < DRAWN_EVENTS; index++) {
    const source = draw() % sources;
    const { host, port } = drawTarget(source, draw);
    load.sources[index] = 0x0b000000 + source;
    load.destinations[index] = 0x0a000000 + (host % HOSTS);
    load.ports[index] = port;
    load.latenessUs[index] = draw() % 100 === 0 ? draw() % LATENESS_US : 0;
  }
  return load;
}

function drawTarget(source: number, draw: () => number): { host: number; port: number } {
  const kind = source % 100;
  if (kind === 0) return { host: draw(), port: 1 + (draw() & 0xfff) };
  if (kind < 10) return { host: source + (draw() & 3), port: PORTS[draw() & 1]! };
  return { host: source, port: PORTS[0] };
}

function createXorshift(): () => number {
  let state = SEED;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** As many events as a full batch of the bus has. */
const BATCH_EVENTS = 1024;

/** Reads the drawn events round and round, as `SynBatch` does its records. */
class LoadReader implements SynReader {
  readonly count = BATCH_EVENTS;
  first = 0;
  readonly #load: Load;

  constructor(load: Load) {
    this.#load = load;
  }

  read(index: number, event: SynEvent): void {
    const at = (this.first + index) & (DRAWN_EVENTS - 1);
    event.timeUs = START_US + (this.first + index) * STEP_US - this.#load.latenessUs[at]!;
    event.s2 = 0xffff;
    event.s3 = this.#load.sources[at]!;
    event.d2 = 0xffff;
    event.d3 = this.#load.destinations[at]!;
    event.destinationPort = this.#load.ports[at]!;
  }
}

function detect(detector: Detector, load: Load, events: number) {
  const reader = new LoadReader(load);
  const hash = createHash("sha256");
  let detections = 0;
  const onDetections = (found: readonly Detection[]) => {
    for (const detection of found) hash.update(verdictId(detection));
    detections += found.length;
  };
  const started = performance.now();
  const cpuStarted = process.cpuUsage();
  for (; reader.first < events; reader.first += BATCH_EVENTS)
    detector.observeBatch(reader, onDetections);
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpuStarted);
  const eventsPerCpuSecond = events / ((user + system) / 1e6);
  return {
    eventsPerSecond: events / seconds,
    eventsPerCpuSecond,
    detections,
    hash: hash.digest("hex").slice(0, 16),
  };
}

/** Collections while `run` ran. Their records come through the event loop, some turns later. */
async function watchCollections<Value>(
  run: () => Value,
): Promise<{ value: Value; pausesMs: number[] }> {
  const pausesMs: number[] = [];
  let endedMs = Infinity;
  const observer = new PerformanceObserver((list) => {
    const during = list.getEntries().filter(({ startTime }) => startTime < endedMs);
    pausesMs.push(...during.map(({ duration }) => duration));
  });
  observer.observe({ entryTypes: ["gc"] });
  const value = run();
  endedMs = performance.now();
  await setTimeout(50);
  observer.disconnect();
  return { value, pausesMs };
}

async function measure(size: Size): Promise<Result> {
  const load = drawLoad(size.sources);
  // A source has little more than one key per rule here, and a set-associative table wants room to spare.
  const detector = createDetector({
    rules: defaultRules,
    capacity: size.sources * 2,
    maxQuietSources: 65_536,
    blockTtlUs: BLOCK_TTL_US,
    seed: SEED,
  });
  const { value, pausesMs } = await watchCollections(() => detect(detector, load, size.events));
  const { rules, events } = detector.stats();
  return {
    ...value,
    tableBytes: detector.bytes,
    evictedLive: Object.values(rules).reduce((sum, { evictedLive }) => sum + evictedLive, 0),
    eventsCounted: events,
    longestPauseMs: Math.max(0, ...pausesMs),
  };
}

async function run({ size, progress }: BenchContext) {
  const { rounds, loads } = sizes[size];
  const results = loads.map((): Result[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, load] of loads.entries()) {
      progress(`round ${round + 1} of ${rounds}, ${load.sources} sources`);
      results[index]?.push(await measure(load));
    }
  }
  const hashes = results.map((ofSize) => ofSize[0]?.hash).join();
  return {
    figures: loads.flatMap((load, index) => figuresOf(load, results[index] ?? [])),
    checks: loads.flatMap((load, index) => checksOf(load, results[index] ?? [])),
    hash: createHash("sha256").update(hashes).digest("hex").slice(0, 16),
  };
}

function figuresOf({ sources, goalPerSecond }: Size, results: readonly Result[]): Figure[] {
  const of = (read: (result: Result) => number) => results.map(read);
  return [
    figure(
      `${sources} sources`,
      of(({ eventsPerSecond }) => eventsPerSecond),
      { unit: "events/s", goal: { atLeast: goalPerSecond } },
    ),
    figure(
      `${sources} sources, by CPU time`,
      of(({ eventsPerCpuSecond }) => eventsPerCpuSecond),
      { unit: "events/CPU s", goal: { atLeast: goalPerSecond } },
    ),
    figure(
      `${sources} sources, tables`,
      of(({ tableBytes }) => tableBytes / sources),
      { unit: "bytes a source" },
    ),
    figure(
      `${sources} sources, longest collection`,
      of(({ longestPauseMs }) => longestPauseMs),
      { unit: "ms", goal: { atMost: 5 } },
    ),
    figure(
      `${sources} sources, keys evicted while live`,
      of(({ evictedLive }) => evictedLive),
      { unit: "" },
    ),
  ];
}

function checksOf({ sources, events }: Size, results: readonly Result[]) {
  const first = results[0];
  return [
    check(`${sources} sources: every event was counted`, first?.eventsCounted, events),
    check(`${sources} sources: scans were found`, (first?.detections ?? 0) > 0),
    check(
      `${sources} sources: every round found the same`,
      new Set(results.map(({ hash, detections }) => `${hash} ${detections}`)).size,
      1,
    ),
  ];
}

await runBench({
  name: "detection",
  title: "Detection core",
  method: [
    "The detector alone in one thread, all rules at their defaults, in batches of 1024 as from the bus; events drawn beforehand. The sizes take turns.",
    "Garbage collections as perf_hooks reports them while the clock ran. The hash is over the ids of all verdicts.",
  ],
  run,
});
