/** Real packets over a cable: how many SYNs a second reach the detector without loss. */
import { check, figure, type Figure } from "./harness/bench-report.ts";
import { type BenchContext, runBench } from "./harness/run-bench.ts";
import { type Books, booksSince } from "./support/host-books.ts";
import { type LoadSite, type Sent, startLoadSite } from "./support/load-site.ts";
import { watchCpu } from "./support/process-usage.ts";
import { profileSettings } from "./support/profile.ts";

const sizes = {
  full: { rounds: 2, seconds: 5, rates: [100_000, 200_000, 300_000, 400_000] },
  smoke: { rounds: 1, seconds: 1, rates: [5000] },
} as const;

/** Each visits one port of one host: all of it has to be remembered, and nothing is ever decided. */
const LOAD = { firstSource: "11.0.0.0", sources: 100_000 } as const;
/** What a rate may miss for its own sake before it is no longer that rate. */
const OFFERED_SHARE = 0.97;
const services = ["capture", "detector", "enforcer"] as const;
type ProcessName = (typeof services)[number] | "nats-server";
/** At these rates it is told what each process costs: the one that goals speak of, and the goal itself. */
const SPLIT_RATES = new Set([100_000, 300_000]);

type Run = {
  readonly rate: number;
  readonly wire: Sent;
  readonly books: Books;
  readonly judged: number;
  /** By process. */
  readonly cpuSeconds: Readonly<Record<ProcessName, number>>;
};

async function run(context: BenchContext) {
  const { rounds, seconds, rates } = sizes[context.size];
  const site = await startLoadSite(context, profileSettings());
  await measure(site, rates[0], 1);
  const runs: Run[] = [];
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < rates.length; turn++) {
      const rate = rates[(round + turn) % rates.length] ?? 0;
      context.progress(`round ${round + 1} of ${rounds}, ${rate} SYN/s`);
      runs.push(await measure(site, rate, seconds));
    }
  }
  for (const service of services) await site.host.service(service).stop();
  return {
    figures: rateFigures(rates, runs),
    checks: runs.flatMap(checksOf),
  };
}

async function measure(site: LoadSite, rate: number, seconds: number): Promise<Run> {
  const before = site.books.read();
  const judgedBefore = site.detectorEvents;
  const spent = watchCpu(pidsOf(site));
  const wire = await site.send({ ...LOAD, rate, seconds });
  await site.settle();
  return {
    rate,
    wire,
    books: booksSince(before, site.books.read()),
    judged: site.detectorEvents - judgedBefore,
    cpuSeconds: spent(),
  };
}

function pidsOf({ fleet, host }: LoadSite): Record<ProcessName, number> {
  const own = services.map((service) => [service, host.service(service).pid] as const);
  return Object.fromEntries([...own, ["nats-server", fleet.nats.pid ?? 0]]) as Record<
    ProcessName,
    number
  >;
}

const lostOf = ({ ringFull, lost }: Books) => ringFull + lost;

function checksOf({ rate, books, judged }: Run) {
  const { seen, reported, ringFull, dropped, thinned, published, lost } = books;
  return [
    check(`at ${rate}/s the kernel's books balance`, reported + ringFull + dropped + thinned, seen),
    check(`at ${rate}/s capture's books balance`, published + lost, reported),
    check(`at ${rate}/s the detector judged all that was published`, judged, published),
  ];
}

function rateFigures(rates: readonly number[], runs: readonly Run[]): Figure[] {
  const isClean = ({ books, wire, rate }: Run) =>
    lostOf(books) === 0 && wire.sent / wire.seconds >= rate * OFFERED_SHARE;
  const best = Math.max(0, ...runs.filter(isClean).map(({ rate }) => rate));
  return [
    figure("highest rate tried that lost nothing in some round", [best], {
      unit: "SYN/s",
      goal: { atLeast: 300_000 },
    }),
    ...rates.flatMap((rate) => {
      const at = runs.filter((one) => one.rate === rate);
      return [
        figure(
          `offered ${rate}/s: seen by the program`,
          at.map(({ books, wire }) => books.seen / wire.seconds),
          { unit: "SYN/s" },
        ),
        figure(
          `offered ${rate}/s: lost, counted`,
          at.map(({ books }) => (lostOf(books) / books.seen) * 100),
          { unit: "%" },
        ),
        ...costFigures(rate, at),
      ];
    }),
  ];
}

function costFigures(rate: number, runs: readonly Run[]): Figure[] {
  const costOf = (name: string, cpuSecondsOf: (run: Run) => number) =>
    figure(
      `offered ${rate}/s: ${name}`,
      runs.map((run) => cpuSecondsOf(run) / (run.books.seen / 1e6)),
      { unit: "s" },
    );
  const sum = ({ cpuSeconds }: Run) => Object.values(cpuSeconds).reduce((a, b) => a + b, 0);
  const processes = SPLIT_RATES.has(rate) ? ([...services, "nats-server"] as const) : [];
  return [
    costOf("CPU for a million, services and NATS", sum),
    ...processes.map((name) => costOf(`of these, ${name}`, ({ cpuSeconds }) => cpuSeconds[name])),
  ];
}

await runBench({
  name: "end-to-end",
  title: "End to end: from the wire to the detector",
  method: [
    `A generator of our own (bench/load/syn-generator.c, a packet socket) sends SYNs of ${LOAD.sources} sources over a veth to a watched host; capture, one detector, enforcer and NATS run on the same cores. Rates take turns.`,
    "The frames carry nobody's MAC address, so that the stack behind the program drops them at once. Lost is what the ring or capture's buffer had no room for; what the veth itself refused never reached the program.",
  ],
  run,
});
