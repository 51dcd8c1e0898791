/** More detectors, more history to take over, more verdicts to start with. */
import { setTimeout as delay } from "node:timers/promises";
import { formatAddress } from "@packetwatch/net";
import { waitUntil } from "../test/support/eventually.ts";
import type { FleetService } from "../test/support/fleet-service.ts";
import { blockVerdict, publishVerdicts } from "../test/support/published-verdicts.ts";
import { check, type Check, figure, type Figure } from "./harness/bench-report.ts";
import { type BenchContext, runBench } from "./harness/run-bench.ts";
import { ratios } from "./harness/statistics.ts";
import type { RingLoad, RingLoadResult } from "./load/ring-load.ts";
import { TakerGroup } from "./scaling/taker-group.ts";
import { growths, type Usage, usageFigures } from "./scaling/usage.ts";
import { benchProgram, runForJson } from "./support/child-json.ts";
import { type LoadSite, startLoadSite } from "./support/load-site.ts";
import { cpuSeconds } from "./support/process-usage.ts";

const sizes = {
  full: {
    detectors: [1, 2, 4, 8],
    rate: 200_000,
    seconds: 8,
    warmSeconds: 5,
    idleSeconds: 8,
    takeovers: [100_000, 1_000_000],
    verdicts: [1000, 100_000, 1_000_000],
  },
  smoke: {
    detectors: [1, 2],
    rate: 5000,
    seconds: 0.2,
    warmSeconds: 0.2,
    idleSeconds: 0.5,
    takeovers: [20_000],
    verdicts: [1000],
  },
} as const;

const SETTINGS = { PW_MAX_VERDICTS: "1100000", PW_BLOCKED_ENTRIES: "1100000" } as const;
const SOURCES = 20_000;
const TAKEOVER_RATE = 200_000;
const START_TIMEOUT_MS = 300_000;
const CHUNK = 10_000;
/** Telemetry comes once a second, and a group is whole when everybody has seen everybody. */
const SETTLE_MS = 3000;
const MAX_GROWTH = 1.1;

type Part = { readonly figures: readonly Figure[]; readonly checks: readonly Check[] };

async function run(context: BenchContext) {
  const site = await startLoadSite(context, SETTINGS);
  const parts: Part[] = [];
  for (const syns of sizes[context.size].takeovers) {
    context.progress(`a takeover of ${syns} SYNs`);
    parts.push(await takeOver(site, syns));
  }
  parts.push(await compareDetectors(site, context));
  // No detector runs any more: one would withdraw what is more than the breaker lets through.
  await site.host.kill("enforcer");
  let published = 0;
  for (const verdicts of sizes[context.size].verdicts) {
    context.progress(`a start with ${verdicts} verdicts`);
    parts.push(await startEnforcer(site, published, verdicts));
    published = verdicts;
  }
  return {
    figures: parts.flatMap(({ figures }) => figures),
    checks: parts.flatMap(({ checks }) => checks),
  };
}

async function send(site: LoadSite, options: Omit<RingLoad, "pinFolder">): Promise<number> {
  const text = JSON.stringify({ pinFolder: site.host.pinFolder("veth0"), ...options });
  const { sent } = await runForJson<RingLoadResult>([
    process.execPath,
    benchProgram("ring-load"),
    text,
  ]);
  return sent;
}

type DetectorUsage = Usage & {
  /** Cores that each of them took while no SYN came. */
  readonly idleCores: number;
};

/** Detectors, and in their place processes that do nothing with what they take. */
async function compareDetectors(site: LoadSite, context: BenchContext): Promise<Part> {
  const detectors = await measureDetectors(site, context);
  await site.host.kill("detector");
  const takers = await measureTakers(site, context);
  const share = ratios(growths(takers.usages), growths(detectors.usages));
  return {
    figures: [
      ...usageFigures(detectors.usages, {
        one: "detector",
        many: "detectors",
        maxGrowth: MAX_GROWTH,
      }),
      figure(
        "what a detector takes without load",
        detectors.usages.map(({ idleCores }) => idleCores * 100),
        { unit: "% of a core" },
      ),
      ...usageFigures(takers.usages, {
        one: "process that takes the messages and does nothing",
        many: "such processes",
      }),
      figure("what one more such process takes in place of one more detector", share, {
        unit: "times",
      }),
    ],
    checks: [...detectors.checks, ...takers.checks],
  };
}

