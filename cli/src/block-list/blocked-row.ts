import type { BlockVerdict } from "@packetwatch/contracts";
import { parsePrefix } from "@packetwatch/net";
import type { HostAnswers } from "../fleet/ask-hosts.ts";

/** What one host does about a block. */
export type BlockOnHost = {
  readonly host: string;
  /**
   * `waiting`: the host watches no interface, or has not carried the block out on each of them;
   * `dry_run`: it has, and drops nothing.
   */
  readonly state: "applied" | "dry_run" | "spared" | "waiting";
  /** In a dry run, what would have been dropped. */
  readonly dropped: number;
  readonly firstDropUs: number | null;
};

/** A block, and what each host that answered does about it. */
export type BlockedRow = {
  readonly block: BlockVerdict;
  readonly hosts: readonly BlockOnHost[];
  readonly dropped: number;
};

export const sortOrders = ["since", "source", "expires", "dropped"] as const;
export type SortOrder = (typeof sortOrders)[number];

export type HostFacts = Pick<HostAnswers, "answers"> & {
  /** Hosts in a dry run. */
  readonly dry?: readonly string[];
};

export function blockedRows(
  blocks: readonly BlockVerdict[],
  { answers, dry = [] }: HostFacts,
): readonly BlockedRow[] {
  const inDryRun = new Set(dry);
  return blocks.map((block) => {
    const hosts = answers.flatMap((answer) => onHost(block.source, answer, inDryRun) ?? []);
    return { block, hosts, dropped: hosts.reduce((sum, { dropped }) => sum + dropped, 0) };
  });
}

function onHost(
  source: string,
  { host, interfaces, blocks }: HostAnswers["answers"][number],
  inDryRun: ReadonlySet<string>,
): BlockOnHost | undefined {
  const held = blocks.get(source);
  if (held === undefined) return undefined;
  const { dropped, firstDropUs, allowed } = held;
  const isHeld = interfaces.length > 0 && held.interfaces === interfaces.length;
  const heldState = inDryRun.has(host) ? "dry_run" : "applied";
  const state = isHeld ? heldState : "waiting";
  return { host, state: allowed ? "spared" : state, dropped, firstDropUs };
}

/** Oldest first, numerically, soonest first, or most first; what is equal, by source. */
export function sortBlocked(rows: readonly BlockedRow[], order: SortOrder): readonly BlockedRow[] {
  const keyed = rows.map((row) => ({ row, key: keyOf(row, order), source: numeric(row) }));
  keyed.sort((a, b) => a.key - b.key || compare(a.source, b.source));
  return keyed.map(({ row }) => row);
}

function keyOf({ block, dropped }: BlockedRow, order: SortOrder): number {
  if (order === "since") return block.issuedUs;
  if (order === "expires") return block.expiresUs ?? Number.MAX_VALUE;
  return order === "dropped" ? -dropped : 0;
}

/** As wide as any other, so that text sorts as numbers do. */
function numeric({ block }: BlockedRow): string {
  const { words } = parsePrefix(block.source);
  return words.map((word) => word.toString(16).padStart(8, "0")).join("");
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
