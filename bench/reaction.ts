/** How long it takes from the deciding attempt to the block, and how far a scanner gets meanwhile. */
import { setTimeout as delay } from "node:timers/promises";
import { type Bus, connectBus } from "@packetwatch/bus";
import { createSite, pipeline, type Site } from "../test/e2e/site.ts";
import {
  concludeScan,
  runScan,
  type Scan,
  type ScanResult,
} from "../test/e2e/scanners/run-scan.ts";
import { masscan, nmap, type Scanner } from "../test/e2e/scanners/scanners.ts";
import type { Cleanup } from "../test/support/cleanup.ts";
import { waitUntil } from "../test/support/eventually.ts";
import { RecordingLogger } from "../test/support/recording-logger.ts";
import { SynTap, VerdictTap } from "../test/support/taps.ts";
import { check, figure, type Figure, type Goal } from "./harness/bench-report.ts";
import { observeCpus } from "./harness/machine-facts.ts";
import { type BenchContext, runBench } from "./harness/run-bench.ts";
import { percentile, ratios } from "./harness/statistics.ts";
import type { RingLoadResult } from "./load/ring-load.ts";
import { PAUSE_MS, type Reaction, ReactionSampler } from "./reaction/reaction-sampler.ts";
import { createRelayStreams, RelayChain, relayLinks } from "./reaction/relay-chain.ts";
import { readStoredTimes, type StoredTimes } from "./reaction/stored-times.ts";
import { benchProgram, runForJson } from "./support/child-json.ts";
import { profileSettings } from "./support/profile.ts";

const scanners: readonly Scanner[] = [
  nmap("-sS -T4", "-sS", "-T4"),
  nmap("-sS -T5", "-sS", "-T5"),
  masscan(1000),
  masscan(10_000),
  masscan(100_000),
];

const sizes = {
  full: {
    young: 2000,
    idle: 500,
    turns: 300,
    loaded: 200,
    backgroundRate: 100_000,
    scanners,
    scanRounds: 3,
  },
  smoke: {
    young: 5,
    idle: 10,
    turns: 5,
    loaded: 3,
    backgroundRate: 5000,
    scanners: scanners.slice(0, 1),
    scanRounds: 1,
  },
} as const;

/** Background visits one port each: nothing of it is ever decided. */
const BACKGROUND_SOURCES = 10_000;
const BACKGROUND_SECONDS = 12;
const READ_TIMEOUT_MS = 60_000;
/** More scans a minute than fleets have: the breaker would open. */
const SETTINGS = { PW_MAX_BLOCKS_PER_MINUTE: "100000" } as const;

async function run(context: BenchContext) {
  const { cleanup, progress, size } = context;
  const { young, idle, turns, loaded, scanners: tried, scanRounds } = sizes[size];
  const site = await createSite(cleanup, { settings: { ...SETTINGS, ...profileSettings() } });
  await site.host.start(...pipeline);
  const bus = cleanup.own(await connect(site));
  const sampler = cleanup.own(new ReactionSampler(site.host.pinFolder("eth0"), bus));
  const first = await sampler.sample(1);
  progress(`${young} scans after the start`);
  const early = await sampler.sample(young);
  progress(`${idle} scans while idle`);
  const concludeCpus = observeCpus();
  const quiet = await sampler.sample(idle);
  const { stolenShare } = concludeCpus();
  progress(`${turns} scans in turns with processes that do nothing`);
  const inTurns = await sampleInTurns(site, sampler, { cleanup, bus, turns });
  const stored = await readStoredTimes(bus);
  progress(`${loaded} scans under load`);
  const { reactions: busy, load } = await sampleUnderLoad(site, sampler, context);
  const all = [...first, ...early, ...quiet, ...inTurns.reactions, ...busy];
  const scans = await runScans(site, bus, { tried, scanRounds, context });
  for (const service of pipeline) await site.host.service(service).stop();
  return {
    figures: [
      figure("the first verdict after the start", first.map(reactionMs), { unit: "ms" }),
      ...timeFigures(`idle, the next ${young}`, early),
      ...timeFigures("idle", quiet, [1, 5]),
      figure("idle, CPU time that other machines took", [stolenShare * 100], { unit: "%" }),
      ...floorFigures(inTurns),
      ...hopFigures(quiet, stored),
      ...timeFigures(`under ${Math.round(load.sent / load.seconds)} SYN/s`, busy, [undefined, 25]),
      ...scanFigures(scans),
    ],
    checks: [
      check("every scan was blocked after the start", early.length, young),
      check("every scan was blocked while idle", quiet.length, idle),
      check("every scan was blocked in turns", inTurns.reactions.length, turns),
      check("every scan was blocked under load", busy.length, loaded),
      check("no block came before its attempt", all.every(isCausal)),
      ...scans.map(({ name, failure }) =>
        check(`${name} was blocked`, failure ?? "blocked", "blocked"),
      ),
    ],
  };
}

