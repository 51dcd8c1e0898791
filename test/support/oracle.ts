/**
 * What the XDP program should see in a frame, written from the RFCs and
 * packetwatch.h and not from the C: a slow, plain parser to hold the program
 * against. It describes; it judges no block and no allow list.
 */
import { type UnparsedReason } from "@packetwatch/contracts";
import { ACK, PROTOCOL_TCP, SYN } from "./segments.ts";
import { concatBytes, viewOf } from "./bytes.ts";
import { ETHERTYPE_8021AD, ETHERTYPE_8021Q, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from "./packets.ts";

export type SeenSyn = {
  readonly kind: "syn";
  readonly family: 4 | 6;
  readonly ttl: number;
  /** 16 bytes each, IPv4 in its mapped form. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly isTagged: boolean;
  readonly isFragment: boolean;
  /** Undefined where they lie in a later fragment. */
  readonly flagsAndWindow: { readonly flags: number; readonly window: number } | undefined;
};

export type Seen =
  | SeenSyn
  | { readonly kind: "other" }
  | { readonly kind: "unparsed"; readonly reason: UnparsedReason };

const MAX_TAGS = 2;
const MAX_EXTENSIONS = 8;

/** Ends a parse early with what the frame turned out to be. */
class ParseEnd extends Error {
  readonly seen: Seen;

  constructor(seen: Seen) {
    super(seen.kind);
    this.seen = seen;
  }
}

const unparsed = (reason: UnparsedReason) => new ParseEnd({ kind: "unparsed", reason });
const other = () => new ParseEnd({ kind: "other" });

export function describeFrame(frame: Uint8Array): Seen {
  try {
    return parseFrame(frame);
  } catch (error) {
    if (error instanceof ParseEnd) return error.seen;
    throw error;
  }
}

/** The first `size` bytes; ends the parse where there are fewer. */
function take(bytes: Uint8Array, size: number, reason: UnparsedReason): Uint8Array {
  if (bytes.length < size) throw unparsed(reason);
  return bytes.subarray(0, size);
}

function parseFrame(frame: Uint8Array): Seen {
  const { etherType, payload, tags } = parseEthernet(frame);
  if (etherType === ETHERTYPE_IPV4) return parseTcp(parseIpv4(payload), tags > 0);
  if (etherType === ETHERTYPE_IPV6) return parseTcp(parseIpv6(payload), tags > 0);
  throw other();
}

function parseEthernet(frame: Uint8Array) {
  let etherType = viewOf(take(frame, 14, "ethernet")).getUint16(12);
  let payload = frame.subarray(14);
  let tags = 0;
  while (etherType === ETHERTYPE_8021Q || etherType === ETHERTYPE_8021AD) {
    tags++;
    if (tags > MAX_TAGS) throw unparsed("vlan");
    etherType = viewOf(take(payload, 4, "vlan")).getUint16(2);
    payload = payload.subarray(4);
  }
  return { etherType, payload, tags };
}

type IpPacket = Pick<SeenSyn, "family" | "ttl" | "source" | "destination" | "isFragment"> & {
  readonly segment: Uint8Array;
};

/** RFC 791, section 3.1. */
function parseIpv4(bytes: Uint8Array): IpPacket {
  const header = viewOf(take(bytes, 20, "ipv4"));
  const version = header.getUint8(0) >> 4;
  const headerBytes = (header.getUint8(0) & 15) * 4;
  const totalBytes = header.getUint16(2);
  if (version !== 4 || headerBytes < 20 || totalBytes < headerBytes) throw unparsed("ipv4");
  take(bytes, headerBytes, "ipv4");

  const offset = header.getUint16(6) % 0x2000;
  const isFragment = (header.getUint16(6) & 0x2000) !== 0;
  if (offset > 0 || header.getUint8(9) !== PROTOCOL_TCP) throw other();
  const mapped = (at: number) =>
    concatBytes(new Uint8Array(10), Uint8Array.of(255, 255), bytes.subarray(at, at + 4));
  return {
    family: 4,
    ttl: header.getUint8(8),
    source: mapped(12),
    destination: mapped(16),
    isFragment,
    segment: bytes.subarray(headerBytes, totalBytes),
  };
}

/** RFC 8200, section 3; a payload length of 0 leaves the length to the frame (RFC 2675). */
function parseIpv6(bytes: Uint8Array): IpPacket {
  const header = viewOf(take(bytes, 40, "ipv6"));
  if (header.getUint8(0) >> 4 !== 6) throw unparsed("ipv6");
  const payloadBytes = header.getUint16(4);
  const payload = bytes.subarray(40, payloadBytes === 0 ? bytes.length : 40 + payloadBytes);
  const { protocol, segment, isFragment } = skipExtensions(header.getUint8(6), payload);
  if (protocol !== PROTOCOL_TCP) throw other();
  return {
    family: 6,
    ttl: header.getUint8(7),
    source: bytes.subarray(8, 24),
    destination: bytes.subarray(24, 40),
    isFragment,
    segment,
  };
}

/** The extension headers of the IANA registry; ESP hides what follows it, so it ends a chain. */
const EXTENSION_NAMES = new Map([
  [0, "hop-by-hop"],
  [43, "routing"],
  [44, "fragment"],
  [51, "authentication"],
  [60, "destination options"],
  [135, "mobility"],
  [139, "host identity"],
  [140, "shim6"],
]);

function skipExtensions(firstType: number, payload: Uint8Array) {
  let protocol = firstType;
  let rest = payload;
  let isFragment = false;
  for (let count = 1; EXTENSION_NAMES.has(protocol); count++) {
    if (count > MAX_EXTENSIONS) throw unparsed("ipv6_extension");
    const bytes = take(rest, extensionBytes(protocol, rest), "ipv6_extension");
    if (EXTENSION_NAMES.get(protocol) === "fragment") {
      const offsetAndMore = viewOf(bytes).getUint16(2);
      if (offsetAndMore >> 3 > 0) throw other();
      isFragment ||= offsetAndMore % 2 === 1;
    }
    protocol = viewOf(bytes).getUint8(0);
    rest = rest.subarray(bytes.length);
  }
  return { protocol, segment: rest, isFragment };
}

function extensionBytes(type: number, rest: Uint8Array): number {
  const length = viewOf(take(rest, 2, "ipv6_extension")).getUint8(1);
  if (EXTENSION_NAMES.get(type) === "fragment") return 8;
  if (EXTENSION_NAMES.get(type) === "authentication") return (length + 2) * 4;
  return (length + 1) * 8;
}

/**
 * RFC 9293, section 3.1. Fragments are cut at multiples of 8 (Linux cuts off
 * what exceeds one), so a first fragment of fewer than 16 bytes leaves the
 * flags to the next: an attempt, whatever they turn out to be.
 */
function parseTcp(packet: IpPacket, isTagged: boolean): Seen {
  const { segment, ...addresses } = packet;
  const isHidden = packet.isFragment && segment.length < 16;
  const neededBytes = isHidden ? 4 : packet.isFragment ? 16 : 20;
  const header = viewOf(take(segment, neededBytes, "tcp"));
  const ports = { sourcePort: header.getUint16(0), destinationPort: header.getUint16(2) };
  const seen = { kind: "syn" as const, ...addresses, ...ports, isTagged };
  if (isHidden) return { ...seen, flagsAndWindow: undefined };

  const flags = header.getUint8(13);
  if ((flags & SYN) === 0 || (flags & ACK) !== 0) throw other();
  return { ...seen, flagsAndWindow: { flags, window: header.getUint16(14) } };
}
