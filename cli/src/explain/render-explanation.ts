/** An explanation for people. */
import { describeCover } from "../allow/allow-text.ts";
import { describeBreaker } from "../breaker/breaker-text.ts";
import { describeSilence, listNames } from "../hosts/effect.ts";
import { formatDuration } from "../duration.ts";
import { counted, printable } from "../printable.ts";
import { renderTable } from "../render-table.ts";
import { describeBlock, describeCount, describeScan } from "../tail/scan-text.ts";
import { LocalTime } from "../tail/time-text.ts";
import type { Explanation, HistoryEntry, HostPart } from "./explanation.ts";
import type { RuleDistance } from "./rule-distance.ts";

/** Lines of history, the newest. */
const MAX_HISTORY_LINES = 20;

export function renderExplanation(explanation: Explanation): string {
  const sections: readonly (readonly [title: string, lines: readonly string[]])[] = [
    ["Address", addressLines(explanation)],
    ["Why", whyLines(explanation)],
    ["Hosts", hostLines(explanation)],
    ["Seen", seenLines(explanation)],
    ["Rules", ruleLines(explanation)],
    ["Breaker", breakerLines(explanation)],
    ["History", historyLines(explanation)],
    ["Next", nextLines(explanation)],
  ];
  const shown = sections.filter(([, lines]) => lines.length > 0);
  const texts = shown.map(([title, lines]) =>
    lines.map((line, index) => `${(index === 0 ? title : "").padEnd(9)}${line}`).join("\n"),
  );
  return [headline(explanation), "", ...texts].join("\n");
}

export function headline(explanation: Explanation): string {
  const { source, state, block, hosts, seen, nowUs } = explanation;
  const allowedOn = hosts.filter(({ isAllowed }) => isAllowed).map(({ host }) => host);
  if (state === "blocked" && block) {
    const applied = hosts.filter(({ state }) => state === "applied").length;
    const since = new LocalTime().format(block.issuedUs);
    const dry = hosts.filter(({ state }) => state === "dry_run").length;
    const pretending = dry === 0 ? "" : ` (${dry} in a dry run)`;
    return `${source} is blocked on ${applied}/${counted(hosts.length, "host")}${pretending} since ${since}, ${untilText(block.expiresUs, nowUs)}`;
  }
  if (state === "allowed") {
    return `${source} is allow-listed on ${listNames(allowedOn)}: there, nothing of it is dropped, and none of it counts as a scan`;
  }
  if (state === "unseen") return `${source} is not blocked: ${unseenText(explanation)}`;
  const reached = explanation.rules.filter(isReached).map(({ rule }) => rule);
  if (reached.length === 0) return `${source} is not blocked: it is below every threshold`;
  const attempts = counted(seen.attempts, "attempt");
  return `${source} is not blocked: of its ${attempts} some reach the threshold of ${reached.join(", ")}`;
}

function untilText(expiresUs: number | null, nowUs: number): string {
  if (expiresUs === null) return "until it is unblocked";
  return `for another ${formatDuration(Math.max(0, Math.ceil((expiresUs - nowUs) / 1e6)))}`;
}

function unseenText({ retainedSeconds }: Explanation): string {
  if (retainedSeconds === undefined) return "no attempt of anybody is retained";
  return `no attempt of it within the ${formatDuration(retainedSeconds)} that are retained`;
}

function addressLines({ address: explained, nowUs }: Explanation): readonly string[] {
  if (explained === undefined || explained.allowedBy.length === 0) return [];
  const { address, allowedBy, hosts } = explained;
  return [
    `${address} itself is allow-listed, and nothing of it is dropped there:`,
    ...allowedBy.map((row) => describeCover(row, { hosts, nowUs })),
  ];
}

function whyLines({ block }: Explanation): readonly string[] {
  if (!block) return [];
  const { rule, evidence, decidedBy } = block;
  const time = new LocalTime();
  if (rule === "operator" || evidence === null) return [printable(describeBlock(block))];
  const { firstSeenUs, lastSeenUs, hosts } = evidence;
  return [
    printable(describeBlock(block)),
    `rule ${rule}: ${describeCount(rule, evidence)}, decided by ${printable(decidedBy)}`,
    `first attempt ${time.format(firstSeenUs)}, deciding attempt ${time.format(lastSeenUs)}, seen by ${listNames(hosts)}`,
  ];
}

function hostLines({
  block,
  hosts,
  silent,
  unanswered,
  isAppliedComplete,
}: Explanation): readonly string[] {
  const rows = hosts.map((host) => [printable(host.host), describeHost(host, block !== undefined)]);
  const isTold = block !== undefined || hosts.some(({ isAllowed }) => isAllowed);
  return [
    ...(isTold && rows.length > 0 ? renderTable(rows).split("\n") : []),
    ...unanswered.map((host) => `${printable(host)} does not answer`),
    ...silent.map(describeSilence),
    ...(isAppliedComplete ? [] : ["when is not told for all: too much has happened since"]),
  ];
}