const reactionMs = ({ appliedUs, decidedUs }: Reaction) => (appliedUs - decidedUs) / 1000;
const isCausal = (reaction: Reaction) => reactionMs(reaction) > 0;

function connect(site: Site): Promise<Bus> {
  const logger = new RecordingLogger();
  return connectBus({ servers: [site.fleet.nats.url], name: "bench", logger });
}

type InTurns = {
  readonly reactions: readonly Reaction[];
  readonly passes: Readonly<Record<keyof typeof relayLinks, readonly number[]>>;
};

type TurnsContext = { readonly cleanup: Cleanup; readonly bus: Bus; readonly turns: number };

/** A scan, passes through processes that do nothing, the next scan: what else the machine does falls on all alike. */
async function sampleInTurns(
  { host, fleet }: Site,
  sampler: ReactionSampler,
  { cleanup, bus, turns }: TurnsContext,
): Promise<InTurns> {
  const { namespace } = host;
  const server = fleet.natsUrl;
  await createRelayStreams(bus);
  const start = async (links: keyof typeof relayLinks) => {
    const chain = new RelayChain({ namespace, server, links: relayLinks[links] });
    cleanup.own(chain);
    await chain.ready();
    return chain;
  };
  const chains = { plain: await start("plain"), stored: await start("stored") };
  const reactions: Reaction[] = [];
  const passes = { plain: [] as number[], stored: [] as number[] };
  for (let turn = 0; turn < turns; turn++) {
    reactions.push(await sampler.scan());
    for (const way of ["plain", "stored"] as const) {
      passes[way].push(await chains[way].pass());
      await delay(PAUSE_MS);
    }
  }
  await Promise.all([chains.plain.close(), chains.stored.close()]);
  return { reactions, passes };
}

async function sampleUnderLoad(site: Site, sampler: ReactionSampler, { size }: BenchContext) {
  const { loaded, backgroundRate: rate } = sizes[size];
  const pinFolder = site.host.pinFolder("eth0");
  const seconds = size === "full" ? BACKGROUND_SECONDS : 2;
  const options = { pinFolder, rate, seconds, sources: BACKGROUND_SOURCES };
  const command = [process.execPath, benchProgram("ring-load"), JSON.stringify(options)] as const;
  const loading = runForJson<RingLoadResult>(command);
  const [reactions, load] = await Promise.all([sampler.sample(loaded), loading]);
  return { reactions, load };
}

function timeFigures(
  when: string,
  reactions: readonly Reaction[],
  [medianGoal, p99Goal]: readonly [median?: number | undefined, p99?: number] = [],
): Figure[] {
  const times = reactions.map(reactionMs);
  const goal = (atMost: number | undefined): { goal: Goal } | object =>
    atMost === undefined ? {} : { goal: { atMost } };
  return [
    figure(`${when}, deciding SYN to map write`, times, { unit: "ms", ...goal(medianGoal) }),
    figure(`${when}, p99`, [percentile(times, 0.99)], { unit: "ms", ...goal(p99Goal) }),
  ];
}

