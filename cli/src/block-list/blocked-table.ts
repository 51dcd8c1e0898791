import { formatDuration } from "../duration.ts";
import { jsonText, printable } from "../printable.ts";
import { renderTable } from "../render-table.ts";
import { JsonFormat } from "../tail/json-format.ts";
import { describeBlock } from "../tail/scan-text.ts";
import { IsoTime, LocalTime } from "../tail/time-text.ts";
import type { BlockedRow, BlockOnHost } from "./blocked-row.ts";

/** Hosts named beside the sum of drops. */
const MAX_NAMED_HOSTS = 3;

export type RenderOptions = {
  readonly nowUs: number;
  readonly columns: "all" | "no hosts";
};

/** The table; `nothing is blocked` where it would be empty. */
export function renderBlocked(
  rows: readonly BlockedRow[],
  { nowUs, columns }: RenderOptions,
): string {
  if (rows.length === 0) return "nothing is blocked";
  const time = new LocalTime();
  const cells = rows.map((row) => [
    row.block.source,
    row.block.rule,
    time.format(row.block.issuedUs),
    describeRemaining(row.block.expiresUs, nowUs),
    ...(columns === "all" ? [describeHosts(row.hosts), describeDrops(row)] : []),
    printable(describeBlock(row.block)),
  ]);
  const hostColumns = columns === "all" ? ["HOSTS", "DROPPED"] : [];
  return renderTable([["SOURCE", "RULE", "SINCE", "EXPIRES IN", ...hostColumns, "WHY"], ...cells]);
}

/** As JsonFormat.block, with what the hosts do; ends in a newline. */
export function jsonBlocked(
  { block, hosts, dropped }: BlockedRow,
  unanswered: readonly string[],
): string {
  const time = new IsoTime();
  const members = JSON.parse(new JsonFormat().block(block)) as object;
  const onHosts = hosts.map(({ firstDropUs, ...rest }) => ({
    ...rest,
    firstDrop: firstDropUs === null ? null : time.format(firstDropUs),
  }));
  return `${jsonText({ ...members, dropped, hosts: onHosts, unanswered })}\n`;
}

/** `never`, `2h 5m`: the two largest units. */
export function describeRemaining(expiresUs: number | null, nowUs: number): string {
  if (expiresUs === null) return "never";
  return formatDuration(Math.max(0, Math.ceil((expiresUs - nowUs) / 1e6)));
}

/** `2/3`, `1/3 (1 spared, 1 in a dry run)`. */
function describeHosts(hosts: readonly BlockOnHost[]): string {
  const count = (wanted: BlockOnHost["state"]) =>
    hosts.filter(({ state }) => state === wanted).length;
  const [spared, dry] = [count("spared"), count("dry_run")];
  const rest = [
    ...(spared > 0 ? [`${spared} spared`] : []),
    ...(dry > 0 ? [`${dry} in a dry run`] : []),
  ];
  return `${count("applied")}/${hosts.length}${rest.length > 0 ? ` (${rest.join(", ")})` : ""}`;
}

/** `0`, `12 (host-a 10, host-b 2)`. */
function describeDrops({ hosts, dropped }: BlockedRow): string {
  const most = hosts
    .filter((host) => host.dropped > 0)
    .toSorted((a, b) => b.dropped - a.dropped || (a.host < b.host ? -1 : 1));
  if (most.length === 0) return "0";
  const named = most
    .slice(0, MAX_NAMED_HOSTS)
    .map(({ host, dropped }) => `${printable(host)} ${dropped}`);
  const more = most.length - named.length;
  return `${dropped} (${[...named, ...(more > 0 ? [`${more} more`] : [])].join(", ")})`;
}
