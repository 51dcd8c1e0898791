import { type BenchReport, type Figure, type Goal, isMet } from "./bench-report.ts";

/** A report as a section of Markdown, which reads well on a terminal too. */
export function renderReport(report: BenchReport): string {
  const { bench, title, method, machine, size, startedAt, seconds } = report;
  const { loadBefore, busyShare, stolenShare, commit } = machine;
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  const circumstances = [
    `\`make bench-${bench}\` at ${commit}`,
    `${startedAt.slice(0, 16).replace("T", " ")} UTC`,
    `${seconds} s`,
    `load average ${loadBefore.toFixed(1)} before`,
    `CPUs ${percent(busyShare)} busy and ${percent(stolenShare)} stolen meanwhile`,
    ...(size === "smoke" ? ["smoke size: its figures mean nothing"] : []),
  ];
  return [
    `## ${title}`,
    `${circumstances.join("; ")}.`,
    method.join("\n"),
    renderTable(report.figures),
    ...(report.notes ?? []),
    renderChecks(report),
  ].join("\n\n");
}

function renderTable(figures: readonly Figure[]): string {
  const header = ["what", "median", "p10 to p90", "goal", ""];
  const rows = figures.map((one) => [
    one.name,
    `${formatValue(one.median)} ${one.unit}`,
    one.samples > 1 ? `${formatValue(one.low)} to ${formatValue(one.high)}` : "",
    one.goal ? formatGoal(one.goal) : "",
    formatOutcome(one),
  ]);
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  return [line(header), rule, ...rows.map(line)].join("\n");
}

function formatGoal(goal: Goal): string {
  return "atMost" in goal ? `≤ ${formatValue(goal.atMost)}` : `≥ ${formatValue(goal.atLeast)}`;
}

function formatOutcome(one: Figure): string {
  const met = isMet(one);
  if (met === undefined) return "";
  return met ? "met" : "missed";
}

/** Three digits that count. */
export function formatValue(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6) return `${trim(value / 1e6)} M`;
  if (size >= 1e4) return `${trim(value / 1e3)} k`;
  return trim(value);
}

function trim(value: number): string {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return String(Number(value.toFixed(Math.min(6, digits))));
}

function renderChecks({ checks, hash }: BenchReport): string {
  const failed = checks.filter(({ holds }) => !holds);
  const lines = failed.map(({ what }) => `CHECK FAILED: ${what}`);
  const held = `${checks.length - failed.length} of ${checks.length} checks held`;
  return [...lines, hash ? `${held}; hash of the result ${hash}.` : `${held}.`].join("\n");
}
