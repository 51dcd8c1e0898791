/** What a rule saw, in words. */
import {
  type Evidence,
  MAX_EVIDENCE_ENTRIES,
  type BlockVerdict,
  type RuleName,
} from "@packetwatch/contracts";
import { counted, printable } from "../printable.ts";

const scanNames = {
  vertical: "Port scan",
  horizontal: "Address scan",
  spread: "Spread scan",
} as const satisfies Record<RuleName, string>;

const countedNouns = {
  vertical: "port",
  horizontal: "address",
  spread: "target",
} as const satisfies Record<RuleName, string>;

/** `Port scan detected: 192.0.2.56 -> 10.0.0.5 on ports 80,81,82`. */
export function describeBlock(verdict: BlockVerdict): string {
  const { rule, source, evidence, decidedBy, reason, offence = 1 } = verdict;
  const repeated = offence > 1 ? ` (block ${offence} in a row)` : "";
  const why = `${repeated}${reason === undefined ? "" : ` (${printable(reason)})`}`;
  if (rule === "operator") return `Blocked by ${printable(decidedBy)}: ${source}${why}`;
  if (evidence === null) return `${scanNames[rule]} detected: ${source}${why}`;
  return `${scanNames[rule]} detected: ${describeScan({ rule, source, evidence })}${why}`;
}

export type Scan = {
  readonly rule: RuleName;
  readonly source: string;
  readonly evidence: Evidence;
};

/** `192.0.2.56 -> 10.0.0.5 on ports 80,81,82`. */
export function describeScan({ rule, source, evidence }: Scan): string {
  const { count, destinations, ports } = evidence;
  const targets = rule === "spread" ? `${counted(count, "target")}: ` : "";
  const portNoun = ports.length === 1 ? "port" : "ports";
  const hit = `${listed(destinations, count)} on ${portNoun} ${listed(ports, count)}`;
  return `${source} -> ${targets}${hit}`;
}

/** `25 addresses within 300 seconds`. */
export function describeCount(rule: RuleName, { count, windowSeconds }: Evidence): string {
  return `${counted(count, countedNouns[rule])} within ${counted(windowSeconds, "second")}`;
}

/** Evidence lists are cut; the dots say so. */
function listed(entries: readonly (string | number)[], count: number): string {
  const isCut = entries.length === MAX_EVIDENCE_ENTRIES && count > MAX_EVIDENCE_ENTRIES;
  return `${entries.join(",")}${isCut ? ",..." : ""}`;
}
