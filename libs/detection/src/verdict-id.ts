import { createHash } from "node:crypto";
import type { AddressWords, SourceKey } from "@packetwatch/net";
import type { RuleName } from "./rules.ts";

/** The event that made a rule fire. */
export type DecidingEvent = {
  readonly timeUs: number;
  readonly destination: AddressWords;
  readonly sourcePort: number;
  readonly destinationPort: number;
};

export type VerdictIdOptions = {
  readonly rule: RuleName;
  readonly sourceKey: SourceKey;
  readonly event: DecidingEvent;
};

/**
 * The id of a verdict: 128 bits as hexadecimal, derived from nothing but what is passed. So two detectors that come to the
 * same verdict, or one that comes to it twice, name it alike, and the bus drops the duplicate.
 */
export function verdictId({ rule, sourceKey, event }: VerdictIdOptions): string {
  const fields = [
    rule,
    ...sourceKey,
    event.timeUs,
    ...event.destination,
    event.sourcePort,
    event.destinationPort,
  ];
  return createHash("sha256").update(fields.join("|")).digest("hex").slice(0, 32);
}
