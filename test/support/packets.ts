/**
 * Builds the packets of the kernel tests: a segment in an IP datagram in an
 * Ethernet frame, every length and checksum right unless a test asks for a
 * wrong one. Addresses are of the documentation ranges.
 */
import { ADDRESS_BYTES, parseAddress, writeAddress } from "@packetwatch/net";
import { concatBytes, internetChecksum, padToMultiple, viewOf, words16 } from "./bytes.ts";
import { NO_BYTES, type Segment } from "./segments.ts";

export const IPV4_SOURCE = "192.0.2.1";
export const IPV4_DESTINATION = "198.51.100.2";
export const IPV6_SOURCE = "2001:db8:0:1::1";
export const IPV6_DESTINATION = "2001:db8:ffff::2";

/** A TTL or hop limit that no default has. */
export const TEST_TTL = 57;

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_8021Q = 0x8100;
export const ETHERTYPE_IPV6 = 0x86dd;
export const ETHERTYPE_8021AD = 0x88a8;

export const ETHERNET_HEADER_BYTES = 14;
/** The shortest frame, without its frame check sequence. */
export const ETHERNET_MINIMUM_BYTES = 60;

/** What an Ethernet frame carries. */
export type Datagram = { readonly etherType: number; readonly bytes: Uint8Array };

export type Ipv4Fields = {
  readonly source?: string;
  readonly destination?: string;
  readonly ttl?: number;
  /** Padded to a multiple of 4. */
  readonly options?: Uint8Array;
  /** In bytes, a multiple of 8. */
  readonly fragmentOffset?: number;
  readonly moreFragments?: "yes" | "no";
  /** Lies, for tests of broken packets. */
  readonly version?: number;
  readonly headerWords?: number;
  readonly totalLength?: number;
};

export function ipv4(segment: Segment, fields: Ipv4Fields = {}): Datagram {
  const options = padToMultiple(fields.options ?? NO_BYTES, 4, IPV4_OPTION_NOP);
  const headerBytes = 20 + options.length;
  const { version = 4, headerWords = headerBytes / 4, ttl = TEST_TTL } = fields;
  const addresses = ipv4Addresses(fields);
  const payload = withChecksum(segment, addresses);
  const { totalLength = headerBytes + payload.length } = fields;
  const header = concatBytes(
    words16((version << 12) | (headerWords << 8), totalLength),
    words16(0x4242, ipv4FragmentField(fields)),
    words16((ttl << 8) | segment.protocol, 0),
    addresses,
    options,
  );
  viewOf(header).setUint16(10, internetChecksum(header));
  return { etherType: ETHERTYPE_IPV4, bytes: concatBytes(header, payload) };
}

/** Cuts a segment into fragments: the first of `firstBytes` bytes, the second of the rest. */
export function ipv4Fragments(
  segment: Segment,
  firstBytes: number,
  fields: Ipv4Fields = {},
): readonly [Datagram, Datagram] {
  const whole = withChecksum(segment, ipv4Addresses(fields));
  const piece = (bytes: Uint8Array) => ({ protocol: segment.protocol, bytes });
  return [
    ipv4(piece(whole.subarray(0, firstBytes)), { ...fields, moreFragments: "yes" }),
    ipv4(piece(whole.subarray(firstBytes)), { ...fields, fragmentOffset: firstBytes }),
  ];
}

const IPV4_OPTION_NOP = 1;

/** `bytes` of IPv4 options: NOPs, which every stack accepts. */
export function ipv4Nops(bytes: number): Uint8Array {
  return new Uint8Array(bytes).fill(IPV4_OPTION_NOP);
}

/** An empty record-route option, which fills all of the 40 bytes that options may take. */
export const IPV4_RECORD_ROUTE = Uint8Array.from([7, 39, 4, ...new Uint8Array(36)]);

function ipv4FragmentField(fields: Ipv4Fields): number {
  const more = fields.moreFragments === "yes" ? 0x2000 : 0;
  return more | ((fields.fragmentOffset ?? 0) / 8);
}

