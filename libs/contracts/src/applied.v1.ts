/** Applied, version 1, JSON on `packetwatch.v1.applied.<host>`: what an enforcer did with a verdict. */
import { z } from "zod";
import { ContractError } from "./contract-error.ts";
import { name, sourcePrefix, timestampUs } from "./fields.ts";
import { encodeJson, parseJson } from "./json.ts";
import { appliedSubject } from "./subjects.ts";

export const APPLIED_VERSION = 1;
const CONTRACT = "applied v1";

export const appliedSchema = z.object({
  version: z.literal(APPLIED_VERSION),
  host: name,
  interfaces: z.array(name).max(64),
  verdictId: name,
  source: sourcePrefix,
  action: z
    .enum(["blocked", "lifted", "spared", "failed"])
    .describe("`spared`: the source is allow-listed on this host, so nothing of it is dropped."),
  streamSequence: z
    .number()
    .int()
    .nonnegative()
    .describe("The verdict's sequence in PACKETWATCH_VERDICT."),
  appliedUs: timestampUs.describe("Time of the map write, in microseconds since the Unix epoch."),
  reactionUs: z
    .number()
    .nullable()
    .describe(
      "Microseconds from the deciding attempt, on its sensor's clock, to the map write; null where there was none.",
    ),
});
export type Applied = z.infer<typeof appliedSchema>;

export function encodeApplied(applied: Applied): Uint8Array {
  return encodeJson(applied);
}

/** Throws ContractError. */
export function decodeApplied(payload: Uint8Array): Applied {
  return parseJson(CONTRACT, appliedSchema, payload);
}

/** Decodes what a subject's host says; throws ContractError. A host can speak for itself alone. */
export function decodeAppliedOn(subject: string, payload: Uint8Array): Applied {
  const applied = decodeApplied(payload);
  if (appliedSubject(applied.host) !== subject) {
    throw new ContractError("wrong_subject", CONTRACT, `${applied.host} on ${subject}`);
  }
  return applied;
}
