import { DEFAULT_IPV6_SOURCE_BITS, formatAddress, parseAddress, sourceKey } from "@packetwatch/net";

/** One SYN, as somebody saw it. */
export type Attempt = {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly timeUs: number;
};

export type ScanDefinition = {
  /** Distinct ports of one destination ... */
  readonly threshold: number;
  /** ... within so much time, both ends included. */
  readonly windowUs: number;
};

/** The first address of what a source is judged and blocked by. */
export function sourceOf(address: string): string {
  return formatAddress(sourceKey(parseAddress(address), DEFAULT_IPV6_SOURCE_BITS));
}

/**
 * Who has scanned, by the definition and nothing else: written apart from the
 * detector, and slow. A definition with a shorter window gives fewer sources.
 */
export function scanningSources(
  attempts: readonly Attempt[],
  definition: ScanDefinition,
): ReadonlySet<string> {
  const groups = groupBy(
    attempts,
    (attempt) => `${sourceOf(attempt.source)}>${attempt.destination}`,
  );
  const scanning = [...groups.values()].filter((group) => isScan(group, definition));
  return new Set(scanning.map(([first]) => sourceOf((first as Attempt).source)));
}

function isScan(group: readonly Attempt[], { threshold, windowUs }: ScanDefinition): boolean {
  const ordered = group.toSorted((a, b) => a.timeUs - b.timeUs);
  return ordered.some((last, index) => {
    const ports = new Set<number>();
    for (let at = index; at >= 0; at--) {
      const { timeUs, destinationPort } = ordered[at] as Attempt;
      if (timeUs < last.timeUs - windowUs) break;
      ports.add(destinationPort);
    }
    return ports.size >= threshold;
  });
}

/** Those of `attempts` that are not among `others`, each as often as it is missing. Times don't matter. */
export function missingFrom(
  others: readonly Attempt[],
  attempts: readonly Attempt[],
): readonly Attempt[] {
  const left = new Map<string, number>();
  for (const other of others) left.set(nameOf(other), (left.get(nameOf(other)) ?? 0) + 1);
  return attempts.filter((attempt) => {
    const count = left.get(nameOf(attempt)) ?? 0;
    left.set(nameOf(attempt), count - 1);
    return count <= 0;
  });
}

export function nameOf(attempt: Attempt): string {
  const { source, sourcePort, destination, destinationPort } = attempt;
  return `${source} ${sourcePort} > ${destination} ${destinationPort}`;
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
