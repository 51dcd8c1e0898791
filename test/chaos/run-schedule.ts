import { setTimeout as delay } from "node:timers/promises";
import { BackgroundCommand } from "../support/background-command.ts";
import { waitUntil } from "../support/eventually.ts";
import { sourceOf } from "./attempts.ts";
import type { ChaosSite } from "./chaos-site.ts";
import { type Scanner, scanners } from "./scanners.ts";
import { type Disturbance, formatStep, type Scan, type Step } from "./schedule.ts";

const SCAN_TIMEOUT_MS = 60_000;

/** A scan that was made. */
export type MadeScan = {
  readonly scanner: string;
  /** As it is judged and blocked. */
  readonly source: string;
  /** What the scanner printed. */
  readonly output: string;
};

/** Does what the schedule says, when it says so; ends at the first thing that can't be done. */
export async function runSchedule(
  schedule: readonly Step[],
  site: ChaosSite,
): Promise<readonly MadeScan[]> {
  const startMs = performance.now();
  const scans: MadeScan[] = [];
  const failed = new AbortController();
  const underWay: Promise<void>[] = [];
  const disturbed = new Turns();
  for (const [index, step] of schedule.entries()) {
    await delay(Math.max(0, startMs + step.atMs - performance.now()));
    if (failed.signal.aborted) break;
    const doing =
      step.kind === "scan"
        ? scan(step, index, site, scans)
        : disturbed.take(step.target, () => disturb(step, site));
    underWay.push(
      doing.catch((cause: unknown) =>
        failed.abort(new Error(`${formatStep(step)}: ${(cause as Error).message}`, { cause })),
      ),
    );
  }
  await Promise.all(underWay);
  failed.signal.throwIfAborted();
  return scans;
}

/** One after the other for each target: a service that drains, or a machine that is slow, takes longer than planned. */
class Turns {
  readonly #last = new Map<string, Promise<void>>();

  take(target: string, run: () => Promise<void>): Promise<void> {
    const turn = (this.#last.get(target) ?? Promise.resolve()).then(run);
    this.#last.set(target, turn);
    return turn;
  }
}

async function disturb({ kind, target, forMs }: Disturbance, site: ChaosSite): Promise<void> {
  const disturbed = site.targets.get(target);
  if (!disturbed) throw new Error(`there is no ${target}`);
  await disturbed[kind]();
  await delay(forMs);
  if (kind === "pause") await disturbed.resume();
  else await disturbed.start();
}

async function scan(step: Scan, index: number, site: ChaosSite, made: MadeScan[]): Promise<void> {
  const scanner = scanners.find(({ name }) => name === step.scanner) as Scanner;
  const source = addSource(site, scanner, index);
  const target = { ...targetOf(site, step.host), all: site.hosts.map(({ ipv4 }) => ipv4) };
  const commandLine = scanner.commandLine(target, { source, seed: index });
  const command = new BackgroundCommand(site.outside, commandLine);
  try {
    const what = `${step.scanner} to end`;
    await waitUntil(() => !command.isRunning, { timeoutMs: SCAN_TIMEOUT_MS, what });
  } finally {
    await command.close();
  }
  made.push({ scanner: step.scanner, source: sourceOf(source), output: command.output });
}

/** An address that nobody has had before; in IPv6, in a prefix that nobody has had before. */
function addSource({ outside }: ChaosSite, { family }: Scanner, index: number): string {
  const address =
    family === 4
      ? `198.19.${Math.floor(index / 250)}.${(index % 250) + 1}`
      : `fd00:19:1:${index.toString(16)}::1`;
  const bits = family === 4 ? 32 : 128;
  outside.ip("addr", "add", `${address}/${bits}`, "dev", "eth0", "nodad");
  return address;
}

function targetOf({ hosts }: ChaosSite, index: number) {
  const target = hosts[index];
  if (!target) throw new Error(`there is no host ${index}`);
  const { ipv4, ipv6, host } = target;
  return { ipv4, ipv6, mac: host.namespace.macAddress("eth0") };
}
