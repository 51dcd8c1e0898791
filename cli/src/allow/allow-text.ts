import type { AllowEntry, AllowReason } from "@packetwatch/contracts";
import { formatDuration } from "../duration.ts";
import { printable } from "../printable.ts";
import { renderTable } from "../render-table.ts";
import { IsoTime } from "../tail/time-text.ts";
import type { AllowedRow } from "./allowed-rows.ts";

/** Hosts that a row names; of more there is the number. */
const MAX_NAMED = 3;

const reasonTexts = {
  own_address: "own address",
  gateway: "default gateway",
  resolver: "DNS resolver",
  nats_server: "NATS server",
  ssh_peer: "SSH session",
  variable: "PW_ALLOW",
  operator: "operator",
} as const satisfies Record<AllowReason | "operator", string>;

/** `default gateway, DNS resolver`; of an operator's entry who added it. */
export function describeReasons({ reasons, entry }: AllowedRow): string {
  if (entry !== undefined) return printable(entry.addedBy.replace("operator/", "operator "));
  return reasons.map((reason) => reasonTexts[reason]).join(", ");
}

export function renderAllowedRows(
  rows: readonly AllowedRow[],
  { hosts, nowUs }: { readonly hosts: number; readonly nowUs: number },
): string {
  if (rows.length === 0) return "nothing is allowed";
  const cells = rows.map((row) => [
    row.prefix,
    describeReasons(row),
    describeHosts(row.hosts, hosts),
    row.entry === undefined ? "" : describeEnd(row.entry, nowUs),
    printable(row.entry?.comment ?? ""),
  ]);
  return renderTable([["PREFIX", "WHY", "HOSTS", "EXPIRES IN", "COMMENT"], ...cells]);
}

/** `all 3`, `web-1, web-2`, `5 of 12`. */
export function describeHosts(names: readonly string[], heard: number): string {
  if (names.length === heard) return `all ${heard}`;
  if (names.length > MAX_NAMED || names.length === 0) return `${names.length} of ${heard}`;
  return printable(names.join(", "));
}

/** One row for scripts. */
export function rowJson({ prefix, reasons, hosts, entry }: AllowedRow): object {
  if (entry === undefined) return { prefix, reasons, hosts };
  const time = new IsoTime();
  return {
    prefix,
    reasons,
    hosts,
    comment: entry.comment ?? null,
    addedBy: entry.addedBy,
    added: time.format(entry.addedUs),
    expires: entry.expiresUs === null ? null : time.format(entry.expiresUs),
  };
}

/** `192.0.2.0/24 (operator alice@desk: the monitoring, expires in 2h) on all 3`. */
export function describeCover(
  row: AllowedRow,
  { hosts, nowUs }: { readonly hosts: number; readonly nowUs: number },
): string {
  const { entry } = row;
  const comment = entry?.comment === undefined ? "" : `: ${printable(entry.comment)}`;
  const isTimed = entry !== undefined && entry.expiresUs !== null;
  const end = isTimed ? `, expires in ${describeEnd(entry, nowUs)}` : "";
  return `${row.prefix} (${describeReasons(row)}${comment}${end}) on ${describeHosts(row.hosts, hosts)}`;
}

function describeEnd({ expiresUs }: AllowEntry, nowUs: number): string {
  return expiresUs === null ? "never" : formatDuration(Math.max(0, (expiresUs - nowUs) / 1e6));
}