function ipv4Addresses(fields: Ipv4Fields): Uint8Array {
  return concatBytes(
    addressBytes(fields.source ?? IPV4_SOURCE).subarray(12),
    addressBytes(fields.destination ?? IPV4_DESTINATION).subarray(12),
  );
}

export type Ipv6Fields = {
  readonly source?: string;
  readonly destination?: string;
  readonly hopLimit?: number;
  /** In the order of the packet, between the IPv6 header and the segment. */
  readonly extensions?: readonly Extension[];
  /** Lies, for tests of broken packets. */
  readonly version?: number;
  readonly payloadLength?: number;
};

export function ipv6(segment: Segment, fields: Ipv6Fields = {}): Datagram {
  const { version = 6, hopLimit = TEST_TTL, extensions = [] } = fields;
  const addresses = ipv6Addresses(fields);
  const chain = extensionChain(extensions, segment.protocol);
  const payload = concatBytes(chain, withChecksum(segment, addresses));
  const firstType = extensions[0]?.type ?? segment.protocol;
  const { payloadLength = payload.length } = fields;
  const start = words16(version << 12, 0, payloadLength, (firstType << 8) | hopLimit);
  return { etherType: ETHERTYPE_IPV6, bytes: concatBytes(start, addresses, payload) };
}

/** Cuts a segment into fragments, each with a Fragment header behind `extensions`. */
export function ipv6Fragments(
  segment: Segment,
  firstBytes: number,
  fields: Ipv6Fields = {},
): readonly [Datagram, Datagram] {
  const whole = withChecksum(segment, ipv6Addresses(fields));
  const piece = (bytes: Uint8Array) => ({ protocol: segment.protocol, bytes });
  const behind = (header: Extension) => [...(fields.extensions ?? []), header];
  return [
    ipv6(piece(whole.subarray(0, firstBytes)), {
      ...fields,
      extensions: behind(fragmentHeader({ more: "yes" })),
    }),
    ipv6(piece(whole.subarray(firstBytes)), {
      ...fields,
      extensions: behind(fragmentHeader({ offset: firstBytes })),
    }),
  ];
}

function ipv6Addresses(fields: Ipv6Fields): Uint8Array {
  return concatBytes(
    addressBytes(fields.source ?? IPV6_SOURCE),
    addressBytes(fields.destination ?? IPV6_DESTINATION),
  );
}

/** An IPv6 extension header; its first byte, the next header, is filled in by the chain. */
export type Extension = { readonly type: number; readonly bytes: Uint8Array };

/** Headers whose length counts 8-byte units beyond the first (RFC 8200, 4.3 ff.). */
function extension(type: number, extraUnits: number): Extension {
  const bytes = new Uint8Array(8 * (extraUnits + 1));
  bytes[1] = extraUnits;
  return { type, bytes };
}

/** Hop-by-hop and destination options: one PadN option that fills the header. */
function optionsExtension(type: number, extraUnits: number): Extension {
  const { bytes } = extension(type, extraUnits);
  const padN = 1;
  // One PadN holds 257 bytes at most; what lies behind it is Pad1.
  bytes.set([padN, Math.min(bytes.length - 4, 255)], 2);
  return { type, bytes };
}

export const hopByHop = (extraUnits = 0): Extension => optionsExtension(0, extraUnits);
export const routing = (extraUnits = 0): Extension => extension(43, extraUnits);
export const destinationOptions = (extraUnits = 0): Extension => optionsExtension(60, extraUnits);
export const mobility = (extraUnits = 0): Extension => extension(135, extraUnits);
export const hostIdentity = (extraUnits = 0): Extension => extension(139, extraUnits);
export const shim6 = (extraUnits = 0): Extension => extension(140, extraUnits);

