import { bootTimeNs, sampleClockOffset } from "@packetwatch/bpf";
import { RingReader } from "./ring-reader.ts";
import type { Sensor } from "./open-sensor.ts";
import {
  type DropReason,
  type PublishBatch,
  type SealedBatch,
  ShardPublisher,
} from "./shard-publisher.ts";
import { SynBatcher } from "./syn-batcher.ts";
import { WallClock } from "./wall-clock.ts";

const CLOCK_SAMPLE_INTERVAL_MS = 1000;

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
  readonly #publisher: ShardPublisher;
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
      publish: options.publish,
      events: {
        onPublished: options.events.onPublished,
        onDropped: options.events.onDropped,
        onFailed: options.events.onPublishFailed,
      },
      onIdle: (shard) => this.#flush(shard),
      maxBufferedBytes: options.maxBufferedBytes,
      idPrefix: options.instance,
    });
    this.#batchers = options.sensors.map((sensor) => this.#createBatcher(sensor));
    this.#readers = options.sensors.map((sensor, index) => this.#startReader(sensor, index));
  }

  get bufferedBytes(): number {
    return this.#publisher.bufferedBytes;
  }

  get bufferedRecords(): number {
    return this.#publisher.bufferedRecords;
  }

  /** NATS is there again: what waits for its next try goes now. */
  retry(): void {
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

  #createBatcher({ interfaceName }: Sensor): SynBatcher {
    const { host, ipv6SourceBits } = this.#options;
    return new SynBatcher({
      host,
      interfaceName,
      ipv6SourceBits,
      toWallUs: (bootNs) => this.#clock.toWallUs(bootNs),
      onSealed: (shard, batch) => this.#publisher.push(shard, batch),
    });
  }

  #startReader({ ring }: Sensor, index: number): RingReader {
    const { events } = this.#options;
    const batcher = this.#batchers[index] as SynBatcher;
    let records = 0;
    return new RingReader({
      ring,
      onRecord: (data, offset, length) => {
        records++;
        if (!batcher.add(data, offset, length)) events.onBadRecord();
      },
      onTurn: () => {
        events.onRead(records);
        records = 0;
        this.#flushIdle(batcher);
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

function sampledOffsetUs(): number {
  return Number(sampleClockOffset().offsetNs) / 1000;
}

function bootUs(): number {
  return Number(bootTimeNs() / 1000n);
}
