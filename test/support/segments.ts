import { concatBytes, internetChecksum, padToMultiple, viewOf, words16 } from "./bytes.ts";

/** What an IP packet carries. The IP layer fills in a checksum that covers its pseudo-header. */
export type Segment = {
  readonly protocol: number;
  readonly bytes: Uint8Array;
  /** Where the 16 bits of a checksum with pseudo-header lie. */
  readonly checksumOffset?: number;
};

/** Bits of byte 13 of the TCP header, RFC 9293 and RFC 3168. */
export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;
export const URG = 0x20;
export const ECE = 0x40;
export const CWR = 0x80;

export const PROTOCOL_TCP = 6;
const PROTOCOL_ICMP = 1;
const PROTOCOL_UDP = 17;
const PROTOCOL_ESP = 50;
const PROTOCOL_ICMPV6 = 58;
const PROTOCOL_NO_NEXT_HEADER = 59;
const PROTOCOL_SCTP = 132;

export const NO_BYTES = new Uint8Array(0);

export type TcpFields = {
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly flags?: number;
  readonly window?: number;
  /** Padded to a multiple of 4. */
  readonly options?: Uint8Array;
  readonly data?: Uint8Array;
};

/** A SYN from 40000 to 80 unless told otherwise. */
export function tcp(fields: TcpFields = {}): Segment {
  const { sourcePort = 40_000, destinationPort = 80, flags = SYN, window = 64_240 } = fields;
  const options = padToMultiple(fields.options ?? NO_BYTES, 4);
  const dataOffset = 5 + options.length / 4;
  const sequenceAndAcknowledgement = words16(0x1234, 0x5678, 0, 0);
  const checksumAndUrgent = words16(0, 0);
  const bytes = concatBytes(
    words16(sourcePort, destinationPort),
    sequenceAndAcknowledgement,
    words16((dataOffset << 12) | flags, window),
    checksumAndUrgent,
    options,
    fields.data ?? NO_BYTES,
  );
  return { protocol: PROTOCOL_TCP, bytes, checksumOffset: 16 };
}

/** What Linux puts into its SYNs: MSS, SACK permitted, timestamps, NOP, window scale. */
export const LINUX_SYN_OPTIONS: Uint8Array = concatBytes(
  Uint8Array.of(2, 4, 0x05, 0xb4),
  Uint8Array.of(4, 2),
  Uint8Array.of(8, 10, 1, 2, 3, 4, 0, 0, 0, 0),
  Uint8Array.of(1, 3, 3, 7),
);

/** A TCP Fast Open cookie, RFC 7413. */
export const FAST_OPEN_COOKIE = Uint8Array.from([34, 10, 1, 2, 3, 4, 5, 6, 7, 8]);

export type UdpFields = {
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly data?: Uint8Array;
};

export function udp(fields: UdpFields = {}): Segment {
  const { sourcePort = 40_000, destinationPort = 53, data = NO_BYTES } = fields;
  const header = words16(sourcePort, destinationPort, 8 + data.length, 0);
  return { protocol: PROTOCOL_UDP, bytes: concatBytes(header, data), checksumOffset: 6 };
}

/** An echo request. */
export function icmp(data: Uint8Array = new Uint8Array(32)): Segment {
  const bytes = concatBytes(words16(0x0800, 0, 1, 1), data);
  viewOf(bytes).setUint16(2, internetChecksum(bytes));
  return { protocol: PROTOCOL_ICMP, bytes };
}

/** An echo request. */
export function icmpv6(data: Uint8Array = new Uint8Array(32)): Segment {
  const bytes = concatBytes(words16(0x8000, 0, 1, 1), data);
  return { protocol: PROTOCOL_ICMPV6, bytes, checksumOffset: 2 };
}

/** Whatever follows is encrypted: a TCP SYN in it is nobody's business. */
export function esp(): Segment {
  return { protocol: PROTOCOL_ESP, bytes: concatBytes(words16(0, 1, 0, 1), tcp().bytes) };
}

export function sctp(): Segment {
  return { protocol: PROTOCOL_SCTP, bytes: concatBytes(words16(40_000, 80, 0, 0), tcp().bytes) };
}

/** "No next header" (RFC 8200, 4.7), with bytes behind it that look like a SYN. */
export function noNextHeader(): Segment {
  return { protocol: PROTOCOL_NO_NEXT_HEADER, bytes: tcp().bytes };
}
