/** What each service takes when nothing happens. */
import { setTimeout as delay } from "node:timers/promises";
import { readdirSync, readFileSync } from "node:fs";
import { freePort } from "../test/support/nats.ts";
import { check, figure } from "./harness/bench-report.ts";
import { type BenchContext, runBench } from "./harness/run-bench.ts";
import { startLoadSite } from "./support/load-site.ts";
import { cpuSeconds, residentBytes } from "./support/process-usage.ts";
import { profileSettings } from "./support/profile.ts";

const sizes = {
  full: { rounds: 6, seconds: 10, settleSeconds: 10 },
  smoke: { rounds: 2, seconds: 1, settleSeconds: 0 },
} as const;

const MAX_RESIDENT_MIB = 100;
const MAX_IDLE_PERCENT = 1;

type Service = { readonly name: string; readonly pid: number };
type Reading = { readonly cpuPercent: number; readonly wakeUps: number; readonly mib: number };

async function run(context: BenchContext) {
  const { rounds, seconds, settleSeconds } = sizes[context.size];
  const site = await startLoadSite(context, profileSettings());
  const port = String(await freePort());
  const metrics = await site.fleet.start("metrics", { PW_PROMETHEUS_PORT: port });
  const own = ["capture", "detector", "enforcer"] as const;
  const services: Service[] = [
    ...own.map((name) => ({ name, pid: site.host.service(name).pid })),
    { name: "metrics", pid: metrics.pid },
    { name: "nats-server", pid: site.fleet.nats.pid ?? 0 },
  ];
  await delay(settleSeconds * 1000);
  const readings = new Map(services.map(({ name }): [string, Reading[]] => [name, []]));
  for (let round = 0; round < rounds; round++) {
    context.progress(`round ${round + 1} of ${rounds}, ${seconds} s`);
    for (const [name, reading] of await idle(services, seconds)) readings.get(name)?.push(reading);
  }
  const { seen } = site.books.read();
  for (const name of own) await site.host.service(name).stop();
  return {
    figures: [...readings].flatMap(([name, of]) => figuresOf(name, of)),
    checks: [
      check("nothing was sent meanwhile", seen, 0),
      check(
        "every service was there to the end",
        [...readings.values()].every((of) => of.every(({ mib }) => mib > 1)),
      ),
    ],
  };
}

async function idle(services: readonly Service[], seconds: number) {
  const before = services.map(({ pid }) => ({ cpu: cpuSeconds(pid), switches: switchesOf(pid) }));
  const startMs = performance.now();
  await delay(seconds * 1000);
  const took = (performance.now() - startMs) / 1000;
  return services.map(({ name, pid }, index): [string, Reading] => {
    const { cpu = 0, switches = 0 } = before[index] ?? {};
    return [
      name,
      {
        cpuPercent: ((cpuSeconds(pid) - cpu) / took) * 100,
        wakeUps: (switchesOf(pid) - switches) / took,
        mib: residentBytes(pid) / 2 ** 20,
      },
    ];
  });
}

/** How often a process went to sleep by itself, all its threads together. */
function switchesOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8");
    return sum + Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  }, 0);
}

function figuresOf(name: string, readings: readonly Reading[]) {
  // NATS isn't ours to judge.
  const goal = (atMost: number) => (name === "nats-server" ? {} : { goal: { atMost } });
  return [
    figure(
      `${name}: CPU`,
      readings.map(({ cpuPercent }) => cpuPercent),
      { unit: "% of a core", ...goal(MAX_IDLE_PERCENT) },
    ),
    figure(
      `${name}: wake-ups`,
      readings.map(({ wakeUps }) => wakeUps),
      { unit: "/s" },
    ),
    figure(
      `${name}: resident`,
      readings.map(({ mib }) => mib),
      { unit: "MiB", ...goal(MAX_RESIDENT_MIB) },
    ),
  ];
}

await runBench({
  name: "footprint",
  title: "Footprint: when nothing happens",
  method: [
    "All services and NATS at their defaults on one watched host without traffic. CPU from /proc, which counts in hundredths of a second; wake-ups are voluntary context switches of all threads; resident memory has shared pages in it.",
  ],
  run,
});
