/**
 * The detection core alone, all rules on. The load: most sources visit one port of one host of their own, nine in a hundred
 * two ports of four hosts, so nothing of theirs ever fires and all of it has to be remembered; one in a hundred scans at
 * random, and is blocked for ten seconds or alerted about. Two loads are worse: all sources visit two ports of four hosts,
 * and none comes twice. Sources come in random order, which is the worst for the caches. A hundredth of the events is out
 * of order. The tables are filled, and the code compiled, before the clock runs.
 */
import { createHash } from "node:crypto";
import { type Scenario, scenarios } from "./detection/detection-load.ts";
import { check, figure, type Figure } from "./harness/bench-report.ts";
import { type BenchContext, runBench } from "./harness/run-bench.ts";
import type { DetectionPlay, DetectionResult } from "./load/detection-play.ts";
import { benchProgram, runForJson } from "./support/child-json.ts";

const sizes = {
  full: { rounds: 3, filling: 4096 * 1024, events: 9765 * 1024 },
  smoke: { rounds: 2, filling: 32 * 1024, events: 98 * 1024 },
} as const;

async function run({ size, progress }: BenchContext) {
  const { rounds, filling, events } = sizes[size];
  const played = scenarios[size];
  const results = played.map((): DetectionResult[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, scenario] of played.entries()) {
      progress(`round ${round + 1} of ${rounds}, ${scenario.title}`);
      const play: DetectionPlay = { title: scenario.title, filling, events };
      const command = [
        process.execPath,
        benchProgram("detection-play"),
        JSON.stringify(play),
      ] as const;
      results[index]?.push(await runForJson<DetectionResult>(command));
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

function figuresOf(scenario: Scenario, results: readonly DetectionResult[]): Figure[] {
  const { title, sources, capacity, goalPerSecond } = scenario;
  const goal = goalPerSecond === undefined ? {} : { goal: { atLeast: goalPerSecond } };
  const of = (read: (result: DetectionResult) => number) => results.map(read);
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

function checksOf(
  { title, hasScans }: Scenario,
  results: readonly DetectionResult[],
  events: number,
) {
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
    "The detector alone in a process of its own, in one thread, all rules at their defaults, in batches of 1024 as from the bus; events drawn beforehand. The loads take turns.",
    "Of 100 sources 90 try one target, 9 eight of them, and one scans. Four million events fill the tables before the clock runs for ten million.",
    "Tables have room for 65536 sources and as many keys of each rule, or for twice the sources, and for 65536 verdicts and alerts: at 1000 sources nearly all bytes are room that is not used.",
    "Garbage collections as perf_hooks reports them while the clock ran. The hash is over the ids of all verdicts.",
  ],
  run,
});
