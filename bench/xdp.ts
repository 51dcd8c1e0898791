/** What the XDP program costs for each packet, against xdp-filter and against a perf buffer. */
import { createHash } from "node:crypto";
import { ethernet, ipv4, ipv6 } from "../test/support/packets.ts";
import { ACK, tcp, udp } from "../test/support/segments.ts";
import { figure, type FigureOptions } from "./harness/bench-report.ts";
import { type Case, interleave } from "./harness/interleave.ts";
import { type BenchContext, runBench } from "./harness/run-bench.ts";
import { ratios } from "./harness/statistics.ts";
import { built } from "./support/paths.ts";
import { addressRange, VariedPackets } from "./support/varied-packets.ts";
import { CountedProgram, type Outcome } from "./xdp/counted-program.ts";
import { PerfBuffer } from "./xdp/perf-buffer.ts";
import { filterFeatures, XdpFilter } from "./xdp/xdp-filter.ts";

/** A run has to fit into the ring, which nobody drains meanwhile. */
const sizes = {
  full: { rounds: 15, repeat: 150_000, blocked: [1, 10_000, 1_000_000] },
  smoke: { rounds: 2, repeat: 1000, blocked: [1, 100, 10_000] },
} as const;

/** As large for few entries as for many, so that only the entries differ. */
const BLOCKED_CAPACITY = 2 ** 20;
const FIRST_BLOCKED = "11.0.0.0";
const BLOCKED_V6 = "2001:db8:0:1::";

const others = {
  "not TCP, IPv4": ethernet(ipv4(udp())),
  "not TCP, IPv6": ethernet(ipv6(udp())),
  "ACK, IPv4": ethernet(ipv4(tcp({ flags: ACK }))),
  "ACK, IPv6": ethernet(ipv6(tcp({ flags: ACK }))),
} as const;
const free = {
  IPv4: ethernet(ipv4(tcp(), { source: "203.0.113.9" })),
  IPv6: ethernet(ipv6(tcp(), { source: "2001:db8:0:2::1" })),
} as const;
const blocked = {
  IPv4: ethernet(ipv4(tcp(), { source: FIRST_BLOCKED })),
  IPv6: ethernet(ipv6(tcp(), { source: BLOCKED_V6 })),
} as const;
const families = ["IPv4", "IPv6"] as const;

const dropName = (family: string, count: number) => `drop, ${family}, ${count} blocked`;
const randomName = (count: number) => `drop, IPv4, each of ${count} at random`;
const perfName = (wakeUps: number) => `event, IPv4, perf buffer, wake-up every ${wakeUps}`;
const filterName = (features: string) => `drop, IPv4, xdp-filter -f ${features}`;

/** Programs that come up in the checks, by name. */
type Programs = Map<string, CountedProgram>;

function load(name: string, context: BenchContext, programs: Programs): CountedProgram {
  const object = name.startsWith("perf") ? "bench-perf-buffer.bpf.o" : "packetwatch.bpf.o";
  const program = new CountedProgram({
    objectPath: built(object),
    blockedEntries: BLOCKED_CAPACITY,
    listenerLookup: name === "listener" ? "on" : "off",
  });
  programs.set(name, context.cleanup.own(program));
  return program;
}

type PlainCase = { readonly name: string; readonly frame: Uint8Array; readonly outcome: Outcome };

function plainCase(
  program: CountedProgram,
  { name, frame, outcome }: PlainCase,
  repeat: number,
): Case {
  return { name, measure: () => program.run(frame, { repeat, outcome }) };
}

function passCases(context: BenchContext, programs: Programs): Case[] {
  const { repeat } = sizes[context.size];
  const program = load("plain", context, programs);
  const listener = load("listener", context, programs);
  const reported = families.map((family) => ({ name: `event, ${family}`, frame: free[family] }));
  const listening = { name: "event, IPv4, listener lookup", frame: free.IPv4 };
  return [
    ...Object.entries(others).map(([name, frame]) =>
      plainCase(program, { name, frame, outcome: "other" }, repeat),
    ),
    ...reported.map((one) => plainCase(program, { ...one, outcome: "reported" }, repeat)),
    plainCase(listener, { ...listening, outcome: "reported" }, repeat),
  ];
}

function perfCase(wakeUps: number, context: BenchContext, programs: Programs): Case {
  const program = load(`perf buffer ${wakeUps}`, context, programs);
  const buffer = context.cleanup.own(new PerfBuffer(program.object.map("perf_events"), wakeUps));
  // A wake-up for each record takes microseconds.
  const repeat = Math.ceil(sizes[context.size].repeat / (wakeUps === 1 ? 20 : 1));
  const measure = () => {
    const ns = program.run(free.IPv4, { repeat, outcome: "reported" });
    buffer.drain();
    return ns;
  };
  return { name: perfName(wakeUps), measure };
}

