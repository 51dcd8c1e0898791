/**
 * Usage: chaos [--seed NUMBER] [--duration SECONDS]. A fleet of hosts with scanners and benign clients, while
 * services and NATS are killed, stopped and frozen by a schedule that the seed decides; then the books are balanced.
 */
import { parseArgs } from "node:util";
import { holdsFor } from "../support/eventually.ts";
import { runSuite } from "../support/run-suite.ts";
import { findImbalances, gatherEvidence } from "./balance.ts";
import { type ChaosSite, hostCount, startChaosSite, targetNames } from "./chaos-site.ts";
import { readHostBooks } from "./host-books.ts";
import { renderReport } from "./report.ts";
import { type MadeScan, runSchedule } from "./run-schedule.ts";
import { scanners } from "./scanners.ts";
import { createSchedule, formatStep, type Step } from "./schedule.ts";
import { settle } from "./settle.ts";

const DEFAULT_SECONDS = "120";
/** Longer than anything that is still on its way takes: nobody else is blocked in the end. */
const QUIET_MS = 2000;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    duration: { type: "string", default: DEFAULT_SECONDS },
  },
});
const seed = Number(values.seed);
const durationMs = Number(values.duration) * 1000;
const again = `make chaos SEED=${seed} DURATION=${durationMs / 1000}`;
const schedule = createSchedule({
  seed,
  durationMs,
  targets: targetNames(),
  scanners: scanners.map(({ name }) => name),
  hosts: hostCount(),
});

await runSuite("chaos", async (cleanup) => {
  console.log(`chaos: ${again}`);
  const site = await startChaosSite(cleanup);
  const failures = await runAndBalance(site).catch((error: Error) => [
    error.stack ?? error.message,
  ]);
  if (failures.length === 0) return "passed";
  console.log(explain(failures, site));
  return "failed";
});

/** What went wrong. */
async function runAndBalance(site: ChaosSite): Promise<readonly string[]> {
  const scans = await runSchedule(schedule, site);
  for (const member of site.members.values()) member.requireRunning();
  for (const member of site.members.values()) await member.ready();
  const visits = await site.clients.conclude();
  const open = await settle(site);
  await staysAsItIs(site);
  const evidence = await gatherEvidence(site, scans, visits);
  const imbalances = findImbalances(evidence);
  console.log(`\n${renderReport(schedule, evidence, site.members.values())}\n`);
  return [...open, ...silent(scans), ...imbalances];
}

async function staysAsItIs({ hosts }: ChaosSite): Promise<void> {
  const blocked = () => hosts.map(({ host }) => [...readHostBooks(host).blocked.keys()].toSorted());
  const before = String(blocked());
  const options = { timeoutMs: QUIET_MS, what: "the block lists, which" };
  await holdsFor(() => String(blocked()) === before, options);
}

/** Scanners that could not do their work: a run without them would show less than it seems to. */
function silent(scans: readonly MadeScan[]): readonly string[] {
  const failed = scans.filter(({ output }) => /usage:|failed to|not found/i.test(output));
  return failed.map(({ scanner, output }) => `${scanner} failed: ${output}`);
}

function explain(failures: readonly string[], site: ChaosSite): string {
  const steps: readonly Step[] = schedule;
  return [
    ...failures.map((failure) => `FAIL: ${failure}`),
    `\nthe schedule of seed ${seed}:`,
    ...steps.map(formatStep),
    "",
    ...[...site.members.values()].map(({ tails }) => tails),
    `last lines of NATS:\n${site.nats.output.split("\n").slice(-30).join("\n")}`,
    `\nagain: ${again}`,
  ].join("\n");
}
