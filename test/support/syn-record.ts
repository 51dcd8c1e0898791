import type { RingBuffer } from "@packetwatch/bpf";
import { synFlags, synRecordLayout as layout } from "@packetwatch/contracts";
import { formatAddress, readAddress } from "@packetwatch/net";
import {
  IPV4_DESTINATION,
  IPV4_SOURCE,
  IPV6_DESTINATION,
  IPV6_SOURCE,
  TEST_TTL,
} from "./packets.ts";
import { SYN } from "./segments.ts";

export type SynFlagName = keyof typeof synFlags;

/** struct pw_syn_record, readable. */
export type SynRecord = {
  readonly version: number;
  readonly flags: readonly SynFlagName[];
  readonly tcpFlags: number;
  readonly ttl: number;
  readonly ifindex: number;
  readonly timestampNs: bigint;
  /** As text: dotted only where the 16 bytes are the IPv4-mapped form. */
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly window: number;
  readonly reserved: number;
};

export type TimelessSynRecord = Omit<SynRecord, "timestampNs">;

export function decodeSynRecord(record: DataView): SynRecord {
  return {
    version: record.getUint8(layout.version),
    flags: flagNames(record.getUint8(layout.flags)),
    tcpFlags: record.getUint8(layout.tcp_flags),
    ttl: record.getUint8(layout.ttl),
    ifindex: record.getUint32(layout.ifindex, true),
    timestampNs: record.getBigUint64(layout.timestamp_ns, true),
    source: formatAddress(readAddress(record, layout.source)),
    destination: formatAddress(readAddress(record, layout.destination)),
    sourcePort: record.getUint16(layout.source_port),
    destinationPort: record.getUint16(layout.destination_port),
    window: record.getUint16(layout.window),
    reserved: record.getUint16(layout.reserved),
  };
}

/** Takes what waits in the ring, up to `maxRecords`. */
export function readSynRecords(
  ring: RingBuffer,
  maxRecords: number = Number.MAX_SAFE_INTEGER,
): readonly SynRecord[] {
  const records: SynRecord[] = [];
  const { data } = ring.views;
  ring.consume((offset, length) => {
    records.push(decodeSynRecord(new DataView(data.buffer, data.byteOffset + offset, length)));
  }, maxRecords);
  return records;
}

/** What an IPv4 SYN of the packet builder's defaults is reported as, but its time. */
export const ipv4SynRecord: TimelessSynRecord = {
  version: 1,
  flags: [],
  tcpFlags: SYN,
  ttl: TEST_TTL,
  ifindex: 1,
  source: IPV4_SOURCE,
  destination: IPV4_DESTINATION,
  sourcePort: 40_000,
  destinationPort: 80,
  window: 64_240,
  reserved: 0,
};

/** The same of an IPv6 SYN. */
export const ipv6SynRecord: TimelessSynRecord = {
  ...ipv4SynRecord,
  source: IPV6_SOURCE,
  destination: IPV6_DESTINATION,
};

function flagNames(flags: number): SynFlagName[] {
  const names = Object.keys(synFlags) as SynFlagName[];
  const known = names.reduce((bits, name) => bits | synFlags[name], 0);
  if ((flags & ~known) !== 0) throw new Error(`unknown flag in 0x${flags.toString(16)}`);
  return names.filter((name) => (flags & synFlags[name]) !== 0);
}
