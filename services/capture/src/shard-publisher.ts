import { formatSynBatchId } from "@packetwatch/contracts";
import { SHARD_COUNT } from "@packetwatch/net";

/** A batch on its way. */
export type SealedBatch = {
  /** The interface that all its records come from. */
  readonly interfaceName: string;
  readonly payload: Uint8Array;
  readonly records: number;
};

/** What the publisher asks of the bus: resolves when the batch is stored. */
export type PublishBatch = (shard: number, batch: SealedBatch, id: string) => Promise<void>;

export type DropReason = "buffer_full" | "shutdown";

/** Called for each change that is counted. */
export type PublisherEvents = {
  readonly onPublished: (batch: SealedBatch) => void;
  readonly onDropped: (reason: DropReason, batch: SealedBatch) => void;
  readonly onFailed: (error: unknown) => void;
};

export type ShardPublisherOptions = {
  readonly publish: PublishBatch;
  readonly events: PublisherEvents;
  /** Called when a shard has nothing left to send: what was gathered for it can be pushed now. */
  readonly onIdle: (shard: number) => void;
  /** Payload bytes that may wait; beyond that the longest queue loses its oldest batch. */
  readonly maxBufferedBytes: number;
  /** Distinguishes this process's batches from those of any other. */
  readonly idPrefix: string;
};

const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 1000;
const CLOSE_POLL_MS = 5;

type Shard = {
  /** Oldest first; while publishing, the first is the one in flight. */
  readonly waiting: SealedBatch[];
  isPublishing: boolean;
  /** Batches that were given an id, and the records in them: see syn-batch-id.v1.ts. */
  sequence: number;
  records: number;
};

/**
 * Group commit per shard: one batch in flight, so that order is kept, and what
 * comes meanwhile goes with the next. A batch is tried until it is stored:
 * its id makes the server drop the copy of one whose acknowledgement was lost.
 */
export class ShardPublisher {
  readonly #options: ShardPublisherOptions;
  readonly #shards: readonly Shard[];
  #bufferedBytes = 0;
  #bufferedRecords = 0;
  #isClosed = false;
  readonly #waits = new Set<() => void>();

  constructor(options: ShardPublisherOptions) {
    this.#options = options;
    this.#shards = Array.from({ length: SHARD_COUNT }, () => ({
      waiting: [],
      isPublishing: false,
      sequence: 0,
      records: 0,
    }));
  }

  /** Payload bytes and records that wait or are in flight. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  get bufferedRecords(): number {
    return this.#bufferedRecords;
  }

  /** Whether the shard has nothing in flight: what is gathered for it can go now. */
  isIdle(shard: number): boolean {
    return !this.#shard(shard).isPublishing;
  }

  /** Takes a batch over; it goes as soon as those before it are stored. */
  push(shard: number, batch: SealedBatch): void {
    this.#bufferedBytes += batch.payload.byteLength;
    this.#bufferedRecords += batch.records;
    this.#shard(shard).waiting.push(batch);
    this.#dropBeyondLimit();
    if (this.isIdle(shard)) void this.#publishAll(shard);
  }

  /** Ends the waits between tries: NATS is back. */
  retry(): void {
    for (const wake of this.#waits) wake();
  }

  /** Waits until everything is stored, at most `timeoutMs`; what is not is dropped, counted. */
  async close(timeoutMs: number): Promise<void> {
    this.retry();
    const deadline = Date.now() + timeoutMs;
    while (this.#bufferedRecords > 0 && Date.now() < deadline) await delay(CLOSE_POLL_MS);
    this.#isClosed = true;
    for (const shard of this.#shards) this.#drop("shutdown", shard.waiting.splice(0));
    this.retry();
  }

  #shard(index: number): Shard {
    const shard = this.#shards[index];
    if (!shard) throw new RangeError(`there is no shard ${index}`);
    return shard;
  }

  async #publishAll(index: number): Promise<void> {
    const shard = this.#shard(index);
    shard.isPublishing = true;
    for (let batch = shard.waiting[0]; batch; batch = shard.waiting[0]) {
      if (!(await this.#publishUntilStored(index, batch))) return;
      shard.waiting.shift();
      this.#forget(batch);
      this.#options.events.onPublished(batch);
      if (shard.waiting.length === 0) this.#options.onIdle(index);
    }
    shard.isPublishing = false;
  }

  /** False when the publisher was closed first. */
  async #publishUntilStored(index: number, batch: SealedBatch): Promise<boolean> {
    const id = this.#nextId(index, batch);
    let waitMs = RETRY_MIN_MS;
    while (!this.#isClosed) {
      try {
        await this.#options.publish(index, batch, id);
        return !this.#isClosed;
      } catch (error) {
        this.#options.events.onFailed(error);
        await this.#waitForRetry(waitMs);
        waitMs = Math.min(waitMs * 2, RETRY_MAX_MS);
      }
    }
    return false;
  }

  /** Only what is sent gets one: what is dropped before is no gap, but counted by its own reason. */
  #nextId(index: number, { records }: SealedBatch): string {
    const shard = this.#shard(index);
    const recordsBefore = shard.records;
    shard.records += records;
    const publisher = this.#options.idPrefix;
    return formatSynBatchId({ publisher, shard: index, sequence: shard.sequence++, recordsBefore });
  }

  #forget(batch: SealedBatch): void {
    this.#bufferedBytes -= batch.payload.byteLength;
    this.#bufferedRecords -= batch.records;
  }

  #dropBeyondLimit(): void {
    while (this.#bufferedBytes > this.#options.maxBufferedBytes) {
      const longest = this.#shards.reduce((a, b) => (b.waiting.length > a.waiting.length ? b : a));
      // The one in flight may be stored already; dropping it would count it twice.
      const oldest = longest.waiting.splice(longest.isPublishing ? 1 : 0, 1);
      if (oldest.length === 0) return;
      this.#drop("buffer_full", oldest);
    }
  }

  #drop(reason: DropReason, batches: readonly SealedBatch[]): void {
    for (const batch of batches) {
      this.#forget(batch);
      this.#options.events.onDropped(reason, batch);
    }
  }

  #waitForRetry(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waits.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, waitMs);
      this.#waits.add(wake);
    });
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
