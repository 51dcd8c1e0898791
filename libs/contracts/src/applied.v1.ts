/** Applied, version 1, JSON on `packetwatch.v1.applied.<host>`: what an enforcer did with a verdict. */
import { z } from "zod";
import { name, sourcePrefix, timestampUs } from "./fields.ts";
import { encodeJson, parseJson } from "./json.ts";

export const APPLIED_VERSION = 1;

export const appliedSchema = z.object({
  version: z.literal(APPLIED_VERSION),
  host: name,
  interfaces: z.array(name).max(64),
  verdictId: name,
  source: sourcePrefix,
  /** `spared`: the source is allow-listed on this host, so nothing of it is dropped. */
  action: z.enum(["blocked", "lifted", "spared", "failed"]),
  /** The verdict's sequence in PACKETWATCH_VERDICT. */
  streamSequence: z.number().int().nonnegative(),
  /** Time of the map write. */
  appliedUs: timestampUs,
  /** From the deciding attempt, on its sensor's clock, to the map write. */
  reactionUs: z.number().nullable(),
});
export type Applied = z.infer<typeof appliedSchema>;

export function encodeApplied(applied: Applied): Uint8Array {
  return encodeJson(applied);
}

/** Throws ContractError. */
export function decodeApplied(payload: Uint8Array): Applied {
  return parseJson("applied v1", appliedSchema, payload);
}
