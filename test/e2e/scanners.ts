/** Real scanners against a watched host, and people who must not be taken for scanners. */
import { fileURLToPath } from "node:url";
import type { Cleanup } from "../support/cleanup.ts";
import { runSuite } from "../support/run-suite.ts";
import { BenignControl, CLIENTS } from "./scanners/benign-control.ts";
import { renderTable, writeReport } from "./scanners/report.ts";
import {
  concludeScan,
  runScan,
  type Scan,
  type ScannedSite,
  type ScanResult,
} from "./scanners/run-scan.ts";
import { scanners } from "./scanners/scanners.ts";
import { balanceBooks, startSite } from "./site.ts";

const REPORT = fileURLToPath(new URL("../../test-results/scanners.md", import.meta.url));

await runSuite("e2e-netns", async (cleanup: Cleanup) => {
  const scanned = await startScannedSite(cleanup);
  const control = new BenignControl(scanned);
  const [scans] = await Promise.all([runScans(scanned), control.visitAll()]);
  await balanceBooks(scanned.pinned, scanned.taps.syns);
  const results = await concludeScans(scanned, scans);
  await control.conclude();

  const table = renderTable(results);
  const summary = summarize(control);
  console.log(`\n${table}\n\n${summary}`);
  writeReport(REPORT, table, summary);
  const failures = [...results.flatMap(failureOf), ...control.wrong];
  for (const failure of failures) console.log(`FAIL: ${failure}`);
  if (failures.length > 0) console.log(scanned.site.host.tails);
  return failures.length === 0 ? "passed" : "failed";
});

/** Everything at its defaults: 3 ports in 60 s, blocked until it is lifted. */
async function startScannedSite(cleanup: Cleanup): Promise<ScannedSite> {
  const site = await startSite(cleanup);
  return { site, taps: await site.tap(), pinned: cleanup.own(site.openPins()) };
}

/** One after the other; the services go on all the time. */
async function runScans(scanned: ScannedSite): Promise<readonly Scan[]> {
  const scans: Scan[] = [];
  for (const [index, scanner] of scanners.entries()) {
    const scan = await runScan(scanned, scanner, index);
    console.log(`${scanner.name}: ${scan.failure === undefined ? "blocked" : "NOT BLOCKED"}`);
    scans.push(scan);
  }
  return scans;
}

async function concludeScans(
  scanned: ScannedSite,
  scans: readonly Scan[],
): Promise<readonly ScanResult[]> {
  const results: ScanResult[] = [];
  for (const scan of scans) results.push(await concludeScan(scanned, scan));
  return results;
}

function failureOf({ name, failure }: ScanResult): readonly string[] {
  return failure === undefined ? [] : [`${name}: ${failure}`];
}

function summarize({ connections, wrong }: BenignControl): string {
  const verdict = wrong.length === 0 ? "none of them was blocked" : `${wrong.length} went wrong`;
  return `Meanwhile ${CLIENTS} clients with two ports each, and one that hammers one port, made ${connections} connections: ${verdict}.`;
}
