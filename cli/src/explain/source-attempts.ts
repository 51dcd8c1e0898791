import { createSynEvent, SynBatch, type SynEvent, synFlags } from "@packetwatch/contracts";
import { cutToSourceKey } from "@packetwatch/detection";
import { formatAddress, sameAddress, type SourceKey, sourceMaskWords } from "@packetwatch/net";
import type { Rejections } from "../tail/rejections.ts";

/** Attempts that are kept for the rules; older ones are counted, and leave. */
export const MAX_KEPT_ATTEMPTS = 100_000;
/** Hosts, destinations and ports that are told apart. */
const MAX_DISTINCT = 65_536;

export type AttemptSummary = {
  readonly attempts: number;
  /** Of these, made while the source was allow-listed. */
  readonly allowed: number;
  /** Of these, passed because enforcement is off. */
  readonly wouldDrop: number;
  readonly firstUs: number | null;
  readonly lastUs: number | null;
  /** By host that saw them, most first. */
  readonly hosts: readonly { readonly host: string; readonly attempts: number }[];
  readonly destinations: number;
  readonly ports: number;
};

/** The attempts of one source in the batches of its shard. Synchronous, no clock. */
export class SourceAttempts {
  readonly #source: SourceKey;
  readonly #rejections: Rejections;
  readonly #kept: SynEvent[] = [];
  readonly #scratch = createSynEvent();
  readonly #hosts = new Map<string, number>();
  readonly #destinations = new Set<string>();
  readonly #ports = new Set<number>();
  #attempts = 0;
  #allowed = 0;
  #wouldDrop = 0;
  #firstUs = Number.POSITIVE_INFINITY;
  #lastUs = Number.NEGATIVE_INFINITY;

  constructor(source: SourceKey, rejections: Rejections) {
    this.#source = source;
    this.#rejections = rejections;
  }

  /** The newest attempts, in the stream's order; sources are cut to their keys. */
  get kept(): readonly SynEvent[] {
    return this.#kept.slice(-MAX_KEPT_ATTEMPTS);
  }

  get summary(): AttemptSummary {
    const hosts = [...this.#hosts].map(([host, attempts]) => ({ host, attempts }));
    const isEmpty = this.#attempts === 0;
    return {
      attempts: this.#attempts,
      allowed: this.#allowed,
      wouldDrop: this.#wouldDrop,
      firstUs: isEmpty ? null : this.#firstUs,
      lastUs: isEmpty ? null : this.#lastUs,
      hosts: hosts.sort((a, b) => b.attempts - a.attempts || (a.host < b.host ? -1 : 1)),
      destinations: this.#destinations.size,
      ports: this.#ports.size,
    };
  }

  take(payload: Uint8Array): void {
    const batch = this.#rejections.orCount(() => new SynBatch(payload));
    if (batch === undefined) return;
    const mask = sourceMaskWords(batch.header.ipv6SourceBits);
    const event = this.#scratch;
    for (let index = 0; index < batch.count; index++) {
      batch.read(index, event);
      cutToSourceKey(event, mask);
      if (sameAddress(this.#source, [event.s0, event.s1, event.s2, event.s3])) {
        this.#add(event, batch.header.host);
      }
    }
  }

  #add(event: SynEvent, host: string): void {
    this.#attempts++;
    if ((event.flags & synFlags.allowed) !== 0) this.#allowed++;
    if ((event.flags & synFlags.wouldDrop) !== 0) this.#wouldDrop++;
    this.#firstUs = Math.min(this.#firstUs, event.timeUs);
    this.#lastUs = Math.max(this.#lastUs, event.timeUs);
    if (this.#hosts.size < MAX_DISTINCT || this.#hosts.has(host)) {
      this.#hosts.set(host, (this.#hosts.get(host) ?? 0) + 1);
    }
    if (this.#destinations.size < MAX_DISTINCT) {
      this.#destinations.add(formatAddress([event.d0, event.d1, event.d2, event.d3]));
    }
    this.#ports.add(event.destinationPort);
    this.#kept.push({ ...event });
    // Twice as many at most, so that leaving costs little for each.
    if (this.#kept.length >= 2 * MAX_KEPT_ATTEMPTS) this.#kept.splice(0, MAX_KEPT_ATTEMPTS);
  }
}
