import { readAddress, formatAddress } from "@packetwatch/net";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { viewOf } from "../support/bytes.ts";
import {
  type LoadedPacketwatch,
  loadPacketwatch,
  passed,
  type Sighting,
  sightingOf,
} from "../support/loaded-packetwatch.ts";
import { describeFrame, type Seen, type SeenSyn } from "../support/oracle.ts";
import { packetKinds } from "../support/packet-kinds.ts";
import { randomFrame } from "../support/random-frames.ts";
import { ipv4SynRecord, type SynFlagName } from "../support/syn-record.ts";

const RUNS = 10_000;
const SEED = Date.now() % 2 ** 31;

let packetwatch: LoadedPacketwatch;
beforeAll(() => {
  packetwatch = loadPacketwatch();
});
afterAll(() => packetwatch.close());

function expectedOf(seen: Seen): Sighting {
  if (seen.kind === "other") return passed;
  if (seen.kind === "unparsed") return { ...passed, counted: { [`unparsed.${seen.reason}`]: 1 } };
  const hidden = seen.flagsAndWindow === undefined ? { flagsHidden: 1 } : {};
  const counted = { [`synIpv${seen.family}`]: 1, reported: 1, ...hidden };
  return { ...passed, records: [expectedRecord(seen)], counted };
}

function expectedRecord(seen: SeenSyn) {
  const flags: SynFlagName[] = [];
  if (seen.isTagged) flags.push("vlan");
  if (seen.isFragment) flags.push("fragment");
  if (seen.flagsAndWindow === undefined) flags.push("flagsHidden");
  return {
    ...ipv4SynRecord,
    flags,
    tcpFlags: seen.flagsAndWindow?.flags ?? 0,
    window: seen.flagsAndWindow?.window ?? 0,
    ttl: seen.ttl,
    source: formatAddress(readAddress(viewOf(seen.source), 0)),
    destination: formatAddress(readAddress(viewOf(seen.destination), 0)),
    sourcePort: seen.sourcePort,
    destinationPort: seen.destinationPort,
  };
}

describe("the program and a parser written from the RFCs agree", () => {
  const sight = (frame: Uint8Array) => sightingOf(packetwatch.send(frame));

  it.each(packetKinds)("on $name", ({ frame }) => {
    expect(sight(frame)).toEqual(expectedOf(describeFrame(frame)));
  });

  it(`on ${RUNS} random frames (seed ${SEED})`, () => {
    const agree = fc.property(randomFrame, (frame) => {
      expect(sight(frame)).toEqual(expectedOf(describeFrame(frame)));
    });
    fc.assert(agree, { seed: SEED, numRuns: RUNS });
  });
});

it(`random frames hold enough of everything to prove it (seed ${SEED})`, () => {
  const seen = fc.sample(randomFrame, { seed: SEED, numRuns: RUNS }).map(describeFrame);
  const share = (wanted: (one: Seen) => boolean) => seen.filter(wanted).length / RUNS;
  expect(share(({ kind }) => kind === "syn")).toBeGreaterThan(0.2);
  expect(share(({ kind }) => kind === "other")).toBeGreaterThan(0.2);
  for (const reason of ["vlan", "ipv4", "ipv6", "ipv6_extension", "tcp"]) {
    expect(share((one) => one.kind === "unparsed" && one.reason === reason)).toBeGreaterThan(0.005);
  }
  expect(share((one) => one.kind === "syn" && one.flagsAndWindow === undefined)).toBeGreaterThan(
    0.01,
  );
});
