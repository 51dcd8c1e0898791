import { type AddressWords, formatAddress, isIpv4 } from "@packetwatch/net";

/** Sources that are told apart; the next ones are not counted. */
export const MAX_COUNTED_SOURCES = 1_000_000;

/** Counts distinct sources, exactly up to its limit. */
export class SourceCounter {
  readonly #maxSources: number;
  readonly #ipv4 = new Set<number>();
  readonly #ipv6 = new Set<string>();

  constructor(maxSources: number = MAX_COUNTED_SOURCES) {
    this.#maxSources = maxSources;
  }

  get count(): number {
    return this.#ipv4.size + this.#ipv6.size;
  }

  /** The count is a lower bound. */
  get isFull(): boolean {
    return this.count >= this.#maxSources;
  }

  add(source: AddressWords): void {
    if (this.isFull) return;
    if (isIpv4(source)) this.#ipv4.add(source[3]);
    else this.#ipv6.add(formatAddress(source));
  }
}
