import { bootTimeNs, sampleClockOffset } from "@packetwatch/bpf";
import { SYN_RING_BYTES } from "@packetwatch/contracts";
import { SHARD_COUNT } from "@packetwatch/net";
import type { RingLedger } from "./ring-ledger.ts";
import { RingReader } from "./ring-reader.ts";
import type { Sensor } from "./open-sensor.ts";
import {
  type DropReason,
  type PublishBatch,
  type SealedBatch,
  ShardPublisher,
} from "./shard-publisher.ts";
import { MAX_BATCH_BYTES, SynBatcher } from "./syn-batcher.ts";
import { TurnPace } from "./turn-pace.ts";
import { WallClock } from "./wall-clock.ts";

const CLOCK_SAMPLE_INTERVAL_MS = 1000;

/** One batch per shard is in flight, which can't be dropped: together a quarter of the buffer at most. */
const BATCHES_PER_BUFFER = 4 * SHARD_COUNT;

/** Five milliseconds' work: a turn that ends sooner has emptied the ring. */
const MAX_RECORDS_PER_TURN = 16_384;
/** What is read in one turn takes a quarter of the buffer at most, because only then it is seen how full that is. */
const TURNS_PER_BUFFER = 4;
/** At a million attempts a second, a rest fills an eighth of the ring at most. */
const RESTED_RECORDS_PER_MS = 1000;
const RESTS_PER_RING = 8;

/** What is counted on the way from the ring to the stream. */
export type PipelineEvents = {
  readonly onRead: (records: number) => void;
  readonly onBadRecord: () => void;
  readonly onPublished: (batch: SealedBatch) => void;
  readonly onDropped: (reason: DropReason, records: number) => void;
  readonly onPublishFailed: (error: unknown) => void;
  /** The pipeline can't go on. */
  readonly onError: (error: unknown) => void;
};

export type CapturePipelineOptions = {
  readonly sensors: readonly Sensor[];
  readonly host: string;
  readonly instance: string;
  readonly ipv6SourceBits: number;
  readonly maxBufferedBytes: number;
  readonly drainTimeoutMs: number;
  readonly publish: PublishBatch;
  readonly events: PipelineEvents;
};

/** From the ring buffers to the bus: read, sort by shard, publish in groups. */
export class CapturePipeline {
  readonly #options: CapturePipelineOptions;
  readonly #clock: WallClock;
  readonly #timer: NodeJS.Timeout;
  readonly #pace = new TurnPace();
  readonly #publisher: ShardPublisher;
  readonly #ledgers: ReadonlyMap<string, RingLedger>;
  readonly #batchers: readonly SynBatcher[];
  readonly #readers: readonly RingReader[];

