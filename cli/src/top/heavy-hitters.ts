import type { SynEvent } from "@packetwatch/contracts";
import { type AddressWords, formatAddress, isIpv4Words } from "@packetwatch/net";

/** Sources that are told apart; beyond that, those with the fewest attempts leave. */
export const MAX_SOURCES = 8192;
/** Ports and destinations that are counted of each. */
export const MAX_DISTINCT = 64;

export const sortKeys = ["rate", "total", "ports", "destinations", "last"] as const;
export type SortKey = (typeof sortKeys)[number];

/** One source, as a table shows it. */
export type SourceRow = {
  readonly source: string;
  /** Attempts of this interval. */
  readonly recent: number;
  readonly total: number;
  /** MAX_DISTINCT stands for that many or more. */
  readonly ports: number;
  readonly destinations: number;
  readonly lastUs: number;
};

type Entry = {
  readonly words: AddressWords;
  recent: number;
  total: number;
  readonly ports: Set<number>;
  readonly destinations: Set<string>;
  lastUs: number;
};

/**
 * The sources with the most attempts, in bounded memory. Exact until more than
 * `maxSources` were seen; then the median of all counts is taken off each, and
 * who has nothing left leaves (the frequent items sketch of Anderson et al.,
 * 2017). So a total is too low by at most `maxError`, and a source with more
 * attempts than that is never missing. Synchronous, no clock.
 */
export class HeavyHitters {
  readonly #maxSources: number;
  readonly #entries = new Map<number | string, Entry>();
  #recent = 0;
  #maxError = 0;

  constructor(maxSources: number = MAX_SOURCES) {
    this.#maxSources = maxSources;
  }

  /** Attempts of this interval, of all sources. */
  get recent(): number {
    return this.#recent;
  }

  /** Sources that are told apart now. */
  get sources(): number {
    return this.#entries.size;
  }

  /** By how much a total can be too low; 0 while everything is exact. */
  get maxError(): number {
    return this.#maxError;
  }

  /** The event's source is a source key. */
  add(event: SynEvent): void {
    this.#recent++;
    const entry = this.#entryOf(event);
    entry.recent++;
    entry.total++;
    entry.lastUs = Math.max(entry.lastUs, event.timeUs);
    if (entry.ports.size < MAX_DISTINCT) entry.ports.add(event.destinationPort);
    if (entry.destinations.size < MAX_DISTINCT) {
      entry.destinations.add(`${event.d0} ${event.d1} ${event.d2} ${event.d3}`);
    }
    if (this.#entries.size > this.#maxSources) this.#shrink();
  }

  /** The first `limit` by `sort`; what is equal, by address. */
  rows(sort: SortKey, limit: number): readonly SourceRow[] {
    const rows = [...this.#entries.values()].map(toRow);
    const text = (row: SourceRow) => row.source;
    rows.sort((a, b) => keyOf(b, sort) - keyOf(a, sort) || (text(a) < text(b) ? -1 : 1));
    return rows.slice(0, limit);
  }

  /** Begins the next interval. */
  next(): void {
    this.#recent = 0;
    for (const entry of this.#entries.values()) entry.recent = 0;
  }

  #entryOf({ s0, s1, s2, s3 }: SynEvent): Entry {
    const key = isIpv4Words(s0, s1, s2) ? s3 : `${s0} ${s1} ${s2} ${s3}`;
    const known = this.#entries.get(key);
    if (known) return known;
    const created: Entry = {
      words: [s0, s1, s2, s3],
      recent: 0,
      total: 0,
      ports: new Set(),
      destinations: new Set(),
      lastUs: 0,
    };
    this.#entries.set(key, created);
    return created;
  }

  /** Half of the sources leave at least, so each new one pays for little. */
  #shrink(): void {
    const totals = Float64Array.from(this.#entries.values(), ({ total }) => total).sort();
    const median = totals[totals.length >> 1] ?? 0;
    for (const [key, entry] of this.#entries) {
      entry.total -= median;
      if (entry.total <= 0) this.#entries.delete(key);
    }
    this.#maxError += median;
  }
}

function toRow({ words, recent, total, ports, destinations, lastUs }: Entry): SourceRow {
  const source = formatAddress(words);
  return { source, recent, total, ports: ports.size, destinations: destinations.size, lastUs };
}

function keyOf({ recent, total, ports, destinations, lastUs }: SourceRow, sort: SortKey): number {
  return { rate: recent, total, ports, destinations, last: lastUs }[sort];
}
