import {
  type Bus,
  createSharedLogger,
  StreamReader,
  type StreamReaderOptions,
} from "@packetwatch/bus";
import type { Config } from "@packetwatch/config";
import { countRecords, replaySeconds, streamNames, synSubject } from "@packetwatch/contracts";
import { longestWindowSeconds, ShardAssignment } from "@packetwatch/detection";
import { SHARD_COUNT } from "@packetwatch/net";
import type { Logger } from "@packetwatch/runtime";
import { type Gap, StreamGaps } from "./stream-gaps.ts";

/** Batches that a shard's reader asks for ahead; each is 64 KiB at most. */
const SHARD_PREFETCH = 32;

export type ShardReadersOptions = {
  readonly bus: Bus;
  readonly config: Config<"detector">;
  readonly instance: string;
  readonly onBatch: (payload: Uint8Array) => void;
  /** The stream discarded batches before they were read. */
  readonly onGap: (gap: Gap) => void;
  readonly logger: Logger;
};

/** One reader for each shard that is this detector's. Each reads at its own pace: none waits for another. */
export class ShardReaders {
  readonly #options: ShardReadersOptions;
  readonly #assignment = new ShardAssignment(SHARD_COUNT);
  readonly #readers = new Map<number, StreamReader>();
  readonly #closing = new Set<Promise<void>>();
  /** What happens to the stream happens to all of its readers. */
  readonly #readersLogger: StreamReaderOptions["logger"];

  constructor(options: ShardReadersOptions) {
    this.#options = options;
    this.#readersLogger = createSharedLogger(options.logger);
  }

  /** Takes the shards that fall to this detector among these members, and gives up the others. */
  take(members: readonly string[]): void {
    const { instance, logger } = this.#options;
    const own = new Set(this.#assignment.assign(members).get(instance));
    const given = [...this.#readers.keys()].filter((shard) => !own.has(shard));
    const taken = [...own].filter((shard) => !this.#readers.has(shard));
    for (const shard of given) this.#giveUp(shard);
    for (const shard of taken) this.#readers.set(shard, this.#read(shard));
    const counts = { members: members.length, owned: own.size };
    logger.info({ ...counts, taken: taken.length, given: given.length }, "shards assigned");
  }

  /** Batches that wait in the stream, by shard. */
  lags(): ReadonlyMap<number, number> {
    return new Map([...this.#readers].map(([shard, { pending }]) => [shard, pending]));
  }

  /** Shards of its own whose stream can't be read at present. */
  unread(): ReadonlySet<number> {
    const unread = [...this.#readers].filter(([, { isReading }]) => !isReading);
    return new Set(unread.map(([shard]) => shard));
  }

  async close(): Promise<void> {
    for (const shard of this.#readers.keys()) this.#giveUp(shard);
    await Promise.all(this.#closing);
  }

  #giveUp(shard: number): void {
    const closing = this.#readers.get(shard)?.close();
    this.#readers.delete(shard);
    if (!closing) return;
    this.#closing.add(closing);
    void closing.finally(() => this.#closing.delete(closing));
  }

  /** The replay rebuilds the windows: what was decided before is decided again, under the same id. */
  #read(shard: number): StreamReader {
    const { bus, config, onBatch, onGap } = this.#options;
    const gaps = new StreamGaps();
    const lookBackMs = replaySeconds(longestWindowSeconds(config)) * 1000;
    return new StreamReader({
      bus,
      stream: streamNames.syn,
      filter: synSubject(shard),
      start: { kind: "since", time: () => new Date(Date.now() - lookBackMs) },
      prefetch: SHARD_PREFETCH,
      onMessage: ({ payload, messageId }) => {
        const gap = gaps.observe(messageId, countRecords(payload));
        if (gap) onGap(gap);
        onBatch(payload);
      },
      logger: this.#readersLogger,
    });
  }
}
