/** Ten minutes of more than can be read: does memory stay where it is, and is every scan still found? */
import { setTimeout as delay } from "node:timers/promises";
import { check, figure, type Figure } from "./harness/bench-report.ts";
import { type BenchContext, runBench } from "./harness/run-bench.ts";
import { percentile, slopeOf } from "./harness/statistics.ts";
import { type Books, booksSince } from "./support/host-books.ts";
import { type LoadSite, startLoadSite } from "./support/load-site.ts";
import { residentBytes } from "./support/process-usage.ts";
import { profileSettings } from "./support/profile.ts";

/** The full size offers more than can be sent. */
const sizes = {
  full: { rate: 5_000_000, seconds: 600, warmUpSeconds: 120, sampleSeconds: 10, scanSeconds: 3 },
  smoke: { rate: 10_000, seconds: 1, warmUpSeconds: 0.2, sampleSeconds: 0.2, scanSeconds: 0.5 },
} as const;

/** Each visits one port of one host: all of it has to be remembered, and nothing is ever decided. */
const LOAD = { firstSource: "11.0.0.0", sources: 100_000 } as const;
/** Full within the warm-up also on a machine that reaches a tenth of the rate. */
const SETTINGS = { PW_SYN_STREAM_BYTES: "64MiB" } as const;
const MAX_GROWTH = 1.05;
const MAX_REACTION_MS = 1000;

const services = ["capture", "detector", "enforcer"] as const;
const processes = [...services, "nats-server"] as const;
type ProcessName = (typeof processes)[number];

/** What is resident of each process, in MiB. */
type Sample = Readonly<Record<ProcessName, number>> & { readonly minutes: number };
type Size = (typeof sizes)[BenchContext["size"]];
type Scanned = readonly (number | undefined)[];

async function run(context: BenchContext) {
  const size = sizes[context.size];
  const site = await startLoadSite(context, { ...SETTINGS, ...profileSettings() });
  const before = site.books.read();
  const flood = site.send({ ...LOAD, rate: size.rate, seconds: size.seconds });
  const state = { isOver: false };
  const end = () => (state.isOver = true);
  flood.then(end, end);
  const [samples, times] = await Promise.all([
    sampleMemory(site, { ...size, state, progress: context.progress }),
    scanOn(site, { ...size, state }),
  ]);
  const wire = await flood;
  await site.settle();
  const books = booksSince(before, site.books.read());
  for (const service of services) await site.host.service(service).stop();
  return {
    figures: [
      figure("seen by the program", [books.seen / wire.seconds], { unit: "SYN/s" }),
      figure("lost, counted", [(lostOf(books) / books.seen) * 100], { unit: "%" }),
      ...scanFigures(times),
      ...processes.flatMap((name) => memoryFigures(name, samples)),
    ],
    checks: checksOf(books, times),
  };
}

type Until = { readonly state: { readonly isOver: boolean } };

/** From the end of the warm-up on, when tables, ring and stream have been filled once. */
async function sampleMemory(
  site: LoadSite,
  options: Size & Until & Pick<BenchContext, "progress">,
): Promise<readonly Sample[]> {
  const { state, warmUpSeconds, sampleSeconds, progress } = options;
  const startMs = performance.now();
  const samples: Sample[] = [];
  await delay(warmUpSeconds * 1000);
  while (!state.isOver) {
    const minutes = (performance.now() - startMs) / 60_000;
    const sample = { minutes, ...residentOf(site) };
    samples.push(sample);
    const told = processes.map((name) => `${name} ${Math.round(sample[name])}`).join(", ");
    progress(`${minutes.toFixed(1)} min, MiB: ${told}`);
    await delay(sampleSeconds * 1000);
  }
  return samples;
}

function residentOf({ fleet, host }: LoadSite): Record<ProcessName, number> {
  const mib = (pid: number) => residentBytes(pid) / 2 ** 20;
  const own = services.map((name) => [name, mib(host.service(name).pid)] as const);
  const all = [...own, ["nats-server", mib(fleet.nats.pid ?? 0)] as const];
  return Object.fromEntries(all) as Record<ProcessName, number>;
}

/** One scan after the other, each of a source of its own. */
async function scanOn(site: LoadSite, { state, scanSeconds }: Size & Until): Promise<Scanned> {
  const times: (number | undefined)[] = [];
  while (!state.isOver) {
    const number = times.length + 1;
    times.push(await site.scan(`12.0.${number >> 8}.${number & 255}`, scanSeconds));
  }
  return times;
}

const lostOf = ({ ringFull, lost }: Books) => ringFull + lost;
const foundOf = (times: Scanned) => times.filter((ms) => ms !== undefined);

function scanFigures(times: Scanned): readonly Figure[] {
  const found = foundOf(times);
  if (found.length === 0) return [];
  const of = "a scan of another source, first SYN to block";
  return [
    figure("scans of other sources", [times.length], { unit: "" }),
    figure(of, found, { unit: "ms" }),
    figure(`${of}, p99`, [percentile(found, 0.99)], { unit: "ms" }),
    figure(`${of}, the slowest`, [Math.max(...found)], {
      unit: "ms",
      goal: { atMost: MAX_REACTION_MS },
    }),
  ];
}

function memoryFigures(name: ProcessName, samples: readonly Sample[]): readonly Figure[] {
  const mib = samples.map((sample) => sample[name]);
  const part = (from: number, to: number) =>
    mib.slice(Math.floor(mib.length * from), Math.ceil(mib.length * to));
  const lastHalf = samples.slice(Math.floor(samples.length / 2));
  const slope = slopeOf(
    lastHalf.map(({ minutes }) => minutes),
    lastHalf.map((sample) => sample[name]),
  );
  const growth = percentile(part(0.8, 1), 0.5) / percentile(part(0.4, 0.6), 0.5);
  return [
    figure(`${name}: resident`, mib, { unit: "MiB" }),
    figure(`${name}: slope of the last half`, [slope], { unit: "MiB/min" }),
    figure(`${name}: last fifth to middle fifth`, [growth], {
      unit: "x",
      goal: { atMost: MAX_GROWTH },
    }),
  ];
}

function checksOf(books: Books, times: Scanned) {
  const { seen, reported, ringFull, dropped, thinned, published, lost } = books;
  return [
    check("the kernel's books balance", reported + ringFull + dropped + thinned, seen),
    check("capture's books balance", published + lost, reported),
    check("every scan was found", foundOf(times).length, times.length),
    check("there were scans", times.length > 0),
  ];
}

await runBench({
  name: "soak",
  title: "Soak: ten minutes at full speed",
  method: [
    `The generator sends as much as it can, SYNs of ${LOAD.sources} sources, over a veth to a watched host; capture, one detector, enforcer and NATS run on the same cores. Meanwhile scans of other sources, 1000 ports a second each, go over the same cable, one after the other.`,
    `Memory is what is resident of each process, read every ${sizes.full.sampleSeconds} seconds from the end of a warm-up of ${sizes.full.warmUpSeconds} on. By then the stream of SYNs has reached its bound, which is ${SETTINGS.PW_SYN_STREAM_BYTES} here. The slope is by least squares; the fifths are compared by their medians.`,
  ],
  run,
});
