import fc from "fast-check";
import { createSynEvent, type SynEvent, synFlags } from "@packetwatch/contracts";
import type { AddressWords } from "@packetwatch/net";
import type { VerdictMark } from "../verdict-marks.ts";

/** 2024-01-01T00:00:00Z: an epoch as large as the real ones, so that rounding would show. */
export const START_US = 1_704_067_200_000_000;

export const SECOND_US = 1_000_000;

/** Few addresses, so that they repeat; they differ in single words, so that a word that isn't compared shows. */
export const addresses: readonly AddressWords[] = [
  [0, 0, 0xffff, 0xc0000201],
  [0, 0, 0xffff, 0xc0000202],
  [0, 0, 0xffff, 0xcb007109],
  [0x20010db8, 0, 0, 0],
  [0x20010db8, 1, 0, 0],
  [0x20010db9, 0, 0, 0],
  [0, 0, 0, 0xc0000201],
  [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
];

export const address: fc.Arbitrary<AddressWords> = fc.constantFrom(...addresses);

/**
 * Steps from one event's time to the next's, for a window of `windowUs`: mostly small and forward, some to the
 * microsecond around the window's length, in both directions, some clock steps of several windows.
 */
export function timeStep(windowUs: number): fc.Arbitrary<number> {
  const edge = fc.constantFrom(windowUs - 1, windowUs, windowUs + 1);
  return fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: Math.ceil(windowUs / 4) }) },
    { weight: 2, arbitrary: fc.integer({ min: -Math.ceil(windowUs / 2), max: 0 }) },
    { weight: 2, arbitrary: edge },
    { weight: 1, arbitrary: edge.map((stepUs) => -stepUs) },
    { weight: 1, arbitrary: fc.integer({ min: -4 * windowUs, max: 4 * windowUs }) },
  );
}

export function synEvent(fields: {
  readonly timeUs: number;
  readonly source: AddressWords;
  readonly destination: AddressWords;
  readonly destinationPort: number;
  readonly sourcePort?: number;
  readonly flags?: number;
}): SynEvent {
  const [s0, s1, s2, s3] = fields.source;
  const [d0, d1, d2, d3] = fields.destination;
  const { timeUs, destinationPort, sourcePort = 40_000, flags = 0 } = fields;
  const ports = { sourcePort, destinationPort };
  return { ...createSynEvent(), timeUs, s0, s1, s2, s3, d0, d1, d2, d3, ...ports, flags };
}

export type Step = { readonly event: SynEvent } | { readonly verdict: VerdictMark };

/** Events and verdicts of a few sources in the order in which a detector might see them. */
export function detectorStream(windowUs: number): fc.Arbitrary<Step[]> {
  const event = fc.record({
    kind: fc.constant("event" as const),
    stepUs: timeStep(windowUs),
    source: address,
    destination: address,
    destinationPort: fc.integer({ min: 78, max: 84 }),
    flags: fc.nat({ max: 9 }).map((draw) => (draw === 0 ? synFlags.allowed : 0)),
  });
  const verdict = fc.record({
    kind: fc.constantFrom("block" as const, "unblock" as const),
    sourceKey: address,
    issuedAgoUs: timeStep(windowUs),
    lastsUs: fc.option(fc.integer({ min: 0, max: 2 * windowUs }), { nil: undefined }),
  });
  const choice = fc.oneof({ weight: 12, arbitrary: event }, { weight: 1, arbitrary: verdict });
  return fc.array(choice, { maxLength: 200, size: "max" }).map((choices) => {
    let timeUs = START_US;
    return choices.map((chosen): Step => {
      if (chosen.kind === "event") {
        timeUs += chosen.stepUs;
        return { event: synEvent({ ...chosen, timeUs }) };
      }
      const { kind, sourceKey, lastsUs } = chosen;
      const issuedUs = timeUs - chosen.issuedAgoUs;
      if (kind === "unblock") return { verdict: { kind, sourceKey, issuedUs } };
      return {
        verdict: {
          kind,
          sourceKey,
          issuedUs,
          expiresUs: lastsUs === undefined ? lastsUs : issuedUs + lastsUs,
        },
      };
    });
  });
}