/** The Authentication header's length counts 4-byte words, less 2 (RFC 4302, 2.2). */
export function authentication(icvBytes = 12): Extension {
  const bytes = new Uint8Array(12 + icvBytes);
  bytes[1] = bytes.length / 4 - 2;
  return { type: 51, bytes };
}

export type FragmentFields = {
  /** In bytes, a multiple of 8. */
  readonly offset?: number;
  readonly more?: "yes" | "no";
  /** The second byte, which receivers must ignore. */
  readonly reserved?: number;
};

/** Without fields, an atomic fragment (RFC 6946): the whole packet. */
export function fragmentHeader(fields: FragmentFields = {}): Extension {
  const { offset = 0, more = "no", reserved = 0 } = fields;
  const bytes = words16(reserved, offset | (more === "yes" ? 1 : 0), 0x4242, 0x4242);
  return { type: 44, bytes };
}

function extensionChain(extensions: readonly Extension[], protocol: number): Uint8Array {
  const linked = extensions.map(({ bytes }, index) => {
    const copy = bytes.slice();
    copy[0] = extensions[index + 1]?.type ?? protocol;
    return copy;
  });
  return concatBytes(...linked);
}

/** An ARP request for the IPv4 destination (RFC 826). */
export function arp(): Datagram {
  const [source, destination] = [IPV4_SOURCE, IPV4_DESTINATION].map((text) =>
    addressBytes(text).subarray(12),
  ) as [Uint8Array, Uint8Array];
  const bytes = concatBytes(
    words16(1, ETHERTYPE_IPV4, 0x0604, 1),
    SOURCE_MAC,
    source,
    new Uint8Array(6),
    destination,
  );
  return { etherType: ETHERTYPE_ARP, bytes };
}

/** Any other EtherType, in front of what would be an IPv4 SYN. */
export function withEtherType(etherType: number, datagram: Datagram): Datagram {
  return { etherType, bytes: datagram.bytes };
}

export type EthernetFields = {
  /** The EtherTypes of VLAN tags, outermost first. */
  readonly tags?: readonly number[];
  /** Pads up to this many bytes, as a network card does. */
  readonly minimumBytes?: number;
  readonly padByte?: number;
  readonly destinationMac?: Uint8Array;
};

const SOURCE_MAC = Uint8Array.from([0x02, 0, 0, 0, 0, 0x01]);
const DESTINATION_MAC = Uint8Array.from([0x02, 0, 0, 0, 0, 0x02]);
const VLAN_TAG_CONTROL = 0x2064; // priority 1, VLAN 100

export function ethernet(datagram: Datagram, fields: EthernetFields = {}): Uint8Array {
  const { tags = [], minimumBytes = 0, padByte = 0 } = fields;
  const frame = concatBytes(
    fields.destinationMac ?? DESTINATION_MAC,
    SOURCE_MAC,
    ...tags.map((tag) => words16(tag, VLAN_TAG_CONTROL)),
    words16(datagram.etherType),
    datagram.bytes,
  );
  const missing = Math.max(0, minimumBytes - frame.length);
  return concatBytes(frame, new Uint8Array(missing).fill(padByte));
}

function addressBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(ADDRESS_BYTES);
  writeAddress(parseAddress(text), viewOf(bytes), 0);
  return bytes;
}

/** Fills in the checksum over the pseudo-header of RFC 9293, 3.1, and RFC 8200, 8.1. */
function withChecksum(segment: Segment, addresses: Uint8Array): Uint8Array {
  const { bytes, checksumOffset, protocol } = segment;
  if (checksumOffset === undefined) return bytes;
  const sealed = bytes.slice();
  const view = viewOf(sealed);
  view.setUint16(checksumOffset, 0);
  const pseudoHeader = concatBytes(addresses, words16(0, bytes.length, 0, protocol));
  const checksum = internetChecksum(concatBytes(pseudoHeader, sealed));
  // A UDP checksum of 0 would say that there is none (RFC 768); for the others both mean the same.
  view.setUint16(checksumOffset, checksum === 0 ? 0xffff : checksum);
  return sealed;
}
