import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Cleanup } from "../../test/support/cleanup.ts";
import type { BenchReport, BenchResult, BenchSize } from "./bench-report.ts";
import { observeMachine } from "./machine-facts.ts";
import { renderReport } from "./render-report.ts";

export const RESULTS_FOLDER = "bench/results";
/** A smoke size proves that the bench works and measures nothing worth keeping. */
const SMOKE_FOLDER = "test-results/bench";

export type Bench = {
  readonly name: string;
  readonly title: string;
  /** How it was measured, a sentence each. */
  readonly method: readonly string[];
  readonly run: (context: BenchContext) => Promise<BenchResult>;
};

export type BenchContext = {
  readonly size: BenchSize;
  /** Undone at the end, however that comes. */
  readonly cleanup: Cleanup;
  /** Says how far it is, on standard error. */
  readonly progress: (line: string) => void;
};

/** Runs a bench as a program of its own: `--smoke` for the small size. Exits with 1 where a check fails. */
export async function runBench(bench: Bench): Promise<void> {
  const size: BenchSize = process.argv.includes("--smoke") ? "smoke" : "full";
  const cleanup = new Cleanup();
  process.exitCode = 1;
  try {
    const report = await measure(bench, size, cleanup);
    write(report);
    console.log(renderReport(report));
    if (report.checks.every(({ holds }) => holds)) process.exitCode = 0;
  } catch (error) {
    console.error(`bench ${bench.name}:`, error);
  } finally {
    await cleanup.run();
  }
}

async function measure(bench: Bench, size: BenchSize, cleanup: Cleanup): Promise<BenchReport> {
  const { name, title, method, run } = bench;
  const startedAt = new Date().toISOString();
  const startMs = performance.now();
  const conclude = observeMachine();
  const progress = (line: string) => void process.stderr.write(`bench ${name}: ${line}\n`);
  const result = await run({ size, cleanup, progress });
  const seconds = Math.round((performance.now() - startMs) / 1000);
  const machine = conclude();
  return { bench: name, title, method, size, startedAt, seconds, machine, ...result };
}

function write(report: BenchReport): void {
  const folder = report.size === "smoke" ? SMOKE_FOLDER : RESULTS_FOLDER;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${report.bench}.json`), `${JSON.stringify(report, undefined, 2)}\n`);
}
