import { type AddressWords, writeAddress } from "@packetwatch/net";
import * as fc from "fast-check";
import { SYN_RECORD_BYTES, SYN_RECORD_VERSION, synRecordLayout as layout } from "../kernel.v1.ts";
import type { SynEvent } from "../syn-batch.v1.ts";

/** One attempt as the kernel reports it; its time comes beside it, as capture has converted it. */
export type Attempt = {
  readonly timeUs: number;
  readonly source: AddressWords;
  readonly destination: AddressWords;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly window: number;
  readonly tcpFlags: number;
  readonly ttl: number;
  readonly flags: number;
};

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const addresses = {
  4: u32.map((word): AddressWords => [0, 0, 0xffff, word]),
  6: fc.tuple(u32, u32, u32, u32),
};

/** Any attempt of a family, at a time that all such attempts can share a batch with. */
export function attempts(family: 4 | 6): fc.Arbitrary<Attempt> {
  return fc.record({
    timeUs: fc.integer({ min: -0x3fffffff, max: 0x3fffffff }).map((us) => 1_619_623_685e6 + us),
    source: addresses[family],
    destination: addresses[family],
    sourcePort: u16,
    destinationPort: u16,
    window: u16,
    tcpFlags: u8,
    ttl: u8,
    flags: u8,
  });
}

/** struct pw_syn_record; its time is not that of the attempt, and what is unused is not zero. */
export function kernelRecord(attempt: Attempt): Uint8Array {
  const bytes = new Uint8Array(SYN_RECORD_BYTES).fill(0xee);
  const view = new DataView(bytes.buffer);
  view.setUint8(layout.version, SYN_RECORD_VERSION);
  view.setUint8(layout.flags, attempt.flags);
  view.setUint8(layout.tcp_flags, attempt.tcpFlags);
  view.setUint8(layout.ttl, attempt.ttl);
  writeAddress(attempt.source, view, layout.source);
  writeAddress(attempt.destination, view, layout.destination);
  view.setUint16(layout.source_port, attempt.sourcePort);
  view.setUint16(layout.destination_port, attempt.destinationPort);
  view.setUint16(layout.window, attempt.window);
  return bytes;
}

/** What a reader must see of an attempt. */
export function eventOf(attempt: Attempt): SynEvent {
  const [s0, s1, s2, s3] = attempt.source;
  const [d0, d1, d2, d3] = attempt.destination;
  const { source: _source, destination: _destination, ...rest } = attempt;
  return { ...rest, s0, s1, s2, s3, d0, d1, d2, d3 };
}
