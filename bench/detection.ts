/**
 * The detection core alone, all rules on. The load: most sources visit one port of one host of their own, nine in a hundred
 * two ports of four hosts, so nothing of theirs ever fires and all of it has to be remembered; one in a hundred scans at
 * random, and is blocked for ten seconds or alerted about. Two loads are worse: all sources visit two ports of four hosts,
 * and none comes twice. Sources come in random order, which is the worst for the caches. A hundredth of the events is out
 * of order. The tables are filled, and the code compiled, before the clock runs.
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

type Target = { readonly host: number; readonly port: number };
type TargetOf = (source: number, draw: () => number) => Target;

type Scenario = {
  readonly title: string;
  readonly sources: number;
  readonly targetOf: TargetOf;
  /** What the service has unless told, or twice the sources: a set-associative table wants room to spare. */
  readonly capacity: number;
  readonly hasScans: boolean;
  readonly goalPerSecond?: number;
};

const DEFAULT_CAPACITY = 65_536;
/** So many that each has left its table before it comes again. */
const PASSING_SOURCES = 2 ** 22;

const scenarios: readonly Scenario[] = [
  mixed(1_000, 10e6),
  mixed(100_000, 10e6),
  mixed(1_000_000, 4e6),
  {
    title: "100000 sources of eight targets each",
    sources: 100_000,
    targetOf: drawOfEight,
    // Four keys of the rule `vertical` each, and room to spare.
    capacity: 1_000_000,
    hasScans: false,
  },
  {
    title: "sources that come once",
    sources: PASSING_SOURCES,
    targetOf: drawOfOne,
    capacity: DEFAULT_CAPACITY,
    hasScans: false,
  },
];

const sizes = {
  full: { rounds: 3, filling: 4096 * 1024, events: 9765 * 1024, scenarios },
  smoke: {
    rounds: 2,
    filling: 32 * 1024,
    events: 98 * 1024,
    scenarios: [mixed(1_000, 10e6), mixed(20_000, 10e6)],
  },
} as const;

type Size = (typeof sizes)[keyof typeof sizes];

function mixed(sources: number, goalPerSecond: number): Scenario {
  const capacity = Math.max(DEFAULT_CAPACITY, sources * 2);
  const title = `${sources} sources`;
  return { title, sources, targetOf: drawMixed, capacity, hasScans: true, goalPerSecond };
}

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

function drawLoad({ sources, targetOf }: Scenario): Load {
  const draw = createXorshift();
  const load = {
    sources: new Uint32Array(DRAWN_EVENTS),
    destinations: new Uint32Array(DRAWN_EVENTS),
    ports: new Uint16Array(DRAWN_EVENTS),
    latenessUs: new Uint16Array(DRAWN_EVENTS),
  };
  for (let index = 0; index < DRAWN_EVENTS; index++) {
    const source = draw() % sources;
    const { host, port } = targetOf(source, draw);
    load.sources[index] = 0x0b000000 + source;
    load.destinations[index] = 0x0a000000 + (host % HOSTS);
    load.ports[index] = port;
    load.latenessUs[index] = draw() % 100 === 0 ? draw() % LATENESS_US : 0;
  }
  return load;
}

function drawMixed(source: number, draw: () => number): Target {
  const kind = source % 100;
  if (kind === 0) return { host: draw(), port: 1 + (draw() & 0xfff) };
  if (kind < 10) return drawOfEight(source, draw);
  return drawOfOne(source);
}

function drawOfOne(source: number): Target {
  return { host: source, port: PORTS[0] };
}