  constructor(options: CapturePipelineOptions) {
    this.#options = options;
    this.#clock = new WallClock(sampledOffsetUs(), bootUs());
    this.#timer = setInterval(
      () => this.#clock.adjust(sampledOffsetUs(), bootUs()),
      CLOCK_SAMPLE_INTERVAL_MS,
    );
    this.#publisher = new ShardPublisher({
      publish: (shard, batch, id) => {
        this.#pace.countMessage(performance.now());
        return options.publish(shard, batch, id);
      },
      events: {
        onPublished: (batch) => this.#account(batch, "published"),
        onDropped: (reason, batch) => this.#account(batch, reason),
        onFailed: (error) => this.#hold(error),
      },
      onIdle: (shard) => this.#flush(shard),
      maxBufferedBytes: options.maxBufferedBytes,
      idPrefix: options.instance,
    });
    this.#ledgers = new Map(
      options.sensors.map(({ interfaceName, ledger }) => [interfaceName, ledger]),
    );
    this.#batchers = options.sensors.map((sensor) => this.#createBatcher(sensor));
    this.#readers = options.sensors.map((sensor, index) => this.#startReader(sensor, index));
  }

  get bufferedBytes(): number {
    return this.#publisher.bufferedBytes;
  }

  get bufferedRecords(): number {
    return this.#publisher.bufferedRecords;
  }

  /** NATS is there: reading begins or goes on, and what waits for its next try goes now. */
  retry(): void {
    for (const reader of this.#readers) reader.release();
    this.#publisher.retry();
  }

  /** Stops reading; what was read is published, or dropped and counted when the drain timeout is over. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const reader of this.#readers) reader.close();
    for (const batcher of this.#batchers) {
      for (const shard of batcher.gathering) batcher.flush(shard);
    }
    await this.#publisher.close(this.#options.drainTimeoutMs);
  }

  /** Every batch comes by here once: for the ledger, which outlives this process, and for its counters. */
  #account(batch: SealedBatch, outcome: "published" | DropReason): void {
    const { events } = this.#options;
    this.#ledgers.get(batch.interfaceName)?.add(outcome, batch.records);
    if (outcome !== "published") return events.onDropped(outcome, batch.records);
    events.onPublished(batch);
    if (this.#hasRoom()) for (const reader of this.#readers) reader.release();
  }

  /** What the buffer has no room for waits in the ring: it is dropped only when that is half full too. */
  #hasRoom(): boolean {
    return this.#publisher.bufferedBytes <= this.#options.maxBufferedBytes / 2;
  }

  /** A batch that failed is tried until it is stored; then reading goes on. */
  #hold(error: unknown): void {
    for (const reader of this.#readers) reader.hold();
    this.#options.events.onPublishFailed(error);
  }

  #createBatcher({ interfaceName }: Sensor): SynBatcher {
    const { host, ipv6SourceBits, maxBufferedBytes } = this.#options;
    return new SynBatcher({
      host,
      interfaceName,
      ipv6SourceBits,
      batchBytes: Math.min(MAX_BATCH_BYTES, Math.floor(maxBufferedBytes / BATCHES_PER_BUFFER)),
      toWallUs: (bootNs) => this.#clock.toWallUs(bootNs),
      onSealed: (shard, batch) => this.#publisher.push(shard, batch),
    });
  }

  #startReader({ ring, ledger }: Sensor, index: number): RingReader {
    const { events } = this.#options;
    const batcher = this.#batchers[index] as SynBatcher;
    const longestMs = longestRestMs(ring.sizeBytes);
    let records = 0;
    return new RingReader({
      ring,
      recordsPerTurn: recordsPerTurn(this.#options.maxBufferedBytes),
      restMs: () => Math.min(this.#pace.restMs(performance.now()), longestMs),
      onRecord: (data, offset, length) => {
        records++;
        if (batcher.add(data, offset, length)) return;
        ledger.add("bad_record", 1);
        events.onBadRecord();
      },
      onTurn: () => {
        events.onRead(records);
        this.#pace.countTurn(performance.now(), records);
        records = 0;
        this.#flushIdle(batcher);
        if (!this.#hasRoom()) this.#readers[index]?.hold();
      },
      onError: events.onError,
    });
  }

  /** Shards with nothing in flight send at once; the others send when their acknowledgement comes. */
  #flushIdle(batcher: SynBatcher): void {
    for (const shard of batcher.gathering) {
      if (this.#publisher.isIdle(shard)) batcher.flush(shard);
    }
  }

  #flush(shard: number): void {
    for (const batcher of this.#batchers) batcher.flush(shard);
  }
}

/** In a batch, a record takes less than in the ring. */
function recordsPerTurn(maxBufferedBytes: number): number {
  const records = Math.floor(maxBufferedBytes / TURNS_PER_BUFFER / SYN_RING_BYTES);
  return Math.min(MAX_RECORDS_PER_TURN, records);
}

function longestRestMs(ringBytes: number): number {
  return Math.floor(ringBytes / RESTS_PER_RING / (RESTED_RECORDS_PER_MS * SYN_RING_BYTES));
}

function sampledOffsetUs(): number {
  return Number(sampleClockOffset().offsetNs) / 1000;
}

function bootUs(): number {
  return Number(bootTimeNs() / 1000n);
}
