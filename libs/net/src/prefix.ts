import { AddressError, type AddressWords, formatAddress, isIpv4, parseAddress } from "./address.ts";

/** An IPv4 prefix counts this many bits more in its IPv4-mapped form. */
const IPV4_MAPPED_BITS = 96;

/** A CIDR. `bits` counts in the IPv6 form (an IPv4 /24 is 120); host bits are zero. */
export type Prefix = {
  readonly words: AddressWords;
  readonly bits: number;
};

/**
 * Parses `ADDRESS` or `ADDRESS/BITS`, clearing host bits; throws AddressError. Bits count in the
 * form that is written: `192.0.2.0/24` is `::ffff:192.0.2.0/120`.
 */
export function parsePrefix(text: string): Prefix {
  const [addressText = "", bitsText, ...rest] = text.split("/");
  const expected = "an address or CIDR, such as 192.0.2.0/24 or 2001:db8::/32";
  if (rest.length > 0) throw new AddressError(text, expected);
  const words = parseAddress(addressText);
  const familyBits = addressText.includes(":") ? 128 : 32;
  if (bitsText !== undefined && !/^\d{1,3}$/.test(bitsText)) throw new AddressError(text, expected);
  const bits = bitsText === undefined ? familyBits : Number(bitsText);
  if (bits > familyBits) {
    throw new AddressError(text, `${expected}; a prefix here has at most ${familyBits} bits`);
  }
  return createPrefix(words, bits + (128 - familyBits));
}

/**
 * Parses a prefix for an allow list; throws AddressError. Kernel and tables hold IPv4 as
 * `::ffff:0:0/96`, so `::/0` and every other IPv6 prefix around that would allow all of IPv4,
 * which nobody asked for who wrote it. `2000::/3` is all of IPv6 that the Internet routes.
 */
export function parseAllowPrefix(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (coversAllIpv4(prefix) && text.includes(":")) {
    throw new AddressError(
      text,
      "an IPv6 CIDR beside IPv4 (::ffff:0:0/96 lies in it); 2000::/3 is all of global IPv6",
    );
  }
  return prefix;
}

function coversAllIpv4({ words, bits }: Prefix): boolean {
  const mapped = maskAddress([0, 0, 0xffff, 0], bits);
  return bits <= IPV4_MAPPED_BITS && mapped.every((word, index) => word === words[index]);
}

/** A prefix from an address in its IPv6 form and a length of 0 to 128 bits. */
export function createPrefix(words: AddressWords, bits: number): Prefix {
  return { words: maskAddress(words, bits), bits };
}

/** An address whole: /32 or /128. */
export function hostPrefix(words: AddressWords): Prefix {
  return { words, bits: 128 };
}

/** `192.0.2.0/24`; a whole address comes without its length. */
export function formatPrefix(prefix: Prefix): string {
  const address = formatAddress(prefix.words);
  if (prefix.bits === 128) return address;
  const isMapped = isIpv4(prefix.words) && prefix.bits >= IPV4_MAPPED_BITS;
  return `${address}/${isMapped ? prefix.bits - IPV4_MAPPED_BITS : prefix.bits}`;
}

export function prefixContains(prefix: Prefix, words: AddressWords): boolean {
  const masked = maskAddress(words, prefix.bits);
  return masked.every((word, index) => word === prefix.words[index]);
}

/** Zeroes all but the first `bits` bits. */
export function maskAddress(words: AddressWords, bits: number): AddressWords {
  const word = (index: number) => (words[index as 0] & maskWord(bits - index * 32)) >>> 0;
  return [word(0), word(1), word(2), word(3)];
}

/** A word with its first `bits` bits set; fewer than 0 and more than 32 are clamped. */
export function maskWord(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? 0xffffffff : ~(0xffffffff >>> bits) >>> 0;
}
