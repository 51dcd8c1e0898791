/** The sources that an address or a CIDR on the command line stands for. */
import {
  type AddressWords,
  createPrefix,
  formatPrefix,
  isIpv4,
  parsePrefix,
  type Prefix,
  prefixContains,
} from "@packetwatch/net";
import { CliError } from "../cli-error.ts";
import { requireNoHostBits } from "../host-bits.ts";

/** A CIDR that stands for more sources than this is refused: each takes an entry of every block map. */
export const MAX_SOURCES = 1024;
const MAX_SOURCES_BITS = Math.log2(MAX_SOURCES);
const WHOLE_BITS = 128;

/** The source of an address: see sourceKey(). A CIDR is left as it is. Throws AddressError, CliError: BAD_SOURCE. */
export function sourceOf(text: string, ipv6Bits: number): Prefix {
  const prefix = parsePrefix(text);
  requireNoHostBits(text, prefix);
  const isWholeIpv6 = !text.includes("/") && !isIpv4(prefix.words);
  return isWholeIpv6 ? createPrefix(prefix.words, ipv6Bits) : prefix;
}

/** The address, where the text names one that is only a part of its source: an allow entry may cover it alone. */
export function addressWithinSource(text: string, ipv6Bits: number): AddressWords | undefined {
  const { words, bits } = parsePrefix(text);
  return bits === WHOLE_BITS && !isIpv4(words) && ipv6Bits < WHOLE_BITS ? words : undefined;
}

/** Every source in an address or CIDR, in order; throws AddressError, CliError: BAD_SOURCE. */
export function sourcesOf(text: string, ipv6Bits: number): readonly string[] {
  const prefix = sourceOf(text, ipv6Bits);
  const sourceBits = isIpv4(prefix.words) ? WHOLE_BITS : ipv6Bits;
  if (prefix.bits > sourceBits) throw partOfSource(text, createPrefix(prefix.words, sourceBits));
  const missingBits = sourceBits - prefix.bits;
  if (missingBits > MAX_SOURCES_BITS) {
    const familyBits = isIpv4(prefix.words) ? 32 : ipv6Bits;
    throw tooMany(text, `/${familyBits - MAX_SOURCES_BITS}`);
  }
  return Array.from({ length: 2 ** missingBits }, (_, index) =>
    formatPrefix({ words: addAt(prefix.words, sourceBits, index), bits: sourceBits }),
  );
}

/** Whether a source, as verdicts write it, lies in a CIDR of its own family with all that belongs to it. */
export function isWithin(cidr: Prefix, source: string): boolean {
  const prefix = parsePrefix(source);
  // IPv4 is a part of ::/0 in our keys alone.
  if (isIpv4(cidr.words) !== isIpv4(prefix.words)) return false;
  return prefix.bits >= cidr.bits && prefixContains(cidr, prefix.words);
}

function partOfSource(text: string, source: Prefix): CliError {
  const whole = formatPrefix(source);
  const detail = `${text} is a part of the source ${whole}, which is blocked as a whole (PW_IPV6_PREFIX): name ${whole}`;
  return new CliError("BAD_SOURCE", detail);
}

function tooMany(text: string, largest: string): CliError {
  const detail = `${text} has more than ${MAX_SOURCES} sources, and each takes an entry of every block map: the largest CIDR is a ${largest}; more than that is a firewall's work`;
  return new CliError("BAD_SOURCE", detail);
}

/** Adds `count` at a bit position of an address: 128 is the lowest. */
function addAt(words: AddressWords, bits: number, count: number): AddressWords {
  const value = words.reduce((sum, word) => (sum << 32n) | BigInt(word), 0n);
  const moved = value + (BigInt(count) << BigInt(WHOLE_BITS - bits));
  const word = (index: number) => Number((moved >> BigInt(96 - index * 32)) & 0xffffffffn);
  return [word(0), word(1), word(2), word(3)];
}
