/**
 * Enforcement, version 1, JSON in the KV bucket `packetwatch_enforcement`: whether
 * the fleet, or one host, drops what is blocked. Of all settings that concern a
 * host and are not over, the one stored last holds (see enforcementKey).
 */
import { z } from "zod";
import { name, timestampUs } from "./fields.ts";
import { encodeJson, parseJson } from "./json.ts";

export const ENFORCEMENT_VERSION = 1;

export const enforcementSchema = z.object({
  version: z.literal(ENFORCEMENT_VERSION),
  /** null: the whole fleet. */
  host: name.nullable(),
  /** `default`: what the host's PW_ENFORCE says. */
  enforce: z.enum(["on", "off", "default"]),
  setBy: name,
  setUs: timestampUs,
  /** From then on it counts for nothing, and what was set before holds again; null: it stays. */
  untilUs: timestampUs.nullable(),
});
export type Enforcement = z.infer<typeof enforcementSchema>;

export function encodeEnforcement(enforcement: Enforcement): Uint8Array {
  return encodeJson(enforcement);
}

/** Throws ContractError. */
export function decodeEnforcement(payload: Uint8Array): Enforcement {
  return parseJson("enforcement v1", enforcementSchema, payload);
}
