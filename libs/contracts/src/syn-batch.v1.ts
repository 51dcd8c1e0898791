/**
 * SYN batch, version 1: what capture publishes on `packetwatch.v1.syn.<shard>`.
 *
 *   batch   = header record*
 *   header  = version:u8 (1)  family:u8 (4 | 6)  count:u16  header_bytes:u16
 *             ipv6_source_bits:u8  reserved:u8  base_us:u64
 *             host_bytes:u8  interface_bytes:u8  host  interface  padding to 4
 *   record4 = time:i32  source:4  destination:4  tail      (24 bytes)
 *   record6 = time:i32  source:16 destination:16 tail      (48 bytes)
 *   tail    = source_port:2 destination_port:2 window:2 tcp_flags:u8 ttl:u8
 *             flags:u8 reserved:3
 *
 * Numbers are little-endian, but addresses, ports and window are in network
 * byte order, as the kernel's record has them. base_us counts microseconds
 * since the Unix epoch; time is an offset to it, in microseconds, and may be
 * negative: records keep the order in which the kernel wrote them.
 */
import assert from "node:assert/strict";
import { ContractError } from "./contract-error.ts";
import { synRecordLayout as kernelLayout } from "./kernel.v1.ts";

export const SYN_BATCH_VERSION = 1;

/** The largest batch that is written, and the largest that is read, in bytes. */
export const MAX_SYN_BATCH_BYTES = 64 * 1024;

/** Host and interface names have 1 to this many bytes of UTF-8; longer ones are cut. */
export const MAX_SYN_BATCH_NAME_BYTES = 255;

const CONTRACT = "syn batch v1";
const FIXED_HEADER_BYTES = 18;
const RECORD4_BYTES = 24;
const RECORD6_BYTES = 48;
/** The tail's distance from the end of its record. */
const TAIL_BYTES = 12;
const MAX_TIME_OFFSET_US = 0x7fffffff;
/** Base and offset make a safe integer, as all timestamps on the bus are. */
const MAX_BASE_US = Number.MAX_SAFE_INTEGER - MAX_TIME_OFFSET_US;
const TWO_TO_32 = 2 ** 32;

/** Lenient: an interface's name can be any bytes, and attempts are worth more than it. */
const nameDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

export type SynBatchFamily = 4 | 6;

export type SynBatchHeader = {
  readonly family: SynBatchFamily;
  readonly host: string;
  readonly interfaceName: string;
  /** How many bits of an IPv6 source the shard was computed from. */
  readonly ipv6SourceBits: number;
};

/**
 * One connection attempt, as a reader fills it in. Mutable and reused: copy
 * what must outlive the next read. Address words are in reading order.
 */
export type SynEvent = {
  timeUs: number;
  s0: number;
  s1: number;
  s2: number;
  s3: number;
  d0: number;
  d1: number;
  d2: number;
  d3: number;
  sourcePort: number;
  destinationPort: number;
  window: number;
  tcpFlags: number;
  ttl: number;
  /** PW_SYN_* of bpf/packetwatch.h: see synFlags. */
  flags: number;
};

export function createSynEvent(): SynEvent {
  return {
    timeUs: 0,
    s0: 0,
    s1: 0,
    s2: 0,
    s3: 0,
    d0: 0,
    d1: 0,
    d2: 0,
    d3: 0,
    sourcePort: 0,
    destinationPort: 0,
    window: 0,
    tcpFlags: 0,
    ttl: 0,
    flags: 0,
  };
}

/** Gathers the records of one shard, family and interface in one buffer, reused after take(). */
export class SynBatchWriter {
  readonly #buffer: Uint8Array;
  readonly #view: DataView;
  readonly #headerBytes: number;
  readonly #recordBytes: number;
  readonly #capacity: number;
  #count = 0;
  #baseUs = 0;

  /** `maxBytes` bounds a batch, header included; at most MAX_SYN_BATCH_BYTES. */
  constructor(header: SynBatchHeader, maxBytes: number = MAX_SYN_BATCH_BYTES) {
    const bytes = Math.min(maxBytes, MAX_SYN_BATCH_BYTES);
    const headerPart = createHeader(header);
    this.#headerBytes = headerPart.length;
    this.#recordBytes = header.family === 4 ? RECORD4_BYTES : RECORD6_BYTES;
    this.#capacity = Math.floor((bytes - this.#headerBytes) / this.#recordBytes);
    assert(this.#capacity >= 1, `a batch of ${bytes} bytes holds no record`);
    this.#buffer = new Uint8Array(bytes);
    this.#buffer.set(headerPart);
    this.#view = new DataView(this.#buffer.buffer);
  }

  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === this.#capacity;
  }

