/**
 * One detector in a process of its own, as a service has it, shown the load of a scenario. Prints a `DetectionResult`.
 *
 *     node detection-play.js '{"title": "1000 sources", "filling": 4194304, "events": 9999360}'
 */
import { createHash } from "node:crypto";
import { PerformanceObserver } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import {
  createDetector,
  defaultRules,
  type Detection,
  type Detector,
  verdictId,
} from "@packetwatch/detection";
import {
  BATCH_EVENTS,
  drawLoad,
  type Load,
  LoadReader,
  scenarios,
  SEED,
} from "../detection/detection-load.ts";

const BLOCK_TTL_US = 10_000_000;

export type DetectionPlay = {
  /** The scenario's. */
  readonly title: string;
  /** Events before the clock runs, and while it does. */
  readonly filling: number;
  readonly events: number;
};

export type DetectionResult = {
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

async function measure({ title, filling, events }: DetectionPlay): Promise<DetectionResult> {
  const scenario = Object.values(scenarios)
    .flat()
    .find((one) => one.title === title);
  if (!scenario) throw new Error(`no scenario is called ${JSON.stringify(title)}`);
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

console.log(JSON.stringify(await measure(JSON.parse(process.argv[2] ?? "{}") as DetectionPlay)));
