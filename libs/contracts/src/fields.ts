import {
  AddressError,
  formatAddress,
  formatPrefix,
  isIpv4,
  parseAddress,
  parsePrefix,
} from "@packetwatch/net";
import { z } from "zod";

/** Fields that several messages share. Text has a named maximum everywhere. What describe() says is published in docs/schemas. */

export const timestampUs = z
  .number()
  .int()
  .nonnegative()
  .max(Number.MAX_SAFE_INTEGER)
  .describe("Microseconds since the Unix epoch.");

export const sourcePrefix = canonical("an IPv4 address or IPv6 CIDR", formatSource).describe(
  "A source: an IPv4 address, or an IPv6 prefix in CIDR form; canonical, host bits zero.",
);

export const ipAddress = canonical("an IP address", (text) =>
  formatAddress(parseAddress(text)),
).describe("An IPv4 or IPv6 address in canonical form.");

export const port = z.number().int().min(0).max(65_535);

export const name = z.string().min(1).max(255);

/** Lists in evidence are cut to this many entries; counts tell the whole. */
export const MAX_EVIDENCE_ENTRIES = 64;

function formatSource(text: string): string {
  const prefix = parsePrefix(text);
  return isIpv4(prefix.words) ? formatAddress(prefix.words) : formatPrefix(prefix);
}

function canonical(what: string, format: (text: string) => string) {
  return z
    .string()
    .max(64)
    .refine((text) => isCanonical(text, format), { error: `not ${what} in canonical form` });
}

function isCanonical(text: string, format: (text: string) => string): boolean {
  try {
    return format(text) === text;
  } catch (error) {
    if (error instanceof AddressError) return false;
    throw error;
  }
}
