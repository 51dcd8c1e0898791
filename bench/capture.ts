/** From the ring to NATS: what capture sustains without loss, and what it costs. */
import { connectBus, provisionStreams } from "@packetwatch/bus";
import { streamSpecs } from "@packetwatch/contracts";
import { waitUntil } from "../test/support/eventually.ts";
import { type Fleet, startFleet } from "../test/support/fleet.ts";
import { RecordingLogger } from "../test/support/recording-logger.ts";
import { check, figure } from "./harness/bench-report.ts";
import { type BenchContext, runBench } from "./harness/run-bench.ts";
import type { RingLoad, RingLoadResult } from "./load/ring-load.ts";
import { benchProgram, runForJson } from "./support/child-json.ts";
import { type Books, booksSince, HostBooks } from "./support/host-books.ts";
import { residentBytes, watchCpu } from "./support/process-usage.ts";
import { profileSettings } from "./support/profile.ts";

const sizes = {
  full: { rounds: 3, seconds: 5, rates: [100_000, 500_000, 1_000_000, 1_500_000] },
  smoke: { rounds: 1, seconds: 1, rates: [20_000] },
} as const;

const SOURCES = 100_000;
const SYN_STREAM_BYTES = 512 * 2 ** 20;
const SETTLE_TIMEOUT_MS = 30_000;
/** A generator that others slowed down has not offered the rate. */
const OFFERED_SHARE = 0.97;

type Run = {
  readonly rate: number;
  readonly books: Books;
  readonly offeredPerSecond: number;
  readonly captureSeconds: number;
  readonly natsSeconds: number;
  readonly sent: number;
};

async function provision(fleet: Fleet, { cleanup }: BenchContext): Promise<void> {
  const options = { servers: [fleet.nats.url], name: "bench", logger: new RecordingLogger() };
  const bus = cleanup.own(await connectBus(options));
  const specs = streamSpecs({
    longestWindowSeconds: 60,
    synStorage: "memory",
    synBytes: SYN_STREAM_BYTES,
    verdictMessages: 1000,
    historySeconds: 60,
    historyBytes: 2 ** 20,
    replicas: 1,
  });
  await provisionStreams(bus, specs);
}

async function run(context: BenchContext) {
  const { rounds, seconds, rates } = sizes[context.size];
  const { cleanup } = context;
  const fleet = await startFleet(cleanup);
  await provision(fleet, context);
  const host = fleet.addHost("host", { settings: profileSettings() });
  await host.start("capture");
  const capture = host.service("capture");
  const pinFolder = host.pinFolder("lo");
  const books = cleanup.own(new HostBooks(pinFolder));
  const pids = { capture: capture.pid, nats: fleet.nats.pid ?? 0 };
  // The first run compiles what is hot, and isn't counted.
  const warmUp = { pinFolder, rate: rates[0], seconds: 1, sources: SOURCES };
  await measure(warmUp, books, pids);
  const runs: Run[] = [];
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < rates.length; turn++) {
      const rate = rates[(round + turn) % rates.length] ?? 0;
      context.progress(`round ${round + 1} of ${rounds}, ${rate} SYN/s`);
      runs.push(await measure({ ...warmUp, rate, seconds }, books, pids));
    }
  }
  const resident = residentBytes(pids.capture);
  await capture.stop();
  return {
    figures: figuresOf(rates, runs, resident),
    checks: [
      ...runs.map(({ books: of, sent, rate }) =>
        check(`at ${rate}/s every SYN is accounted for`, accountedFor(of), sent),
      ),
      check(
        "something was published at every rate",
        runs.every((one) => one.books.published > 0),
      ),
    ],
  };
}

function accountedFor({ ringFull, dropped, thinned, published, lost }: Books): number {
  return ringFull + dropped + thinned + published + lost;
}

async function measure(
  load: RingLoad,
  books: HostBooks,
  pids: { capture: number; nats: number },
): Promise<Run> {
  const before = books.read();
  const spent = watchCpu(pids);
  const command = [process.execPath, benchProgram("ring-load"), JSON.stringify(load)] as const;
  const { sent, seconds } = await runForJson<RingLoadResult>(command);
  await waitUntil(() => accountedFor(booksSince(before, books.read())) === sent, {
    timeoutMs: SETTLE_TIMEOUT_MS,
    what: `all of ${sent} SYNs to be accounted for: ${JSON.stringify(before)}`,
  });
  const { capture, nats } = spent();
  return {
    rate: load.rate,
    books: booksSince(before, books.read()),
    offeredPerSecond: sent / seconds,
    captureSeconds: capture,
    natsSeconds: nats,
    sent,
  };
}

function figuresOf(rates: readonly number[], runs: readonly Run[], resident: number) {
  const at = (rate: number) => runs.filter((one) => one.rate === rate);
  const perMillion = (seconds: number, { sent }: Run) => seconds / (sent / 1e6);
  const costs = rates.flatMap((rate) => [
    figure(
      `capture, CPU for a million SYNs at ${rate}/s`,
      at(rate).map((one) => perMillion(one.captureSeconds, one)),
      { unit: "s", ...(rate === 1_000_000 ? { goal: { atMost: 0.5 } } : {}) },
    ),
    figure(
      `nats-server, the same`,
      at(rate).map((one) => perMillion(one.natsSeconds, one)),
      { unit: "s" },
    ),
    figure(
      `lost at ${rate}/s offered`,
      at(rate).map(({ books: { ringFull, lost }, sent }) => ((ringFull + lost) / sent) * 100),
      { unit: "%" },
    ),
  ]);
  const clean = runs.filter(
    ({ books: { ringFull, lost }, offeredPerSecond, rate }) =>
      ringFull + lost === 0 && offeredPerSecond >= rate * OFFERED_SHARE,
  );
  const best = Math.max(0, ...clean.map(({ rate }) => rate));
  return [
    figure("highest rate tried that lost nothing in some round", [best], {
      unit: "SYN/s",
      goal: { atLeast: 1_000_000 },
    }),
    ...costs,
    figure("capture, resident", [resident / 2 ** 20], { unit: "MiB" }),
  ];
}

await runBench({
  name: "capture",
  title: "Capture: ring to NATS",
  method: [
    `The service as it ships, its ring filled through the kernel's own program by BPF_PROG_TEST_RUN from ${SOURCES} sources at random, so that all 64 shards have work; NATS in memory on the same machine. Rates take turns.`,
    "CPU is that of the process with all its threads, user and system; loss is what the full ring and the full buffer turned away.",
  ],
  run,
});
