/**
 * Allow entry, version 1, JSON in the KV bucket `packetwatch_allowlist`: a prefix
 * that an operator never wants to be dropped, or counted as a scanner, on any host.
 */
import { AddressError, formatPrefix, parseAllowPrefix } from "@packetwatch/net";
import { z } from "zod";
import { name, timestampUs } from "./fields.ts";
import { encodeJson, parseJson } from "./json.ts";

export const ALLOW_ENTRY_VERSION = 1;

export const MAX_COMMENT_CHARACTERS = 512;

const allowPrefix = z
  .string()
  .max(64)
  .refine(isAllowPrefix, { error: "not an address or CIDR in canonical form that can be allowed" });

export const allowEntrySchema = z.object({
  version: z.literal(ALLOW_ENTRY_VERSION),
  /** Canonical, host bits zero; an IPv6 prefix that covers IPv4 too is refused: see parseAllowPrefix. */
  prefix: allowPrefix,
  comment: z.string().max(MAX_COMMENT_CHARACTERS).optional(),
  /** `operator/<who>@<host>`. */
  addedBy: name,
  addedUs: timestampUs,
  /** null: until it is removed. */
  expiresUs: timestampUs.nullable(),
});
export type AllowEntry = z.infer<typeof allowEntrySchema>;

export function encodeAllowEntry(entry: AllowEntry): Uint8Array {
  return encodeJson(entry);
}

/** Throws ContractError. */
export function decodeAllowEntry(payload: Uint8Array): AllowEntry {
  return parseJson("allow entry v1", allowEntrySchema, payload);
}

function isAllowPrefix(text: string): boolean {
  try {
    return formatPrefix(parseAllowPrefix(text)) === text;
  } catch (error) {
    if (error instanceof AddressError) return false;
    throw error;
  }
}
