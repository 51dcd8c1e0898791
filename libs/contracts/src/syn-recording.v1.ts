/**
 * SYN recording, version 1: what `packetwatch record` writes and
 * `packetwatch replay` reads, a part of the SYN stream as a file.
 *
 *   recording = header entry*
 *   header    = magic:8 ("PWSYNREC")  version:u8 (1)  reserved:7     (16 bytes)
 *   entry     = batch_bytes:u32  shard:u8  reserved:3  stored_us:u64
 *               batch                                        (16 bytes + batch)
 *
 * Numbers are little-endian. A batch is the payload of one message as it was
 * published, unchanged, whatever its version; stored_us is when NATS stored
 * it, in microseconds since the Unix epoch. Entries keep the stream's order.
 * There is no trailer: a recording that was cut off is one up to its last
 * whole entry. batch_bytes is never 0, because zeros are what a file system
 * may leave at the end of a file after a crash.
 */
import assert from "node:assert/strict";
import { SHARD_COUNT } from "@packetwatch/net";
import { ContractError } from "./contract-error.ts";

export const SYN_RECORDING_VERSION = 1;

/** An entry's batch has 1 to this many bytes: NATS takes no larger message by default. */
export const MAX_RECORDED_BATCH_BYTES = 1024 * 1024;

const CONTRACT = "syn recording v1";
const MAGIC = "PWSYNREC";
const HEADER_BYTES = 16;
const ENTRY_HEADER_BYTES = 16;
const TWO_TO_32 = 2 ** 32;

export type SynRecordingEntry = {
  readonly shard: number;
  readonly storedUs: number;
  /** As published; nobody has looked into it. */
  readonly batch: Uint8Array;
};

/** What a recording begins with. */
export function encodeSynRecordingHeader(): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  bytes.set(new TextEncoder().encode(MAGIC));
  bytes[MAGIC.length] = SYN_RECORDING_VERSION;
  return bytes;
}

export function encodeSynRecordingEntry({ shard, storedUs, batch }: SynRecordingEntry): Uint8Array {
  assert(isRecordable(batch), `a batch of ${batch.length} bytes can't be recorded`);
  assert(isShard(shard) && isTimestamp(storedUs), `no shard ${shard} or no time ${storedUs}`);
  const bytes = new Uint8Array(ENTRY_HEADER_BYTES + batch.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, batch.length, true);
  view.setUint8(4, shard);
  view.setUint32(8, storedUs % TWO_TO_32, true);
  view.setUint32(12, Math.floor(storedUs / TWO_TO_32), true);
  bytes.set(batch, ENTRY_HEADER_BYTES);
  return bytes;
}

/** Whether a payload has a length that an entry can have. */
export function isRecordable(payload: Uint8Array): boolean {
  return isBatchLength(payload.length);
}

/**
 * How a recording ended. "damaged": where an entry should begin there was
 * none, so that nothing behind it can be found.
 */
export type SynRecordingEnd = {
  readonly kind: "whole" | "truncated" | "damaged";
  /** Bytes at the end that no entry was read from. */
  readonly unreadBytes: number;
};

export type SynRecordingHandlers = {
  /** The batch is a view of what was pushed: copy what must outlive the call. */
  readonly onEntry: (entry: SynRecordingEntry) => void;
  /** An entry whose place and length are known, and no more; the next one is read. */
  readonly onMalformed: (error: ContractError) => void;
};

/** Reads a recording that comes in pieces of any length. Holds one entry at most. */
export class SynRecordingReader {
  readonly #handlers: SynRecordingHandlers;
  /** The beginning of an entry, or of the header. */
  #held: Uint8Array = new Uint8Array(0);
  #hasHeader = false;
  #isDamaged = false;
  #lostBytes = 0;

  constructor(handlers: SynRecordingHandlers) {
    this.#handlers = handlers;
  }

  /** Takes the next piece; throws ContractError where it is no recording of this version. */
  push(piece: Uint8Array): void {
    if (this.#isDamaged) {
      this.#lostBytes += piece.length;
      return;
    }
    const bytes = joined(this.#held, piece);
    const first = this.#readHeader(bytes);
    const at = first === undefined ? 0 : this.#readEntries(bytes, first);
    this.#held = this.#isDamaged ? new Uint8Array(0) : bytes.slice(at);
    if (this.#isDamaged) this.#lostBytes = bytes.length - at;
  }

  /** Says how it ended; throws ContractError where not even a header came. */
  end(): SynRecordingEnd {
    if (!this.#hasHeader) {
      const detail = `${this.#held.length} bytes are less than a header`;
      throw new ContractError("too_short", CONTRACT, detail);
    }
    if (this.#isDamaged) return { kind: "damaged", unreadBytes: this.#lostBytes };
    const unreadBytes = this.#held.length;
    return { kind: unreadBytes === 0 ? "whole" : "truncated", unreadBytes };
  }

  /** Where the entries begin; undefined while the header isn't whole. */
  #readHeader(bytes: Uint8Array): number | undefined {
    if (this.#hasHeader) return 0;
    checkMagic(bytes);
    if (bytes.length < HEADER_BYTES) return undefined;
    const version = bytes[MAGIC.length];
    if (version !== SYN_RECORDING_VERSION) {
      throw new ContractError("bad_version", CONTRACT, `version ${version} is not known here`);
    }
    this.#hasHeader = true;
    return HEADER_BYTES;
  }

  /** Returns where the first entry begins that isn't whole. */
  #readEntries(bytes: Uint8Array, first: number): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = first;
    while (at + ENTRY_HEADER_BYTES <= bytes.length) {
      const batchBytes = view.getUint32(at, true);
      if (!isBatchLength(batchBytes)) {
        this.#isDamaged = true;
        return at;
      }
      const end = at + ENTRY_HEADER_BYTES + batchBytes;
      if (end > bytes.length) return at;
      this.#deliver(view, at, bytes.subarray(at + ENTRY_HEADER_BYTES, end));
      at = end;
    }
    return at;
  }

  #deliver(view: DataView, at: number, batch: Uint8Array): void {
    const shard = view.getUint8(at + 4);
    const storedUs = view.getUint32(at + 12, true) * TWO_TO_32 + view.getUint32(at + 8, true);
    if (isShard(shard) && isTimestamp(storedUs)) {
      this.#handlers.onEntry({ shard, storedUs, batch });
    } else {
      const detail = `an entry of shard ${shard}, stored at ${storedUs} microseconds`;
      this.#handlers.onMalformed(new ContractError("bad_value", CONTRACT, detail));
    }
  }
}

/** As much of it as is there. */
function checkMagic(bytes: Uint8Array): void {
  const start = String.fromCharCode(...bytes.subarray(0, MAGIC.length));
  if (MAGIC.startsWith(start)) return;
  throw new ContractError("bad_value", CONTRACT, `it does not begin with ${MAGIC}`);
}

function isBatchLength(bytes: number): boolean {
  return bytes >= 1 && bytes <= MAX_RECORDED_BATCH_BYTES;
}

function isShard(shard: number): boolean {
  return Number.isInteger(shard) && shard >= 0 && shard < SHARD_COUNT;
}

function isTimestamp(us: number): boolean {
  return Number.isSafeInteger(us) && us >= 0;
}

function joined(head: Uint8Array, tail: Uint8Array): Uint8Array {
  if (head.length === 0) return tail;
  const bytes = new Uint8Array(head.length + tail.length);
  bytes.set(head);
  bytes.set(tail, head.length);
  return bytes;
}
