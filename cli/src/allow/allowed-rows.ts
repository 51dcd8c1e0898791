import type { AllowEntry, AllowReason, HostState } from "@packetwatch/contracts";
import { type AddressWords, parsePrefix, prefixContains } from "@packetwatch/net";

/** A prefix that is allowed, why, and where. */
export type AllowedRow = {
  readonly prefix: string;
  readonly reasons: readonly (AllowReason | "operator")[];
  /** Of the hosts that are heard; an operator's entry is on those that have taken it in. */
  readonly hosts: readonly string[];
  /** Set where an operator allows it. */
  readonly entry?: AllowEntry;
};

/** An entry, and its number in the bucket. */
export type StoredEntry = { readonly entry: AllowEntry; readonly sequence: number };

export type AllowedInput = {
  readonly entries: readonly StoredEntry[];
  readonly hosts: readonly HostState[];
  readonly nowUs: number;
};

/** Operators' entries first, then the hosts' own; one row for each prefix and set of reasons. */
export function createAllowedRows({ entries, hosts, nowUs }: AllowedInput): readonly AllowedRow[] {
  const inForce = entries.filter(({ entry }) => (entry.expiresUs ?? Infinity) > nowUs);
  const operators = inForce.map(({ entry, sequence }) => ({
    prefix: entry.prefix,
    reasons: ["operator"] as const,
    hosts: hosts.filter((host) => host.allowlistSequence >= sequence).map(({ host }) => host),
    entry,
  }));
  return [...operators, ...rowsOfHosts(hosts)];
}

/** The rows that allow an address. */
export function rowsCovering(
  rows: readonly AllowedRow[],
  address: AddressWords,
): readonly AllowedRow[] {
  return rows.filter(({ prefix }) => prefixContains(parsePrefix(prefix), address));
}

function rowsOfHosts(hosts: readonly HostState[]): readonly AllowedRow[] {
  const rows = new Map<string, { prefix: string; reasons: AllowReason[]; hosts: string[] }>();
  for (const { host, allowed } of hosts) {
    for (const { prefix, reasons } of allowed) {
      const key = `${prefix} ${reasons.join()}`;
      const row = rows.get(key) ?? { prefix, reasons, hosts: [] };
      row.hosts.push(host);
      rows.set(key, row);
    }
  }
  return [...rows.values()];
}