  /**
   * Whether an event of this time fits: a batch spans 35 minutes at most, and
   * nothing is appended to a full one.
   */
  accepts(timeUs: number): boolean {
    if (this.#count === 0) return true;
    return !this.isFull && Math.abs(timeUs - this.#baseUs) <= MAX_TIME_OFFSET_US;
  }

  /**
   * Appends the kernel's record at `offset`; the caller has asked accepts().
   * `timeUs` is its time in whole microseconds since the Unix epoch.
   */
  append(timeUs: number, kernel: DataView, offset: number): void {
    if (this.#count === 0) this.#setBase(timeUs);
    const view = this.#view;
    const at = this.#headerBytes + this.#count * this.#recordBytes;
    view.setInt32(at, timeUs - this.#baseUs, true);
    if (this.#recordBytes === RECORD4_BYTES) copyIpv4(view, at + 4, kernel, offset);
    else copyIpv6(view, at + 4, kernel, offset);
    copyTail(view, at + this.#recordBytes - TAIL_BYTES, kernel, offset);
    this.#count++;
  }

  /** The batch as a copy of its own, and an empty writer again. */
  take(): Uint8Array {
    this.#view.setUint16(2, this.#count, true);
    const end = this.#headerBytes + this.#count * this.#recordBytes;
    this.#count = 0;
    return this.#buffer.slice(0, end);
  }

  #setBase(timeUs: number): void {
    this.#baseUs = timeUs;
    this.#view.setUint32(8, timeUs % TWO_TO_32, true);
    this.#view.setUint32(12, Math.floor(timeUs / TWO_TO_32), true);
  }
}

// Measured: an append with loops over the address words takes a third longer.

function copyIpv4(view: DataView, at: number, kernel: DataView, record: number): void {
  view.setUint32(at, kernel.getUint32(record + kernelLayout.source + 12, true), true);
  view.setUint32(at + 4, kernel.getUint32(record + kernelLayout.destination + 12, true), true);
}

function copyIpv6(view: DataView, at: number, kernel: DataView, record: number): void {
  const source = record + kernelLayout.source;
  view.setUint32(at, kernel.getUint32(source, true), true);
  view.setUint32(at + 4, kernel.getUint32(source + 4, true), true);
  view.setUint32(at + 8, kernel.getUint32(source + 8, true), true);
  view.setUint32(at + 12, kernel.getUint32(source + 12, true), true);
  const destination = record + kernelLayout.destination;
  view.setUint32(at + 16, kernel.getUint32(destination, true), true);
  view.setUint32(at + 20, kernel.getUint32(destination + 4, true), true);
  view.setUint32(at + 24, kernel.getUint32(destination + 8, true), true);
  view.setUint32(at + 28, kernel.getUint32(destination + 12, true), true);
}

/** Ports lie side by side in both layouts, and so do TCP flags and TTL. */
function copyTail(view: DataView, at: number, kernel: DataView, record: number): void {
  view.setUint32(at, kernel.getUint32(record + kernelLayout.source_port, true), true);
  view.setUint16(at + 4, kernel.getUint16(record + kernelLayout.window, true), true);
  view.setUint16(at + 6, kernel.getUint16(record + kernelLayout.tcp_flags, true), true);
  view.setUint32(at + 8, kernel.getUint8(record + kernelLayout.flags), true);
}

/** How many records a batch says it has, unchecked; 0 where it is too short to say. */
export function countRecords(bytes: Uint8Array): number {
  return (bytes[2] ?? 0) | ((bytes[3] ?? 0) << 8);
}

/** A batch that has been checked: every record lies within its bytes. */
export class SynBatch {
  readonly header: SynBatchHeader;
  readonly count: number;
  readonly #view: DataView;
  readonly #first: number;
  readonly #recordBytes: number;
  readonly #baseUs: number;

  /** Checks version, family and lengths before anything else is read; throws ContractError. */
  constructor(bytes: Uint8Array) {
    checkSize(bytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const family = view.getUint8(1);
    this.#view = view;
    this.#recordBytes = family === 4 ? RECORD4_BYTES : RECORD6_BYTES;
    this.count = view.getUint16(2, true);
    this.#first = view.getUint16(4, true);
    if (this.#first + this.count * this.#recordBytes !== bytes.byteLength) {
      throw new ContractError("bad_length", CONTRACT, "its length is not that of its records");
    }
    this.#baseUs = readBase(view);
    this.header = readHeader(bytes, view, this.#first);
  }

  /** Fills `event` with record `index` (0 to count - 1). No allocation. */
  read(index: number, event: SynEvent): void {
    const view = this.#view;
    const at = this.#first + index * this.#recordBytes;
    event.timeUs = this.#baseUs + view.getInt32(at, true);
    if (this.#recordBytes === RECORD4_BYTES) readIpv4(view, at + 4, event);
    else readIpv6(view, at + 4, event);
    const tail = at + this.#recordBytes - TAIL_BYTES;
    event.sourcePort = view.getUint16(tail);
    event.destinationPort = view.getUint16(tail + 2);
    event.window = view.getUint16(tail + 4);
    event.tcpFlags = view.getUint8(tail + 6);
    event.ttl = view.getUint8(tail + 7);
    event.flags = view.getUint8(tail + 8);
  }
}

function readIpv4(view: DataView, at: number, event: SynEvent): void {
  event.s0 = 0;
  event.s1 = 0;
  event.s2 = 0xffff;
  event.s3 = view.getUint32(at);
  event.d0 = 0;
  event.d1 = 0;
  event.d2 = 0xffff;
  event.d3 = view.getUint32(at + 4);
}

function readIpv6(view: DataView, at: number, event: SynEvent): void {
  event.s0 = view.getUint32(at);
  event.s1 = view.getUint32(at + 4);
  event.s2 = view.getUint32(at + 8);
  event.s3 = view.getUint32(at + 12);
  event.d0 = view.getUint32(at + 16);
  event.d1 = view.getUint32(at + 20);
  event.d2 = view.getUint32(at + 24);
  event.d3 = view.getUint32(at + 28);
}

function checkSize(bytes: Uint8Array): void {
  const size = bytes.byteLength;
  if (size < FIXED_HEADER_BYTES) {
    throw new ContractError("too_short", CONTRACT, `${size} bytes are less than a header`);
  }
  if (size > MAX_SYN_BATCH_BYTES) {
    throw new ContractError("too_long", CONTRACT, `${size} bytes, at most ${MAX_SYN_BATCH_BYTES}`);
  }
  if (bytes[0] !== SYN_BATCH_VERSION) {
    throw new ContractError("bad_version", CONTRACT, `version ${bytes[0]} is not known here`);
  }
  if (bytes[1] !== 4 && bytes[1] !== 6) {
    throw new ContractError("bad_family", CONTRACT, `family ${bytes[1]} is neither 4 nor 6`);
  }
}

function readBase(view: DataView): number {
  const baseUs = view.getUint32(12, true) * TWO_TO_32 + view.getUint32(8, true);
  if (baseUs <= MAX_BASE_US) return baseUs;
  throw new ContractError("bad_value", CONTRACT, `a base time of ${baseUs} microseconds`);
}

/** `headerBytes` has been checked against the length of all. */
function readHeader(bytes: Uint8Array, view: DataView, headerBytes: number): SynBatchHeader {
  const hostEnd = FIXED_HEADER_BYTES + view.getUint8(16);
  const interfaceEnd = hostEnd + view.getUint8(17);
  const ipv6SourceBits = view.getUint8(6);
  if (hostEnd === FIXED_HEADER_BYTES || interfaceEnd === hostEnd) {
    throw new ContractError("bad_length", CONTRACT, "its host or interface has no name");
  }
  if (headerBytes !== align4(interfaceEnd)) {
    throw new ContractError("bad_length", CONTRACT, "its header is not as long as it says");
  }
  if (ipv6SourceBits < 1 || ipv6SourceBits > 128) {
    throw new ContractError("bad_value", CONTRACT, `an IPv6 prefix of ${ipv6SourceBits} bits`);
  }
  return {
    family: view.getUint8(1) as SynBatchFamily,
    host: nameDecoder.decode(bytes.subarray(FIXED_HEADER_BYTES, hostEnd)),
    interfaceName: nameDecoder.decode(bytes.subarray(hostEnd, interfaceEnd)),
    ipv6SourceBits,
  };
}

/** All of the header but count and base time. */
function createHeader(header: SynBatchHeader): Uint8Array {
  const host = nameBytes(header.host);
  const interfaceName = nameBytes(header.interfaceName);
  const bytes = new Uint8Array(align4(FIXED_HEADER_BYTES + host.length + interfaceName.length));
  const view = new DataView(bytes.buffer);
  view.setUint8(0, SYN_BATCH_VERSION);
  view.setUint8(1, header.family);
  view.setUint16(4, bytes.length, true);
  view.setUint8(6, header.ipv6SourceBits);
  view.setUint8(16, host.length);
  view.setUint8(17, interfaceName.length);
  bytes.set(host, FIXED_HEADER_BYTES);
  bytes.set(interfaceName, FIXED_HEADER_BYTES + host.length);
  return bytes;
}

/** UTF-8 of as many whole characters as fit. */
function nameBytes(name: string): Uint8Array {
  assert(name !== "", "a host or interface has a name");
  const target = new Uint8Array(MAX_SYN_BATCH_NAME_BYTES);
  return target.subarray(0, new TextEncoder().encodeInto(name, target).written);
}

function align4(bytes: number): number {
  return (bytes + 3) & ~3;
}
