/** What `packetwatch replay` prints. Rows end in a newline. */
import type { RulesConfig } from "@packetwatch/detection";
import { counted, jsonText, printable } from "../printable.ts";
import { renderTable } from "../render-table.ts";
import { IsoTime, LocalTime } from "../tail/time-text.ts";
import { countedSources } from "./attempt-tally.ts";
import type { Finding, FindingTotals, Replay } from "./replay.ts";
import { describeRules } from "./rules-option.ts";

/** Entries of a list that a table's cell shows; JSON has all that the evidence has. */
const MAX_CELL_ENTRIES = 4;

/** How what was replayed ended, and what of it is missing. */
export type InputEnd = {
  readonly kind: "whole" | "truncated" | "damaged" | "interrupted";
  /** Bytes at the end of a recording that no batch was read from. */
  readonly unreadBytes: number;
  /** Batches that the stream gave up before they could be read. */
  readonly missedBatches: number;
};

export type ReplayReport = {
  readonly replay: Replay;
  readonly rules: RulesConfig;
  readonly input: InputEnd;
};

/** The table, where anything was found, and the summary. */
export function renderReport({ replay, rules }: Omit<ReplayReport, "input">): string {
  const findings = replay.findings();
  const table = findings.length === 0 ? "" : `${renderFindings(findings)}\n\n`;
  return `${table}${summaryLines({ replay, rules }).join("\n")}\n`;
}

/** One object for each finding, and a last one of kind `summary`. */
export function renderJson(report: ReplayReport): string {
  const time = new IsoTime();
  const lines = report.replay.findings().map((finding) => jsonFinding(finding, time));
  return [...lines, jsonSummary(report, time)].map((line) => `${line}\n`).join("");
}

function renderFindings(findings: readonly Finding[]): string {
  const time = new LocalTime();
  const rows = findings.map(({ decidedUs, action, rule, source, evidence }) => [
    time.format(decidedUs),
    action,
    rule,
    source,
    evidence.hosts.map(printable).join(","),
    listed(evidence.destinations, rule === "horizontal" ? evidence.count : undefined),
    listed(evidence.ports, rule === "vertical" ? evidence.count : undefined),
    time.format(evidence.firstSeenUs),
    time.format(evidence.lastSeenUs),
  ]);
  const header = [
    "TIME",
    "ACTION",
    "RULE",
    "SOURCE",
    "HOST",
    "DESTINATIONS",
    "PORTS",
    "FIRST SEEN",
    "LAST SEEN",
  ];
  return renderTable([header, ...rows]);
}

/** `22,80,443,8080,+21`. `total`: how many there are, where evidence may hold fewer. */
function listed(entries: readonly (string | number)[], total: number = entries.length): string {
  const shown = entries.slice(0, MAX_CELL_ENTRIES);
  const more = total - shown.length;
  return [...shown, ...(more > 0 ? [`+${more}`] : [])].join(",");
}

/** What a reader of the report must know of its input, for standard error. */
export function describeFlaws({ replay, input }: Omit<ReplayReport, "rules">): readonly string[] {
  const { kind, unreadBytes, missedBatches } = input;
  const unread = counted(unreadBytes, "byte");
  const unlisted = replay.blocks.count + replay.alerts.count - replay.findings().length;
  const flaws: readonly (readonly [isThere: boolean, text: string])[] = [
    [kind === "truncated", `the recording ends in the middle of a batch, after ${unread} of it`],
    [kind === "damaged", `the recording is damaged: its last ${unread} can't be read`],
    [kind === "interrupted", "interrupted; this is what came until then"],
    [missedBatches > 0, `the stream gave up ${counted(missedBatches, "batch")} unread`],
    [replay.rejections.total > 0, replay.rejections.describe() ?? ""],
    [replay.forgotten > 0, describeForgotten(replay.forgotten)],
    [unlisted > 0, `${counted(unlisted, "detection")} more are counted, but not listed`],
  ];
  return flaws.filter(([isThere]) => isThere).map(([, text]) => text);
}

function describeForgotten(forgotten: number): string {
  const what = `${counted(forgotten, "time")} a window or verdict was forgotten for lack of room`;
  return `${what}: scans may be missing; raise PW_DETECTOR_CAPACITY or PW_MAX_VERDICTS`;
}

function summaryLines({ replay, rules }: Omit<ReplayReport, "input">): readonly string[] {
  const { tally, allowedHere } = replay;
  const byOption = allowedHere > 0 ? `, ${allowedHere} of them by --allow` : "";
  return [
    tally.describe(),
    `rules: ${describeRules(rules)}`,
    `would block ${describeTotals(replay.blocks, "block")}`,
    `would alert about ${describeTotals(replay.alerts, "alert")}`,
    `allow-listed, and not counted: ${counted(tally.allowed, "attempt")}${byOption}`,
  ];
}

/** `2 sources`; `2 sources (5 blocks)` where that is not the same. */
function describeTotals({ count, sources }: FindingTotals, noun: string): string {
  const text = countedSources(sources);
  return count === sources.count ? text : `${text} (${counted(count, noun)})`;
}

function jsonFinding(finding: Finding, time: IsoTime): string {
  const { action, id, source, rule, decidedUs, expiresUs, evidence } = finding;
  const { firstSeenUs, lastSeenUs, ...rest } = evidence;
  return jsonText({
    kind: "detection",
    action,
    time: time.format(decidedUs),
    id,
    source,
    rule,
    expires: expiresUs === null ? null : time.format(expiresUs),
    evidence: {
      ...rest,
      firstSeen: time.format(firstSeenUs),
      lastSeen: time.format(lastSeenUs),
    },
  });
}

function jsonSummary({ replay, rules, input }: ReplayReport, time: IsoTime): string {
  const { tally, blocks, alerts } = replay;
  return jsonText({
    kind: "summary",
    attempts: tally.attempts,
    sources: tally.sources.count,
    batches: replay.batches,
    first: tally.span === undefined ? null : time.format(tally.span.firstUs),
    last: tally.span === undefined ? null : time.format(tally.span.lastUs),
    rules: jsonRules(rules),
    blocks: blocks.count,
    blockedSources: blocks.sources.count,
    alerts: alerts.count,
    alertedSources: alerts.sources.count,
    allowed: tally.allowed,
    allowedByOption: replay.allowedHere,
    rejected: replay.rejections.total,
    forgotten: replay.forgotten,
    input: input.kind,
    unreadBytes: input.unreadBytes,
    missedBatches: input.missedBatches,
  });
}

function jsonRules(rules: RulesConfig): object {
  const entries = Object.entries(rules).map(([name, { threshold, windowUs, action }]) => [
    name,
    { threshold, windowSeconds: windowUs / 1e6, action },
  ]);
  return Object.fromEntries(entries) as object;
}