function dropCases(count: number, context: BenchContext, programs: Programs): Case[] {
  const { repeat } = sizes[context.size];
  const program = load(`${count} blocked`, context, programs);
  program.blockRange(FIRST_BLOCKED, count);
  program.maps.block(BLOCKED_V6);
  return [
    ...families.map((family) => {
      const name = dropName(family, count);
      return plainCase(program, { name, frame: blocked[family], outcome: "dropped" }, repeat);
    }),
    randomCase(program, count, context),
  ];
}

/** Each packet from another blocked source, less what the variation itself costs. */
function randomCase(program: CountedProgram, count: number, { size, cleanup }: BenchContext): Case {
  const { repeat } = sizes[size];
  const alone = cleanup.own(new VariedPackets());
  const packets = cleanup.own(new VariedPackets(program.program));
  const measure = () => {
    for (const one of [alone, packets]) one.vary({ sources: addressRange(FIRST_BLOCKED, count) });
    const variationNs = alone.run(blocked.IPv4, repeat).durationNs;
    const { action, durationNs } = packets.run(blocked.IPv4, repeat);
    program.expect(action, { repeat, outcome: "dropped" });
    return durationNs - variationNs + alone.runEmpty(blocked.IPv4, repeat);
  };
  return { name: randomName(count), measure };
}

function filterCases({ size, cleanup }: BenchContext): Case[] {
  const filter = new XdpFilter({ source: FIRST_BLOCKED, frame: blocked.IPv4 }, cleanup);
  return filterFeatures.map((features) => ({
    name: filterName(features),
    measure: () => filter.dropNs(features, sizes[size].repeat),
  }));
}

function emptyCase({ size, cleanup }: BenchContext): Case {
  const packets = cleanup.own(new VariedPackets());
  const measure = () => packets.runEmpty(free.IPv4, sizes[size].repeat);
  return { name: "an empty program", measure };
}

async function run(context: BenchContext) {
  const { rounds, blocked: counts } = sizes[context.size];
  const programs: Programs = new Map();
  const cases = [
    emptyCase(context),
    ...passCases(context, programs),
    ...[1, 1024].map((wakeUps) => perfCase(wakeUps, context, programs)),
    ...counts.flatMap((count) => dropCases(count, context, programs)),
    ...filterCases(context),
  ];
  context.progress(`${cases.length} cases, ${rounds} rounds`);
  const values = await interleave(cases, rounds);
  const checks = [...programs].flatMap(([name, program]) =>
    program.checks(name, name.startsWith("perf") ? "no ring" : "ring"),
  );
  const counted = JSON.stringify([...programs].map(([name, one]) => [name, one.counters()]));
  return {
    figures: [
      ...[...values].map(([name, ns]) => figure(name, ns, { unit: "ns" })),
      ...ratioFigures(values, counts),
    ],
    checks,
    hash: createHash("sha256").update(counted).digest("hex").slice(0, 16),
  };
}

type Values = ReadonlyMap<string, readonly number[]>;

function ratioFigures(values: Values, counts: readonly number[]) {
  const [few = 0, , many = 0] = counts;
  const ratio = (name: string, to: string, options: Omit<FigureOptions, "unit"> = {}) =>
    figure(`${name} / ${to}`, ratios(values.get(name) ?? [], values.get(to) ?? []), {
      unit: "x",
      ...options,
    });
  return [
    ratio("event, IPv4", perfName(1024), { goal: { atMost: 0.6 } }),
    ratio("event, IPv4", perfName(1)),
    ...filterFeatures.map((features) =>
      ratio(dropName("IPv4", few), filterName(features), { goal: { atMost: 0.7 } }),
    ),
    ...families.map((family) =>
      ratio(dropName(family, many), dropName(family, few), { goal: { atMost: 1.5 } }),
    ),
    ratio(randomName(many), randomName(few)),
  ];
}

await runBench({
  name: "xdp",
  title: "XDP: cost of a packet",
  method: [
    "BPF_PROG_TEST_RUN, as timed by the kernel, which runs the program so many times on one packet; every case once a round, each round beginning with another.",
    "What an empty program costs is part of every figure. The block map has room for 2^20 entries in every case, the allow list four prefixes; the ring is emptied between runs.",
    'One source that hammers stays in the processor\'s caches; "at random" takes another source for each packet, less what drawing it costs.',
    "The perf buffer is the same source compiled with `bpf_perf_event_output` in place of the ring (bench/bpf/perf-buffer.bpf.c), its reader woken for each record (libbpf's default) or once in 1024. xdp-filter is Debian's, dropping the same source; `all` is what it loads without options.",
  ],
  run,
});
