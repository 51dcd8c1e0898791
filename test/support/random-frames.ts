import fc from "fast-check";
import {
  authentication,
  type Datagram,
  destinationOptions,
  ethernet,
  ETHERTYPE_8021AD,
  ETHERTYPE_8021Q,
  type Extension,
  fragmentHeader,
  hopByHop,
  hostIdentity,
  ipv4,
  ipv6,
  mobility,
  routing,
  shim6,
} from "./packets.ts";
import { packetKinds } from "./packet-kinds.ts";
import { ACK, esp, icmp, icmpv6, noNextHeader, type Segment, SYN, tcp, udp } from "./segments.ts";

/** Headers end within this many bytes; behind them, mutations change little. */
const MUTATED_BYTES = 120;
const MAX_MUTATIONS = 4;

const byte = fc.integer({ min: 0, max: 255 });
const port = fc.integer({ min: 0, max: 65_535 });
const bytesUpTo = (maxLength: number) => fc.uint8Array({ maxLength });

const tcpFlags = fc.oneof(fc.constantFrom(SYN, SYN | ACK, ACK), byte);
const randomTcp: fc.Arbitrary<Segment> = fc
  .record({
    sourcePort: port,
    destinationPort: port,
    flags: tcpFlags,
    window: port,
    options: bytesUpTo(40),
    data: bytesUpTo(80),
  })
  .map(tcp);
const randomSegment = fc.oneof(
  { weight: 8, arbitrary: randomTcp },
  {
    weight: 1,
    arbitrary: fc.constantFrom(udp(), icmp(), icmpv6(), esp(), noNextHeader()),
  },
);

/** The first bytes of a segment, as fragments and cut packets carry. */
const randomPiece: fc.Arbitrary<Segment> = fc
  .tuple(randomSegment, fc.integer({ min: 0, max: 40 }))
  .map(([{ protocol, bytes }, length]) => ({ protocol, bytes: bytes.subarray(0, length) }));

const yesOrNo = fc.constantFrom("yes" as const, "no" as const);
const fragmentOffset = fc.oneof(
  fc.constant(0),
  fc.nat(8191).map((units) => units * 8),
);
const randomIpv4: fc.Arbitrary<Datagram> = fc
  .record({
    segment: fc.oneof(randomSegment, randomPiece),
    options: bytesUpTo(40),
    ttl: byte,
    moreFragments: yesOrNo,
    fragmentOffset,
  })
  .map(({ segment, ...fields }) => ipv4(segment, fields));

const units = fc.integer({ min: 0, max: 5 });
const randomFragmentHeader = fc
  .record({ offset: fragmentOffset, more: yesOrNo, reserved: byte })
  .map(fragmentHeader);
const randomExtension: fc.Arbitrary<Extension> = fc.oneof(
  { weight: 1, arbitrary: randomFragmentHeader },
  ...[hopByHop, routing, destinationOptions, mobility, hostIdentity, shim6].map((make) => ({
    weight: 1,
    arbitrary: units.map(make),
  })),
  { weight: 1, arbitrary: units.map((words) => authentication(words * 4)) },
);
const randomIpv6: fc.Arbitrary<Datagram> = fc
  .record({
    segment: fc.oneof(randomSegment, randomPiece),
    extensions: fc.array(randomExtension, { maxLength: 10 }),
    hopLimit: byte,
  })
  .map(({ segment, ...fields }) => ipv6(segment, fields));

const randomTags = fc.array(fc.constantFrom(ETHERTYPE_8021Q, ETHERTYPE_8021AD), { maxLength: 3 });
const composedFrame = fc
  .record({
    datagram: fc.oneof(randomIpv4, randomIpv6),
    tags: randomTags,
    minimumBytes: fc.constantFrom(14, 60),
    padByte: byte,
  })
  .map(({ datagram, ...fields }) => ethernet(datagram, fields));

type Mutation = (frame: Uint8Array) => Uint8Array;

/** Values that lengths, types and flags turn on, beside any other. */
const telling = fc.constantFrom(
  0,
  1,
  4,
  5,
  6,
  17,
  43,
  44,
  51,
  59,
  60,
  0x45,
  0x60,
  0x81,
  0x88,
  0xff,
);
const position = fc.integer({ min: 0, max: MUTATED_BYTES - 1 });
const setByte = fc.tuple(position, fc.oneof(byte, telling)).map(
  ([at, value]): Mutation =>
    (frame) =>
      frame.map((old, index) => (index === at ? value : old)),
);
const cut = fc.integer({ min: 14, max: MUTATED_BYTES }).map(
  (length): Mutation =>
    (frame) =>
      frame.slice(0, length),
);
const append = bytesUpTo(40).map(
  (more): Mutation =>
    (frame) =>
      Uint8Array.from([...frame, ...more]),
);
const remove = fc.tuple(position, fc.integer({ min: 1, max: 8 })).map(
  ([at, count]): Mutation =>
    (frame) =>
      frame.length - count < 14
        ? frame
        : frame.filter((_, index) => index < at || index >= at + count),
);
const mutation = fc.oneof({ weight: 4, arbitrary: setByte }, cut, append, remove);

/** Frames of at least 14 bytes: well-formed ones, and ones that were damaged in a few places. */
export const randomFrame: fc.Arbitrary<Uint8Array> = fc
  .record({
    frame: fc.oneof(fc.constantFrom(...packetKinds.map(({ frame }) => frame)), composedFrame),
    mutations: fc.array(mutation, { maxLength: MAX_MUTATIONS }),
  })
  .map(({ frame, mutations }) => mutations.reduce((damaged, mutate) => mutate(damaged), frame));
