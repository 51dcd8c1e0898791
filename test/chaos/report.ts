import { ringLossReasons } from "@packetwatch/contracts";
import { renderTable } from "../../cli/src/render-table.ts";
import { missingFrom } from "./attempts.ts";
import { type Evidence, type HostEvidence, lostScansOf } from "./balance.ts";
import type { Member } from "./member.ts";
import type { Step } from "./schedule.ts";
import { scanners } from "./scanners.ts";

const kinds = ["kill", "stop", "pause"] as const;

/** What was done, what was found and what became of every SYN. */
export function renderReport(
  schedule: readonly Step[],
  evidence: Evidence,
  members: Iterable<Member>,
): string {
  const { visits, benign } = evidence;
  return [
    renderTable(actionRows(schedule)),
    renderTable(scanRows(evidence)),
    renderTable([hostHeader, ...evidence.hosts.map(hostRow)]),
    `${visits.answered} connections of ${benign.size} benign clients, ${visits.failures.length} failed; ${evidence.verdicts.size} sources have a verdict`,
    ...badExits(members),
  ].join("\n\n");
}

function actionRows(schedule: readonly Step[]): readonly (readonly string[])[] {
  const steps = schedule.filter((step) => step.kind !== "scan");
  const names = new Set(steps.map(({ target }) => target.split(" ")[0] ?? target));
  const count = (name: string, kind: string) =>
    String(steps.filter((step) => step.target.startsWith(name) && step.kind === kind).length);
  const rows = [...names]
    .toSorted()
    .map((name) => [name].concat(kinds.map((kind) => count(name, kind))));
  return [["disturbed", ...kinds], ...rows];
}

function scanRows(evidence: Evidence): readonly (readonly string[])[] {
  const { scans, seen, judged } = evidence;
  const lost = new Set(lostScansOf(evidence));
  const rows = scanners.map(({ name }) => {
    const sources = scans.filter(({ scanner }) => scanner === name).map(({ source }) => source);
    const among = (set: ReadonlySet<string>) =>
      String(sources.filter((source) => set.has(source)).length);
    return [name, String(sources.length), among(seen), among(judged), among(lost)];
  });
  return [["scanner", "runs", "scans", "blocked everywhere", "lost, counted"], ...rows];
}

const hostHeader = [
  "host",
  "SYNs",
  "dropped",
  "ring_full",
  "published",
  ...ringLossReasons,
  "missing",
];

function hostRow({ name, books, witnessed, streamed }: HostEvidence): readonly string[] {
  const { synIpv4, synIpv6, dropped, ringFull } = books.counters;
  const losses = ringLossReasons.map((reason) => books.ledger[reason]);
  const counts = [synIpv4 + synIpv6, dropped, ringFull, books.ledger.published, ...losses];
  const missing = missingFrom(streamed, witnessed).length;
  return [name, ...counts.map(String), String(missing)];
}

function badExits(members: Iterable<Member>): readonly string[] {
  const stopped = [...members].filter(({ badExits }) => badExits.length > 0);
  return stopped.map(
    ({ name, badExits }) => `${name} was stopped with exit codes ${badExits.join(", ")}`,
  );
}
