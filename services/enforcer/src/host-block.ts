import type { Block, HostBlock } from "@packetwatch/contracts";

export type HeldSource = {
  readonly source: string;
  /** What each interface's map holds of it. */
  readonly held: readonly Block[];
  readonly allowed: boolean;
};

/** CLOCK_BOOTTIME, and what to add for wall time; in nanoseconds. */
export type BootClock = { readonly nowNs: bigint; readonly offsetNs: bigint };

const MOST_COUNTED = BigInt(Number.MAX_SAFE_INTEGER);

/**
 * What a host tells of a source. Whoever has CAP_BPF can write to the maps: a
 * count that is larger than any is the largest, and a drop in the time to come
 * is none. Otherwise one such entry would make the whole answer invalid.
 */
export function hostBlockOf({ source, held, allowed }: HeldSource, clock: BootClock): HostBlock {
  const { nowNs, offsetNs } = clock;
  const inForce = held.filter(({ expiresNs }) => expiresNs === 0n || expiresNs > nowNs);
  const dropped = held.reduce((sum, block) => sum + block.dropped, 0n);
  const firstDropsNs = held
    .map(({ firstDropNs }) => firstDropNs)
    .filter((timeNs) => timeNs > 0n && timeNs <= nowNs);
  return {
    source,
    interfaces: inForce.length,
    dropped: Number(dropped < MOST_COUNTED ? dropped : MOST_COUNTED),
    firstDropUs: firstDropsNs.length === 0 ? null : wallUsOf(least(firstDropsNs), offsetNs),
    allowed,
  };
}

function wallUsOf(bootNs: bigint, offsetNs: bigint): number {
  return Number((bootNs + offsetNs) / 1000n);
}

function least(values: readonly bigint[]): bigint {
  return values.reduce((least, value) => (value < least ? value : least));
}
