import { mkdirSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { dirname } from "node:path";
import type { ScanResult } from "./run-scan.ts";

const HEADER = [
  "scanner",
  "ports reached",
  "SYNs reached",
  "first SYN to verdict, ms",
  "to last SYN through, ms",
  "SYNs dropped",
  "",
];

/** A table in Markdown, its columns aligned. */
export function renderTable(results: readonly ScanResult[]): string {
  const rows = results.map((result) => [
    result.name,
    String(result.portsReached),
    String(result.synsReached),
    result.verdictMs.toFixed(1),
    result.passedMs.toFixed(1),
    String(result.dropped),
    result.failure === undefined ? "blocked" : "NOT BLOCKED",
  ]);
  const widths = HEADER.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) => `| ${cells.map(align(widths)).join(" | ")} |`;
  const rule = `|${widths.map((width, column) => ruleOf(width, column)).join("|")}|`;
  return [line(HEADER), rule, ...rows.map(line)].join("\n");
}

const align = (widths: readonly number[]) => (cell: string, column: number) => {
  const width = widths[column] ?? 0;
  return isText(column) ? cell.padEnd(width) : cell.padStart(width);
};

function ruleOf(width: number, column: number): string {
  return isText(column) ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`;
}

function isText(column: number): boolean {
  return column === 0 || column === HEADER.length - 1;
}

export function writeReport(path: string, table: string, control: string): void {
  const text = `# Scanners, and what they reached before they were dropped

Packetwatch at its defaults (3 ports in 60 s) on a veth pair, XDP in native mode, Linux ${release()}. Ports and SYNs
reached are those that passed, the deciding attempt included. Written by \`make e2e-netns\`.

${table}

${control}
`;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
