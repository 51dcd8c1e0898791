import type { SynEvent } from "@packetwatch/contracts";
import { formatPrefix, isIpv4, IPV4_MAPPED_WORD, maskWord, type Prefix } from "@packetwatch/net";

/** Sources that are remembered. Beyond it the oldest is forgotten, and its late attempts are listed. */
export const MAX_BLOCKED_SOURCES = 65_536;

type Entry = {
  readonly source: Prefix;
  /** Infinity: until it is lifted. */
  readonly expiresUs: number;
};

/** Entries of one family and prefix length. */
type Length = {
  readonly masks: readonly [number, number, number, number];
  readonly entries: Map<number | string, Entry>;
};

/**
 * The sources whose attempts are not listed. The kernel drops them unreported;
 * this is for attempts that were on their way when the verdict fell.
 */
export class BlockedSources {
  readonly #capacity: number;
  /** In the order in which they were blocked. */
  readonly #bySource = new Map<string, Entry>();
  readonly #ipv4 = new Map<number, Length>();
  readonly #ipv6 = new Map<number, Length>();

  constructor(capacity: number = MAX_BLOCKED_SOURCES) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#bySource.size;
  }

  block(source: Prefix, expiresUs: number): void {
    this.unblock(source);
    if (this.#bySource.size === this.#capacity) this.#forgetOldest();
    const entry = { source, expiresUs };
    this.#bySource.set(formatPrefix(source), entry);
    this.#lengthOf(source).entries.set(keyOf(source), entry);
  }

  /** False if it wasn't blocked. */
  unblock(source: Prefix): boolean {
    if (!this.#bySource.delete(formatPrefix(source))) return false;
    const lengths = this.#lengthsOf(source);
    const length = this.#lengthOf(source);
    length.entries.delete(keyOf(source));
    if (length.entries.size === 0) lengths.delete(source.bits);
    return true;
  }

  /** Whether the attempt's source is blocked at the attempt's time. */
  covers({ s0, s1, s2, s3, timeUs }: SynEvent): boolean {
    if (this.#bySource.size === 0) return false;
    const isMapped = s0 === 0 && s1 === 0 && s2 === IPV4_MAPPED_WORD;
    for (const { masks, entries } of (isMapped ? this.#ipv4 : this.#ipv6).values()) {
      const entry = isMapped
        ? entries.get((s3 & masks[3]) >>> 0)
        : entries.get(ipv6Key(s0 & masks[0], s1 & masks[1], s2 & masks[2], s3 & masks[3]));
      if (entry !== undefined && timeUs < entry.expiresUs) return true;
    }
    return false;
  }

  /** Forgets the sources whose block is over, and returns them. */
  takeExpired(nowUs: number): readonly Entry[] {
    const expired = [...this.#bySource.values()].filter(({ expiresUs }) => expiresUs <= nowUs);
    for (const { source } of expired) this.unblock(source);
    return expired;
  }

  #forgetOldest(): void {
    const [oldest] = this.#bySource.values();
    if (oldest !== undefined) this.unblock(oldest.source);
  }

  #lengthsOf({ words }: Prefix): Map<number, Length> {
    return isIpv4(words) ? this.#ipv4 : this.#ipv6;
  }

  #lengthOf(source: Prefix): Length {
    const lengths = this.#lengthsOf(source);
    const known = lengths.get(source.bits);
    if (known !== undefined) return known;
    const length = { masks: masksOf(source.bits), entries: new Map<number | string, Entry>() };
    lengths.set(source.bits, length);
    return length;
  }
}

function masksOf(bits: number): Length["masks"] {
  return [maskWord(bits), maskWord(bits - 32), maskWord(bits - 64), maskWord(bits - 96)];
}

function keyOf({ words }: Prefix): number | string {
  return isIpv4(words) ? words[3] : ipv6Key(...words);
}

function ipv6Key(w0: number, w1: number, w2: number, w3: number): string {
  return `${w0 >>> 0},${w1 >>> 0},${w2 >>> 0},${w3 >>> 0}`;
}