function describeHost(part: HostPart, isBlocked: boolean): string {
  const { isAllowed, state, dropped, firstDropUs } = part;
  if (isAllowed) return isBlocked ? "allow-listed: spares it" : "allow-listed";
  if (!isBlocked) return "not allow-listed";
  if (state === "waiting") return "has not applied it on all of its interfaces";
  const first = firstDropUs === null ? "" : `, the first ${new LocalTime().format(firstDropUs)}`;
  if (state === "dry_run") {
    return `in a dry run: ${dropped} would have been dropped${first}; nothing is`;
  }
  return `applied${reactionText(part)}, ${dropped} dropped${first}`;
}

function reactionText({ reactionUs, appliedUs }: HostPart): string {
  if (reactionUs !== null && reactionUs >= 0 && reactionUs < 60e6) {
    return ` ${Number((reactionUs / 1000).toFixed(1))} ms after the deciding attempt`;
  }
  return appliedUs === null ? "" : ` at ${new LocalTime().format(appliedUs)}`;
}

function seenLines({ seen, retainedSeconds, block }: Explanation): readonly string[] {
  const reach = retainedSeconds === undefined ? "nothing" : formatDuration(retainedSeconds);
  const { attempts, allowed, wouldDrop, hosts, destinations, ports, firstUs, lastUs } = seen;
  if (attempts === 0 || firstUs === null || lastUs === null) {
    const hint = "a sensor reports TCP connection attempts that arrive on its interfaces";
    return [
      `no attempt; ${reach} is retained`,
      ...(block ? [] : [`${hint}: 'packetwatch status'`]),
    ];
  }
  const time = new LocalTime();
  const where = hosts.slice(0, 5).map(({ host, attempts }) => `${printable(host)} ${attempts}`);
  const more = hosts.length > 5 ? `, ${hosts.length - 5} more` : "";
  return [
    `${counted(attempts, "attempt")} on ${counted(ports, "port")} of ${counted(destinations, "address")}, ${time.format(firstUs)} to ${time.format(lastUs)}`,
    `by host: ${where.join(", ")}${more}; ${reach} is retained, without what kernels dropped`,
    ...(allowed > 0 ? [`${allowed} made while it was allow-listed: they count for no rule`] : []),
    ...(wouldDrop > 0 ? [`${wouldDrop} would have been dropped: enforcement is off there`] : []),
  ];
}

const items = { vertical: "port", horizontal: "address", spread: "target" } as const;
const within = {
  vertical: "of one address",
  horizontal: "on one port",
  spread: "over the fleet",
} as const;

function ruleLines({ rules, rulesOf, state }: Explanation): readonly string[] {
  if (state !== "watched") return [];
  return [
    ...renderTable(rules.map((rule) => [rule.rule, describeDistance(rule)])).split("\n"),
    rulesOf === undefined
      ? "no detector is heard: these are the rules of this command's variables"
      : `as ${printable(rulesOf)} has them`,
  ];
}

export function isReached({ nearest, threshold }: RuleDistance): boolean {
  return (nearest?.count ?? 0) >= threshold;
}

/** `2 of 3 ports of one address within 1m, 1 short: 10.0.0.5 on ports 21,22`. */
export function describeDistance(distance: RuleDistance): string {
  const { rule, action, threshold, windowSeconds, nearest } = distance;
  if (action === "off") return "off";
  const count = nearest?.count ?? 0;
  const window = formatDuration(windowSeconds);
  const head = `${count} of ${counted(threshold, items[rule])} ${within[rule]} within ${window}`;
  const missing = isReached(distance) ? "reached" : `${threshold - count} short`;
  const alerts = action === "alert" ? "; it alerts, and blocks nobody" : "";
  const when = nearest ? `, last ${new LocalTime().format(nearest.lastSeenUs)}` : "";
  return `${head}, ${missing}${when}${alerts}`;
}

/** Why nobody is blocked for a scan at present. */
function breakerLines({ breaker, state }: Explanation): readonly string[] {
  if (state === "blocked" || breaker?.state !== "open") return [];
  return [`${describeBreaker(breaker)}; detectors block nobody ('packetwatch breaker close')`];
}

function historyLines({ history, historySeconds }: Explanation): readonly string[] {
  const reach =
    historySeconds === undefined ? "none" : `nothing in ${formatDuration(historySeconds)}`;
  if (history.length === 0) return [reach];
  const shown = history.slice(-MAX_HISTORY_LINES);
  const older = history.length - shown.length;
  const time = new LocalTime();
  return [
    ...(older > 0 ? [`${older} older; --json has them`] : []),
    ...shown.map((entry) => `${time.format(entry.timeUs)}  ${describeEntry(entry)}`),
  ];
}

function describeEntry(entry: HistoryEntry): string {
  if (entry.kind === "expired") return "block expired";
  if (entry.kind === "alert")
    return printable(`alert: ${entry.alert.rule}: ${describeScan(entry.alert)}`);
  const { verdict } = entry;
  if (verdict.kind === "block") return printable(describeBlock(verdict));
  const why = verdict.reason === undefined ? "" : ` (${verdict.reason})`;
  return printable(`lifted by ${verdict.decidedBy}${why}`);
}

function nextLines({ state, source }: Explanation): readonly string[] {
  if (state === "blocked") return [`packetwatch unblock ${source}`];
  if (state === "watched") return [`packetwatch block ${source} --ttl 1h`];
  return [];
}
