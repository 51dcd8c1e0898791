import { parseSynBatchId } from "@packetwatch/contracts";

/** Publishers of a shard whose place is known; each start of a capture is another. The longest silent is forgotten. */
export const MAX_PUBLISHERS = 4096;

/** Where a publisher's next batch begins. */
type Place = { readonly sequence: number; readonly records: number };

export type Gap = { readonly batches: number; readonly records: number };

/**
 * What the stream discarded before it was read: gaps in the numbers that each publisher gives its batches of a shard.
 * Where reading begins is no gap, and what was discarded behind a publisher's last batch shows with its next one.
 */
export class StreamGaps {
  readonly #places = new Map<string, Place>();

  /** To be told of every batch of the shard in stream order; what is missing before it. */
  observe(messageId: string, records: number): Gap | undefined {
    const id = parseSynBatchId(messageId);
    if (id === undefined) return undefined;
    const known = this.#places.get(id.publisher);
    // Of a batch that comes twice the second changes nothing.
    if (known !== undefined && id.sequence < known.sequence) return undefined;
    this.#places.delete(id.publisher);
    this.#places.set(id.publisher, {
      sequence: id.sequence + 1,
      records: id.recordsBefore + records,
    });
    if (this.#places.size > MAX_PUBLISHERS) this.#forgetOldest();
    if (known === undefined || known.sequence === id.sequence) return undefined;
    return {
      batches: id.sequence - known.sequence,
      records: Math.max(0, id.recordsBefore - known.records),
    };
  }

  #forgetOldest(): void {
    const [oldest] = this.#places.keys();
    if (oldest !== undefined) this.#places.delete(oldest);
  }
}