function drawOfEight(source: number, draw: () => number): Target {
  return { host: source + (draw() & 3), port: PORTS[draw() & 1]! };
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

/** A detector, what it is shown, and what it makes of that. */
class Play {
  readonly #detector: Detector;
  readonly #reader: LoadReader;
  readonly #hash = createHash("sha256");
  #detections = 0;

  constructor(detector: Detector, load: Load) {
    this.#detector = detector;
    this.#reader = new LoadReader(load);
  }

  /** Shows the next events, in whole batches. */
  go(events: number): void {
    const reader = this.#reader;
    const end = reader.first + events;
    for (; reader.first < end; reader.first += BATCH_EVENTS) {
      this.#detector.observeBatch(reader, (found) => this.#note(found));
    }
  }

  conclude() {
    return { detections: this.#detections, hash: this.#hash.digest("hex").slice(0, 16) };
  }

  #note(found: readonly Detection[]): void {
    for (const detection of found) this.#hash.update(verdictId(detection));
    this.#detections += found.length;
  }
}

function clock(play: Play, events: number) {
  const started = performance.now();
  const cpuStarted = process.cpuUsage();
  play.go(events);
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpuStarted);
  const cpuSeconds = (user + system) / 1e6;
  return { eventsPerSecond: events / seconds, eventsPerCpuSecond: events / cpuSeconds };
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

async function measure(scenario: Scenario, { filling, events }: Size): Promise<Result> {
  const detector = createDetector({
    rules: defaultRules,
    capacity: scenario.capacity,
    maxQuietSources: 65_536,
    blockTtlUs: BLOCK_TTL_US,
    seed: SEED,
  });
  const play = new Play(detector, drawLoad(scenario));
  play.go(filling);
  const { value, pausesMs } = await watchCollections(() => clock(play, events));
  const stats = detector.stats();
  const tables = [stats.sources, ...Object.values(stats.rules)];
  return {
    ...value,
    ...play.conclude(),
    tableBytes: detector.bytes,
    evictedLive: tables.reduce((sum, { evictedLive }) => sum + evictedLive, 0),
    eventsCounted: stats.events,
    longestPauseMs: Math.max(0, ...pausesMs),
  };
}

async function run({ size, progress }: BenchContext) {
  const { rounds, scenarios: played, filling, events } = sizes[size];
  const results = played.map((): Result[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, scenario] of played.entries()) {
      progress(`round ${round + 1} of ${rounds}, ${scenario.title}`);
      results[index]?.push(await measure(scenario, sizes[size]));
    }
  }
  const hashes = results.map((ofSize) => ofSize[0]?.hash).join();
  return {
    figures: played.flatMap((scenario, index) => figuresOf(scenario, results[index] ?? [])),
    checks: played.flatMap((scenario, index) =>
      checksOf(scenario, results[index] ?? [], filling + events),
    ),
    hash: createHash("sha256").update(hashes).digest("hex").slice(0, 16),
  };
}

function figuresOf(scenario: Scenario, results: readonly Result[]): Figure[] {
  const { title, sources, capacity, goalPerSecond } = scenario;
  const goal = goalPerSecond === undefined ? {} : { goal: { atLeast: goalPerSecond } };
  const of = (read: (result: Result) => number) => results.map(read);
  return [
    figure(
      title,
      of(({ eventsPerSecond }) => eventsPerSecond),
      { unit: "events/s", ...goal },
    ),
    figure(
      `${title}, by CPU time`,
      of(({ eventsPerCpuSecond }) => eventsPerCpuSecond),
      { unit: "events/CPU s", ...goal },
    ),
    figure(
      `${title}, tables`,
      of(({ tableBytes }) => tableBytes / Math.min(sources, capacity)),
      { unit: "bytes a source" },
    ),
    figure(
      `${title}, longest collection`,
      of(({ longestPauseMs }) => longestPauseMs),
      { unit: "ms", goal: { atMost: 5 } },
    ),
    figure(
      `${title}, keys evicted while live`,
      of(({ evictedLive }) => evictedLive),
      { unit: "" },
    ),
  ];
}

function checksOf({ title, hasScans }: Scenario, results: readonly Result[], events: number) {
  const first = results[0];
  return [
    check(`${title}: every event was counted`, first?.eventsCounted, events),
    check(`${title}: scans were found`, (first?.detections ?? 0) > 0, hasScans),
    check(
      `${title}: every round found the same`,
      new Set(results.map(({ hash, detections }) => `${hash} ${detections}`)).size,
      1,
    ),
  ];
}

await runBench({
  name: "detection",
  title: "Detection core",
  method: [
    "The detector alone in one thread, all rules at their defaults, in batches of 1024 as from the bus; events drawn beforehand. The loads take turns.",
    "Of 100 sources 90 try one target, 9 eight of them, and one scans. Four million events fill the tables before the clock runs for ten million.",
    "Tables have room for 65536 sources and as many keys of each rule, or for twice the sources, and for 65536 verdicts and alerts: at 1000 sources nearly all bytes are room that is not used.",
    "Garbage collections as perf_hooks reports them while the clock ran. The hash is over the ids of all verdicts.",
  ],
  run,
});