/** How much of it any three processes take that NATS connects. */
function floorFigures({ reactions, passes: { plain, stored } }: InTurns): readonly Figure[] {
  const times = reactions.map(reactionMs);
  const passes = "between three processes that do nothing";
  return [
    figure("idle, in turns: deciding SYN to map write", times, { unit: "ms" }),
    figure(`idle, in turns: two passes through plain NATS ${passes}`, plain, { unit: "ms" }),
    figure("these passes, p99", [percentile(plain, 0.99)], { unit: "ms" }),
    figure("the reaction in place of these passes", ratios(times, plain), { unit: "times" }),
    figure(`idle, in turns: two passes through streams ${passes}`, stored, { unit: "ms" }),
    figure("these passes, p99", [percentile(stored, 0.99)], { unit: "ms" }),
    figure("the reaction in place of these passes", ratios(times, stored), { unit: "times" }),
  ];
}

/** Where the time went while nothing else happened. */
function hopFigures(reactions: readonly Reaction[], { attempts, verdicts }: StoredTimes): Figure[] {
  const hops = reactions.map(({ source, verdictId, decidedUs, appliedUs }) => {
    const attemptUs = attempts.get(source) ?? Number.NaN;
    const verdictUs = verdicts.get(verdictId) ?? Number.NaN;
    return [attemptUs - decidedUs, verdictUs - attemptUs, appliedUs - verdictUs] as const;
  });
  const names = [
    "idle, of these: ring, capture, until NATS has the attempt",
    "idle, of these: detector, until NATS has the verdict",
    "idle, of these: enforcer, until the map write",
  ];
  return names.map((name, hop) =>
    figure(
      name,
      hops.map((one) => (one[hop] ?? Number.NaN) / 1000),
      { unit: "ms" },
    ),
  );
}

type Scans = {
  readonly tried: readonly Scanner[];
  readonly scanRounds: number;
  readonly context: BenchContext;
};

/** Real packets of real scanners, one after the other; each from an address of its own. */
async function runScans(
  site: Site,
  bus: Bus,
  { tried, scanRounds, context: { cleanup, progress } }: Scans,
): Promise<readonly ScanResult[]> {
  const taps = { syns: cleanup.own(new SynTap(bus)), verdicts: cleanup.own(new VerdictTap(bus)) };
  const scanned = { site, taps, pinned: cleanup.own(site.openPins()) };
  const scans: Scan[] = [];
  for (let round = 0; round < scanRounds; round++) {
    for (const [index, scanner] of tried.entries()) {
      progress(scanner.name);
      scans.push(await runScan(scanned, scanner, round * tried.length + index));
    }
  }
  // What is counted comes from the stream, which has to be read to its end.
  await waitUntil(() => taps.syns.total === scanned.pinned.maps.counters().reported, {
    timeoutMs: READ_TIMEOUT_MS,
    what: "the stream to be read",
  });
  const results: ScanResult[] = [];
  for (const scan of scans) results.push(await concludeScan(scanned, scan));
  return results;
}

function scanFigures(results: readonly ScanResult[]): Figure[] {
  const names = [...new Set(results.map(({ name }) => name))];
  return names.map((name) => {
    const reached = results.filter((one) => one.name === name).map((one) => one.portsReached);
    return figure(`${name}, ports reached before the drop`, reached, { unit: "ports" });
  });
}

await runBench({
  name: "reaction",
  title: "Reaction: deciding SYN to drop",
  method: [
    "All services and NATS as they ship, on this machine. A scan is three SYNs through the kernel's program; the time runs from the kernel's timestamp of the third to the enforcer's write into the block map, as the applied message tells it. One scan at a time, each from a new source; the breaker is set so that it lets all of them through.",
    "V8 compiles what runs often, beside the services and on the same cores, and is done with most of it after 2000 scans. So those after the start stand by themselves, and idle services are services that have been through them.",
    `The load is more SYNs through the same program, from ${BACKGROUND_SOURCES} sources that visit one port each.`,
    "Then a scan takes turns with messages that a process publishes, a second one hands on and a third one takes: the same server and network, nothing read from them, nothing acknowledged; once over plain NATS, once over a stream in memory and one in files; timed by a clock that all processes share.",
    "The scanners send real packets over a veth, at the default threshold of three ports.",
  ],
  run,
});
