import {
  SYN_RECORD_BYTES,
  SYN_RECORD_VERSION,
  SynBatchWriter,
  synRecordLayout,
} from "@packetwatch/contracts";
import {
  IPV4_MAPPED_WORD,
  isIpv4Words,
  SHARD_COUNT,
  shardOf,
  sourceMaskWords,
} from "@packetwatch/net";
import type { SealedBatch } from "./shard-publisher.ts";

/** Batches are no larger: NATS stores smaller messages with less overhead than it sends larger ones. */
export const MAX_BATCH_BYTES = 32 * 1024;

const { source, timestamp_ns: timestampNs, version } = synRecordLayout;
const TWO_TO_32 = 2 ** 32;

export type SynBatcherOptions = {
  readonly host: string;
  readonly interfaceName: string;
  readonly ipv6SourceBits: number;
  /** Batches close at this size. */
  readonly batchBytes: number;
  readonly toWallUs: (bootNs: number) => number;
  /** Takes a batch that is full, or that a flush closes. */
  readonly onSealed: (shard: number, batch: SealedBatch) => void;
};

/** Sorts one interface's records into a batch per shard and family. */
export class SynBatcher {
  readonly #options: SynBatcherOptions;
  readonly #mask: readonly [number, number, number, number];
  /** By shard, IPv4 first, then IPv6; made when first needed. */
  readonly #writers: (SynBatchWriter | undefined)[];
  readonly #gathering = new Set<number>();

  constructor(options: SynBatcherOptions) {
    this.#options = options;
    this.#mask = sourceMaskWords(options.ipv6SourceBits);
    this.#writers = Array.from({ length: SHARD_COUNT * 2 });
  }

  /** Shards that have gathered something. */
  get gathering(): ReadonlySet<number> {
    return this.#gathering;
  }

  /** Adds the kernel record at `offset`; false where it is none that this version knows. */
  add(kernel: DataView, offset: number, length: number): boolean {
    if (length !== SYN_RECORD_BYTES) return false;
    if (kernel.getUint8(offset + version) !== SYN_RECORD_VERSION) return false;
    const timeUs = this.#options.toWallUs(
      kernel.getUint32(offset + timestampNs + 4, true) * TWO_TO_32 +
        kernel.getUint32(offset + timestampNs, true),
    );
    const isIpv4 = isMapped(kernel, offset + source);
    const shard = isIpv4 ? ipv4Shard(kernel, offset) : this.#ipv6Shard(kernel, offset);
    const writer = this.#writer(shard, isIpv4);
    if (!writer.accepts(timeUs)) this.#seal(shard, writer);
    writer.append(timeUs, kernel, offset);
    this.#gathering.add(shard);
    return true;
  }

  /** Closes what the shard has gathered. */
  flush(shard: number): void {
    if (!this.#gathering.delete(shard)) return;
    for (const writer of [this.#writers[shard * 2], this.#writers[shard * 2 + 1]]) {
      if (writer && writer.count > 0) this.#seal(shard, writer);
    }
  }

  #seal(shard: number, writer: SynBatchWriter): void {
    const { interfaceName } = this.#options;
    const records = writer.count;
    this.#options.onSealed(shard, { interfaceName, payload: writer.take(), records });
  }

  #writer(shard: number, isIpv4: boolean): SynBatchWriter {
    const index = shard * 2 + (isIpv4 ? 0 : 1);
    const { host, interfaceName, ipv6SourceBits, batchBytes } = this.#options;
    return (this.#writers[index] ??= new SynBatchWriter(
      { family: isIpv4 ? 4 : 6, host, interfaceName, ipv6SourceBits },
      batchBytes,
    ));
  }

  #ipv6Shard(kernel: DataView, offset: number): number {
    const mask = this.#mask;
    const at = offset + source;
    return shardOf(
      kernel.getUint32(at) & mask[0],
      kernel.getUint32(at + 4) & mask[1],
      kernel.getUint32(at + 8) & mask[2],
      kernel.getUint32(at + 12) & mask[3],
    );
  }
}

function isMapped(kernel: DataView, at: number): boolean {
  return isIpv4Words(kernel.getUint32(at), kernel.getUint32(at + 4), kernel.getUint32(at + 8));
}

function ipv4Shard(kernel: DataView, offset: number): number {
  return shardOf(0, 0, IPV4_MAPPED_WORD, kernel.getUint32(offset + source + 12));
}