type Measured<Of extends Usage> = {
  readonly usages: readonly Of[];
  readonly checks: readonly Check[];
};

/** The first detector runs already; the others join for their turn. */
async function measureDetectors(
  site: LoadSite,
  context: BenchContext,
): Promise<Measured<DetectorUsage>> {
  const group: FleetService[] = [site.host.service("detector")];
  const usages: DetectorUsage[] = [];
  const checks: Check[] = [];
  for (const detectors of sizes[context.size].detectors) {
    context.progress(`${detectors} detectors`);
    while (group.length < detectors) {
      const PW_HOST = `detector${group.length}`;
      group.push(await site.fleet.start("detector", { ...SETTINGS, PW_HOST }));
    }
    const { usage, judged, sent } = await measureGroup(site, group, context.size);
    usages.push(usage);
    checks.push(check(`${detectors} detectors judge each SYN once`, judged, sent));
  }
  for (const detector of group.slice(1)) await detector.stop();
  return { usages, checks };
}

/** As many processes in the place of each number of detectors, while no detector runs. */
async function measureTakers(site: LoadSite, context: BenchContext): Promise<Measured<Usage>> {
  const { rate, seconds, warmSeconds, detectors } = sizes[context.size];
  const usages: Usage[] = [];
  const checks: Check[] = [];
  for (const processes of detectors) {
    context.progress(`${processes} processes that do nothing`);
    const group = context.cleanup.own(new TakerGroup(site, processes));
    await group.ready();
    await send(site, { rate, seconds: warmSeconds, sources: SOURCES });
    await untilTaken(site, group);
    const cpuBefore = cpuOf(group.pids);
    const startMs = performance.now();
    const sent = await send(site, { rate, seconds, sources: SOURCES });
    const { taken, stored } = await untilTaken(site, group);
    const cpu = cpuOf(group.pids) - cpuBefore;
    const cores = cpu / ((performance.now() - startMs) / 1000);
    await group.close();
    usages.push({ processes, perMillion: cpu / (sent / 1e6), cores });
    checks.push(check(`${processes} processes take each message once`, taken, stored));
  }
  return { usages, checks };
}

async function untilTaken(site: LoadSite, group: TakerGroup) {
  await untilPublished(site);
  const stored = await group.stored();
  const taken = await waitUntil(() => group.takenOf(stored), {
    timeoutMs: START_TIMEOUT_MS,
    what: `${stored} messages to be taken`,
  });
  return { taken, stored };
}

/** What a group takes without load and with it, once its code is compiled. */
async function measureGroup(
  site: LoadSite,
  group: readonly FleetService[],
  size: BenchContext["size"],
) {
  const { rate, seconds, warmSeconds, idleSeconds } = sizes[size];
  await send(site, { rate, seconds: warmSeconds, sources: SOURCES });
  // What they replay when they join isn't what is compared.
  await untilQuiet(site);
  const pids = group.map(({ pid }) => pid);
  const cpuIdle = cpuOf(pids);
  await delay(idleSeconds * 1000);
  const cpuBefore = cpuOf(pids);
  const before = countsOf(site);
  const startMs = performance.now();
  const sent = await send(site, { rate, seconds, sources: SOURCES });
  await untilJudged(site, before);
  const cpu = cpuOf(pids) - cpuBefore;
  const cores = cpu / ((performance.now() - startMs) / 1000);
  await untilQuiet(site);
  const processes = group.length;
  const idleCores = (cpuBefore - cpuIdle) / idleSeconds / processes;
  const usage: DetectorUsage = { processes, perMillion: cpu / (sent / 1e6), cores, idleCores };
  return { usage, judged: countsOf(site).judged - before.judged, sent };
}

function cpuOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
}

type Counts = {
  readonly published: number;
  readonly isPublished: boolean;
  readonly judged: number;
};

/** What came of the SYNs so far. Those that were replayed are judged more than once. */
function countsOf(site: LoadSite): Counts {
  const { published, lost, reported } = site.books.read();
  return { published, isPublished: published + lost === reported, judged: site.detectorEvents };
}

