import { VERDICT_MARKER_SECONDS } from "@packetwatch/contracts";
import { describe, expect, it } from "vitest";
import { LastVerdicts } from "./last-verdicts.ts";

const subject = "packetwatch.v1.verdict.ip4.192.0.2.1";
const verdict = (sequence: number, storedUs = sequence) => ({
  subject,
  sequence,
  storedUs,
  markerReason: undefined,
});

describe("the last verdicts", () => {
  it("of a source that was never decided about are none", () => {
    const last = new LastVerdicts();
    expect(last.sequenceOf(subject)).toBe(0);
    expect(last.isDecidedSince(subject, 0)).toBe(false);
  });

  it("are those that were read last, whichever it was that went before", () => {
    const last = new LastVerdicts();
    last.take(verdict(5));
    expect(last.isDecidedSince(subject, 4)).toBe(true);
    expect(last.isDecidedSince(subject, 5)).toBe(false);
    last.take(verdict(3));
    expect(last.sequenceOf(subject)).toBe(3);
  });

  it("are none in a stream that was made anew", () => {
    const last = new LastVerdicts();
    last.take(verdict(5));
    last.clear();
    expect(last.sequenceOf(subject)).toBe(0);
    last.take(verdict(1));
    expect(last.isDecidedSince(subject, 0)).toBe(true);
  });

  it("a mark is what to publish behind, and decides nothing", () => {
    const last = new LastVerdicts();
    last.take(verdict(5));
    last.take({ ...verdict(6), markerReason: "MaxAge" });
    expect(last.sequenceOf(subject)).toBe(6);
    expect(last.isDecidedSince(subject, 5)).toBe(false);
  });

  it("a mark is forgotten when the stream has let it go", () => {
    const last = new LastVerdicts();
    last.take({ ...verdict(6, 0), markerReason: "MaxAge" });
    const other = { subject: `${subject}0`, sequence: 7, markerReason: undefined };
    last.take({ ...other, storedUs: VERDICT_MARKER_SECONDS * 1e6 - 1 });
    expect(last.sequenceOf(subject)).toBe(6);
    last.take({ ...other, storedUs: VERDICT_MARKER_SECONDS * 1e6 });
    expect(last.sequenceOf(subject)).toBe(0);
  });
});
