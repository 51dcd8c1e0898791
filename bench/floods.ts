/** Floods: one source that hammers, spoofed sources at random, and scans hidden in each. */
import { setTimeout as delay } from "node:timers/promises";
import { check, figure } from "./harness/bench-report.ts";
import { type BenchContext, runBench } from "./harness/run-bench.ts";
import { addressRange, VariedPackets, type Variation } from "./support/varied-packets.ts";
import { ethernet, ipv4 } from "../test/support/packets.ts";
import { PinnedProgram } from "../test/support/pinned-program.ts";
import { tcp } from "../test/support/segments.ts";
import { type Books, booksSince } from "./support/host-books.ts";
import { type LoadSite, startLoadSite } from "./support/load-site.ts";
import { residentBytes } from "./support/process-usage.ts";

const sizes = {
  full: { seconds: 15, burst: 1_000_000, bursts: 5 },
  smoke: { seconds: 2, burst: 500_000, bursts: 1 },
} as const;

/** Small, so that a flood fills it whatever the machine: a quarter of a second at 250,000 a second. */
const RING_BYTES = 4 * 2 ** 20;
const FULL_SPEED = 5_000_000;
const SCAN_SECONDS = 3;
/** Blocked by scanning before the floods; they must be blocked after them. */
const BLOCKED_BEFORE = ["12.9.0.1", "12.9.0.2", "12.9.0.3"] as const;
const services = ["capture", "detector", "enforcer"] as const;

type Flood = {
  readonly name: string;
  readonly wire: { readonly firstSource: string; readonly sources: number };
  /** The same, in the ring without a wire. */
  readonly variation: Variation;
};

const floods: readonly Flood[] = [
  {
    name: "one source, one port",
    wire: { firstSource: "13.0.0.1", sources: 1 },
    variation: { sources: addressRange("13.0.0.1", 1) },
  },
  {
    name: "a million spoofed sources, one port each",
    wire: { firstSource: "14.0.0.0", sources: 1_000_000 },
    variation: { sources: addressRange("14.0.0.0", 1_000_000) },
  },
];

async function run(context: BenchContext) {
  const site = await startLoadSite(context, { PW_RING_BYTES: String(RING_BYTES) });
  for (const source of BLOCKED_BEFORE) await site.scan(source, 1);
  const results: FloodResult[] = [];
  for (const [index, flood] of floods.entries()) {
    context.progress(flood.name);
    results.push(await endure(site, flood, index, context));
  }
  const pinned = site.host.pinned("veth0");
  const kept = BLOCKED_BEFORE.filter((source) => pinned.maps.blockOf(source) !== undefined);
  pinned.close();
  return {
    figures: results.flatMap(figuresOf),
    checks: [
      ...results.flatMap(checksOf),
      // On a busy machine capture may keep up with a burst: then there is nothing to thin.
      check(
        "a ring is full of a source that repeats itself only after thinning it",
        isThinned(results[0]),
      ),
      check("what was blocked before the floods is blocked after them", kept, BLOCKED_BEFORE),
    ],
  };
}

function isThinned(result: FloodResult | undefined): boolean {
  return result !== undefined && (result.burst.thinned > 0 || result.burst.ringFull === 0);
}

type FloodResult = {
  readonly name: string;
  readonly perSecond: number;
  readonly wire: Books;
  /** What the ring was given at once, faster than anybody reads it. */
  readonly burst: Books;
  readonly scans: readonly (number | undefined)[];
  readonly growth: number;
};

async function endure(
  site: LoadSite,
  flood: Flood,
  index: number,
  { size }: BenchContext,
): Promise<FloodResult> {
  const { seconds, burst, bursts } = sizes[size];
  const before = site.books.read();
  const sending = site.send({ ...flood.wire, rate: FULL_SPEED, seconds });
  const state = { isOver: false };
  void sending.finally(() => (state.isOver = true));
  await delay(seconds * 200);
  const residentBefore = residentOf(site);
  const scans: (number | undefined)[] = [];
  for (let scan = 1; !state.isOver; scan++) {
    scans.push(await site.scan(`12.${index}.0.${scan}`, SCAN_SECONDS));
  }
  const { seconds: took } = await sending;
  await site.settle();
  const wire = booksSince(before, site.books.read());
  const growth = residentOf(site) / residentBefore;
  const beforeBurst = site.books.read();
  sendBursts(site, flood, { burst, bursts });
  await site.settle();
  const inBurst = booksSince(beforeBurst, site.books.read());
  return { name: flood.name, perSecond: wire.seen / took, wire, burst: inBurst, scans, growth };
}

function sendBursts(
  site: LoadSite,
  { variation }: Flood,
  { burst, bursts }: { burst: number; bursts: number },
): void {
  const program = new PinnedProgram({ pinFolder: site.host.pinFolder("veth0"), thinning: "on" });
  const packets = new VariedPackets(program.program);
  packets.vary(variation);
  const frame = ethernet(ipv4(tcp({ destinationPort: 443 })));
  for (let sent = 0; sent < bursts; sent++) packets.run(frame, burst);
  packets.close();
  program.close();
}

function residentOf(site: LoadSite): number {
  const pids = services.map((service) => site.host.service(service).pid);
  return [...pids, site.fleet.nats.pid ?? 0].reduce((sum, pid) => sum + residentBytes(pid), 0);
}

function figuresOf({ name, perSecond, wire, burst, scans, growth }: FloodResult) {
  const found = scans.filter((ms) => ms !== undefined);
  const share = (part: number, { seen }: Books) => (part / seen) * 100;
  const counts = (when: string, books: Books) => [
    figure(`${name}: ${when}, thinned`, [share(books.thinned, books)], { unit: "%" }),
    figure(`${name}: ${when}, lost, counted`, [share(books.ringFull + books.lost, books)], {
      unit: "%",
    }),
  ];
  return [
    figure(`${name}: as fast as the wire goes`, [perSecond], { unit: "SYN/s" }),
    ...counts("wire", wire),
    ...counts("in bursts of the ring's whole size and more", burst),
    figure(`${name}: a scan in it, first SYN to block`, found, {
      unit: "ms",
      goal: { atMost: 1000 },
    }),
    figure(`${name}: memory of services and NATS, end to start`, [growth], { unit: "x" }),
  ];
}

function checksOf({ name, wire, burst, scans }: FloodResult) {
  return [
    ...[wire, burst].map(({ reported, ringFull, dropped, thinned, published, lost, seen }) =>
      check(
        `${name}: the books balance`,
        [reported + ringFull + dropped + thinned, published + lost],
        [seen, reported],
      ),
    ),
    check(`${name}: every scan in it was found`, scans.includes(undefined), false),
  ];
}

await runBench({
  name: "floods",
  title: "Floods",
  method: [
    `A flood over the cable at full speed, with scans of other sources (1000 ports a second each) hidden in it; then the same in bursts through the kernel's program, into a ring of ${RING_BYTES / 2 ** 20} MiB, faster than anybody can read.`,
    "Thinned is what the program left out of a crowded ring because the same source had tried the same port of the same destination within a second; lost is what a full ring turned away.",
  ],
  run,
});
