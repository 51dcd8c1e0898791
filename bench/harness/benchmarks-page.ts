import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchReport } from "./bench-report.ts";
import { renderReport } from "./render-report.ts";
import { RESULTS_FOLDER } from "./run-bench.ts";

const PAGE = "docs/benchmarks.md";
/** Written by hand: what profiles and comparisons said, and why a figure changed. */
const REMARKS = "bench/remarks.md";

/** Writes the page from the latest results of these benches; those that were never run are left out. */
export function writePage(benches: readonly string[]): void {
  const reports = benches.flatMap(readReport);
  if (reports.length === 0) throw new Error(`there are no results in ${RESULTS_FOLDER}`);
  const page = [
    introductionOf(reports),
    ...reports.map(renderReport),
    readFileSync(REMARKS, "utf8"),
  ];
  writeFileSync(PAGE, `${page.map((part) => part.trim()).join("\n\n")}\n`);
  console.log(`wrote ${PAGE}`);
}

function readReport(bench: string): readonly BenchReport[] {
  const path = join(RESULTS_FOLDER, `${bench}.json`);
  return existsSync(path) ? [JSON.parse(readFileSync(path, "utf8")) as BenchReport] : [];
}

function introductionOf(reports: readonly BenchReport[]): string {
  const { processor, cores, memoryGib, kernel, node } = (reports[0] as BenchReport).machine;
  const busiest = Math.max(...reports.map(({ machine }) => machine.loadBefore));
  const shared =
    busiest > cores / 2
      ? `\n\nThe machine was shared: others kept it at a load average of up to ${busiest.toFixed(1)} before a bench began. Ratios of one bench hold, because its cases take turns; rates and times are worse than they would be on a calm machine.`
      : "";
  return `# Benchmarks

Written by \`make bench\` from the results in \`${RESULTS_FOLDER}/\`; don't edit it. \`make bench-NAME\` runs one
bench alone, \`make bench-page\` writes this page from what was run last. Goals are those of a release, on a
machine of two cores that carries load, NATS and all services at once.

${processor}, ${cores} cores, ${memoryGib} GiB; Linux ${kernel}; Node ${node.slice(1)}.${shared}`;
}
