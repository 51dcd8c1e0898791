import assert from "node:assert/strict";
import koffi from "koffi";
import type { BpfError } from "./bpf-error.ts";
import type { BpfMap } from "./bpf-map.ts";
import { type Descriptor, duplicateDescriptor } from "./descriptor.ts";
import { libc } from "./libc.ts";
import { type RecordVisitor, RingCursor } from "./ring-cursor.ts";
import { mapMemory, type RingMapping } from "./ring-mapping.ts";
import { syscallFailure } from "./syscall-failure.ts";

/** The ring's data, and its beginning once more, so that a record that wraps is in one piece. Read-only: a write crashes. */
export interface RingViews {
  readonly bytes: Uint8Array;
  /** 16-bit words in host byte order: index is offset / 2. */
  readonly halves: Uint16Array;
  /** 32-bit words in host byte order: index is offset / 4. */
  readonly words: Uint32Array;
  readonly data: DataView;
}

/** Offsets of the data with its repetition stay 31-bit integers. */
const maxRingBytes = 1 << 30;

export interface RingBufferOptions {
  /**
   * Records that are longer may end beyond the views where they wrap: look at the length first. What is mapped of the
   * ring counts as this process's memory, so it pays to say how long its records are. Default: any.
   */
  readonly maxRecordBytes?: number;
}

interface OpenRing {
  readonly consumerPage: RingMapping;
  readonly notes: BigUint64Array;
  readonly dataPages: RingMapping;
  readonly views: RingViews;
  readonly cursor: RingCursor;
}

/**
 * The consumer of a BPF ring buffer, since Linux 5.8: records are read where the kernel wrote them, without a
 * copy or a system call. A ring has one consumer; a second one would take records from the first. Keep a
 * reference while waiting for records: a collected ring no longer calls back.
 */
export class RingBuffer {
  readonly sizeBytes: number;
  readonly #descriptor: Descriptor;
  #ring: OpenRing | undefined;
  #poll: PollHandle | undefined;

  /** Takes over the descriptor. */
  constructor(
    descriptor: Descriptor,
    sizeBytes: number,
    { maxRecordBytes = sizeBytes }: RingBufferOptions = {},
  ) {
    this.sizeBytes = sizeBytes;
    this.#descriptor = descriptor;
    this.#ring = openRing(descriptor, { sizeBytes, maxRecordBytes });
  }

  /** The same arrays for the life of the ring: take them once, before the loop. */
  get views(): RingViews {
    return this.#open().views;
  }

  /**
   * The rest of the consumer's page: 64-bit words for the consumer's own notes. The kernel reads and writes only the
   * position before them (kernel/bpf/ringbuf.c), so they live as long as the map, whoever opens it, and begin at zero.
   */
  get notes(): BigUint64Array {
    return this.#open().notes;
  }

  /** Bytes consumed since the map was made, by all its consumers, headers and padding included. */
  consumedBytes(): bigint {
    return this.#open().cursor.consumedBytes();
  }

  /**
   * Makes the consumer's position one that a consumer can have left, and says whether it wasn't: whoever has CAP_BPF
   * can write to it. What waited is lost then. Before anything is read, and only by the one that reads.
   */
  repair(): boolean {
    return this.#open().cursor.repair();
  }

  /** Bytes that wait, headers and padding included. */
  availableBytes(): number {
    return this.#open().cursor.availableBytes();
  }

  /**
   * Visits up to `maxRecords` records that wait, oldest first, and returns how many. It stops at a record that the
   * kernel is still writing. Their room is given back at the end of the call, also when the visitor throws: the
   * record that made it throw is gone then.
   */
  consume(visit: RecordVisitor, maxRecords: number): number {
    return this.#open().cursor.consume(visit, maxRecords);
  }