/** Waits until what has come since is judged. */
async function untilJudged(site: LoadSite, before: Counts): Promise<void> {
  const isJudged = () => {
    const { published, isPublished, judged } = countsOf(site);
    return isPublished && judged - before.judged >= published - before.published;
  };
  await waitUntil(isJudged, { timeoutMs: START_TIMEOUT_MS, what: "the SYNs to be judged" });
}

async function untilPublished(site: LoadSite): Promise<void> {
  await waitUntil(() => countsOf(site).isPublished, {
    timeoutMs: START_TIMEOUT_MS,
    what: "the SYNs to be published",
  });
}

/** Waits until the detectors judge nothing more. */
async function untilQuiet(site: LoadSite): Promise<void> {
  let before: number;
  do {
    before = site.detectorEvents;
    await delay(SETTLE_MS);
  } while (site.detectorEvents !== before);
}

/** One detector stops; SYNs gather; the next one begins with all of them. */
async function takeOver(site: LoadSite, syns: number): Promise<Part> {
  await site.host.service("detector").stop();
  site.forgetDetectors();
  const before = site.books.read();
  await send(site, { rate: TAKEOVER_RATE, seconds: syns / TAKEOVER_RATE, sources: SOURCES });
  await untilPublished(site);
  const inWindow = countsOf(site).published;
  const startMs = performance.now();
  await site.host.start("detector");
  const readyMs = performance.now() - startMs;
  await waitUntil(() => site.detectorEvents >= inWindow, {
    timeoutMs: START_TIMEOUT_MS,
    what: `${inWindow} SYNs to be judged, not ${site.detectorEvents}`,
  });
  const tookMs = performance.now() - startMs;
  return {
    figures: [
      figure(`takeover of ${inWindow} SYNs, from the start of the process`, [tookMs], {
        unit: "ms",
      }),
      figure("of these, until the process is ready", [readyMs], { unit: "ms" }),
    ],
    checks: [
      check("the SYNs were in the stream", site.books.read().lost - before.lost, 0),
      check("the replay judged each once", site.detectorEvents, inWindow),
    ],
  };
}

function sourceOf(index: number): string {
  return formatAddress([0, 0, 0xffff, 0x0c000000 + index]);
}

async function startEnforcer(site: LoadSite, from: number, verdicts: number): Promise<Part> {
  for (let first = from; first < verdicts; first += CHUNK) {
    const count = Math.min(CHUNK, verdicts - first);
    const some = Array.from({ length: count }, (_, index) => blockVerdict(sourceOf(first + index)));
    await publishVerdicts(site.bus, some);
  }
  const startMs = performance.now();
  const enforcer = site.host.launch("enforcer");
  const reconciled = await enforcer.logged("block map reconciled", START_TIMEOUT_MS);
  const tookMs = performance.now() - startMs;
  const missing = missingBlocks(site, verdicts);
  await site.host.kill("enforcer");
  return {
    figures: [
      figure(`enforcer with ${verdicts} verdicts, process start to a map that is right`, [tookMs], {
        unit: "ms",
      }),
    ],
    checks: [
      check(`${verdicts} verdicts: blocks that the map misses`, missing, 0),
      check(
        `${verdicts} verdicts: those that were new were added`,
        reconciled["added"],
        verdicts - from,
      ),
    ],
  };
}

/** Of the first so many sources, those that the kernel doesn't block. */
function missingBlocks(site: LoadSite, verdicts: number): number {
  const pinned = site.host.pinned("veth0");
  let missing = 0;
  for (let index = 0; index < verdicts; index++) {
    if (pinned.maps.blockOf(sourceOf(index)) === undefined) missing++;
  }
  pinned.close();
  return missing;
}

await runBench({
  name: "scaling",
  title: "Scaling",
  method: [
    "One host whose ring is filled through the kernel's own program, 200,000 SYNs a second from 20,000 sources. Detectors join one after the other on the same cores, so what is compared is the CPU they need together and not how fast they are; before each comparison all of them have judged for five seconds.",
    "After them, at the same rate, as many processes that share the shards in the same way and do nothing: plain subscriptions to what capture publishes, which take a message and count it. What they need together is what comes of sharing alone.",
    "A takeover: no detector runs while SYNs gather in the stream; then one starts and has judged them all (told once a second). The enforcer's starts: each finds the blocks of the one before in the map, and adds the rest.",
  ],
  run,
});