  /**
   * Calls back from the event loop for as long as records wait (it is level-triggered), until `pause()`. No thread
   * waits for it. Keeps the process alive. Replaces an earlier callback. An error means that waiting is over.
   */
  onReadable(callback: (error?: BpfError) => void): void {
    this.#open();
    this.pause();
    // The handle is kept in a field because koffi closes one that is garbage-collected.
    this.#poll = pollReadable(this.#descriptor.fd, { readable: true }, (status) => {
      if (status >= 0) return callback();
      this.pause();
      callback(
        syscallFailure({
          operation: "wait for records of",
          subject: this.#descriptor.subject,
          errno: -status,
        }),
      );
    });
  }

  /** Stops calling back; records gather in the ring. */
  pause(): void {
    this.#poll?.stop();
    this.#poll?.close();
    this.#poll = undefined;
  }

  /** Stops and lets go of the kernel's memory. Not from a visitor. The map stays open: it has its own owner. */
  close(): void {
    if (this.#ring === undefined) return;
    assert(
      !this.#ring.cursor.isVisiting,
      `${this.#descriptor.subject} is closed by its own visitor`,
    );
    this.pause();
    this.#ring.consumerPage.close();
    this.#ring.dataPages.close();
    this.#ring = undefined;
    this.#descriptor.close();
  }

  #open(): OpenRing {
    assert(this.#ring !== undefined, `${this.#descriptor.subject} is used after it was closed`);
    return this.#ring;
  }
}

/** Opens the consumer side of a map of type "ringbuf", with a descriptor of its own: the map may be closed. */
export function openRingBuffer(map: BpfMap, options: RingBufferOptions = {}): RingBuffer {
  assert.equal(map.type, "ringbuf", `map ${map.name} is a ring buffer`);
  assert(map.maxEntries <= maxRingBytes, `a ring buffer has at most ${maxRingBytes} bytes`);
  const descriptor = duplicateDescriptor(map.fd, `ring buffer ${map.name}`);
  try {
    return new RingBuffer(descriptor, map.maxEntries, options);
  } catch (error) {
    descriptor.close();
    throw error;
  }
}

/** The kernel's layout (kernel/bpf/ringbuf.c): consumer page, producer page, data pages and data pages again. */
function openRing(descriptor: Descriptor, { sizeBytes, maxRecordBytes }: RingSizes): OpenRing {
  const pageBytes = libc.getpagesize();
  const repeatedBytes = Math.ceil(Math.min(maxRecordBytes, sizeBytes) / pageBytes) * pageBytes;
  const dataBytes = sizeBytes + repeatedBytes;
  const consumerPage = mapMemory(descriptor, { offset: 0, length: pageBytes, access: "write" });
  const dataPages = mapDataPages(descriptor, { pageBytes, dataBytes, consumerPage });
  const cursor = new RingCursor({
    sizeBytes,
    consumerPosition: new BigUint64Array(consumerPage.buffer, 0, 1),
    producerPosition: new BigUint64Array(dataPages.buffer, 0, 1),
    headers: new Int32Array(dataPages.buffer, pageBytes, dataBytes / 4),
  });
  return {
    consumerPage,
    notes: new BigUint64Array(consumerPage.buffer, 8, pageBytes / 8 - 1),
    dataPages,
    cursor,
    views: ringViews(new DataView(dataPages.buffer, pageBytes, dataBytes)),
  };
}

type RingSizes = { readonly sizeBytes: number; readonly maxRecordBytes: number };

interface DataPages {
  readonly pageBytes: number;
  readonly dataBytes: number;
  /** Closed if the data pages can't be mapped. */
  readonly consumerPage: RingMapping;
}

/** The producer page and the data; the kernel refuses to map these for writing. */
function mapDataPages(
  descriptor: Descriptor,
  { pageBytes, dataBytes, consumerPage }: DataPages,
): RingMapping {
  try {
    return mapMemory(descriptor, {
      offset: pageBytes,
      length: pageBytes + dataBytes,
      access: "read",
    });
  } catch (error) {
    consumerPage.close();
    throw error;
  }
}

function ringViews(data: DataView<ArrayBuffer>): RingViews {
  const { buffer, byteOffset, byteLength } = data;
  return {
    bytes: new Uint8Array(buffer, byteOffset, byteLength),
    halves: new Uint16Array(buffer, byteOffset, byteLength / 2),
    words: new Uint32Array(buffer, byteOffset, byteLength / 4),
    data,
  };
}

// koffi 3.3 passes libuv's status before the events, which its type declarations leave out.
type PollHandle = ReturnType<typeof koffi.node.poll>;
type PollReadable = (
  fd: number,
  options: { readable: true },
  callback: (status: number) => void,
) => PollHandle;

const pollReadable = koffi.node.poll as unknown as PollReadable;
