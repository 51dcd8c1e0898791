import { isIPv4, isIPv6 } from "node:net";

/**
 * An IP address as four 32-bit words in reading order (the first word holds
 * the leftmost 32 bits). IPv4 is held IPv4-mapped, `::ffff:a.b.c.d`, so that
 * one form serves for both families in the kernel, on the bus and in tables.
 */
export type AddressWords = readonly [number, number, number, number];

export type AddressFamily = "ip4" | "ip6";

/** The third word of an IPv4-mapped address (RFC 4291, section 2.5.5.2). */
export const IPV4_MAPPED_WORD = 0xffff;

/** Bytes of an address in its IPv6 form. */
export const ADDRESS_BYTES = 16;

const MAX_SHOWN_CHARACTERS = 64;

/** Text that is no IP address or prefix. `input` is cut to a printable length. */
export class AddressError extends Error {
  override readonly name = "AddressError";
  readonly code = "ADDRESS_INVALID";
  readonly retryable = false;
  readonly input: string;

  constructor(input: string, expected: string) {
    const isLong = input.length > MAX_SHOWN_CHARACTERS;
    const shown = isLong ? `${input.slice(0, MAX_SHOWN_CHARACTERS)}...` : input;
    super(`${JSON.stringify(shown)} is not ${expected}`);
    this.input = shown;
  }
}

/** Parses an IPv4 or IPv6 address; throws AddressError. A zone (`%eth0`) is refused. */
export function parseAddress(text: string): AddressWords {
  if (isIPv4(text)) return [0, 0, IPV4_MAPPED_WORD, parseIpv4Word(text)];
  if (isIPv6(text) && !text.includes("%")) return parseIpv6Words(text);
  throw new AddressError(text, "an IP address, such as 192.0.2.1 or 2001:db8::1");
}

/** IPv4 in dotted form; IPv6 in the canonical form of RFC 5952. */
export function formatAddress(words: AddressWords): string {
  return isIpv4(words) ? formatIpv4Word(words[3]) : formatIpv6Words(words);
}

export function isIpv4(words: AddressWords): boolean {
  return isIpv4Words(words[0], words[1], words[2]);
}

/** isIpv4 for hot paths that hold the first three words apart. */
export function isIpv4Words(w0: number, w1: number, w2: number): boolean {
  return w2 === IPV4_MAPPED_WORD && w0 === 0 && w1 === 0;
}

export function addressFamily(words: AddressWords): AddressFamily {
  return isIpv4(words) ? "ip4" : "ip6";
}

/** Writes the 16 bytes of an address, network byte order, as the kernel's maps hold it. */
export function writeAddress(words: AddressWords, target: DataView, offset: number): void {
  for (const [index, word] of words.entries()) target.setUint32(offset + index * 4, word);
}

/** Reads the 16 bytes that writeAddress writes. */
export function readAddress(source: DataView, offset: number): AddressWords {
  return [
    source.getUint32(offset),
    source.getUint32(offset + 4),
    source.getUint32(offset + 8),
    source.getUint32(offset + 12),
  ];
}

export function sameAddress(a: AddressWords, b: AddressWords): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}

/** Dotted form of an IPv4 address held in one word. */
export function formatIpv4Word(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}

function parseIpv4Word(text: string): number {
  return text.split(".").reduce((word, part) => word * 256 + Number(part), 0);
}

function parseIpv6Words(text: string): AddressWords {
  const groups = expandGroups(embeddedIpv4AsGroups(text));
  const word = (index: number) => ((groups[index] ?? 0) * 65536 + (groups[index + 1] ?? 0)) >>> 0;
  return [word(0), word(2), word(4), word(6)];
}

/** Rewrites a trailing dotted part: `::ffff:192.0.2.1` becomes `::ffff:c000:201`. */
function embeddedIpv4AsGroups(text: string): string {
  const lastColon = text.lastIndexOf(":");
  const tail = text.slice(lastColon + 1);
  if (!tail.includes(".")) return text;
  const word = parseIpv4Word(tail);
  return `${text.slice(0, lastColon + 1)}${(word >>> 16).toString(16)}:${(word & 0xffff).toString(16)}`;
}

function expandGroups(text: string): number[] {
  const [head = "", tail] = text.split("::");
  const left = parseGroups(head);
  if (tail === undefined) return left;
  const right = parseGroups(tail);
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => 0);
  return [...left, ...zeros, ...right];
}

function parseGroups(text: string): number[] {
  return text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
}

function formatIpv6Words(words: AddressWords): string {
  const groups = words.flatMap((word) => [word >>> 16, word & 0xffff]);
  const zeros = longestZeroRun(groups);
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  if (zeros.length < 2) return hex(groups);
  return `${hex(groups.slice(0, zeros.start))}::${hex(groups.slice(zeros.start + zeros.length))}`;
}

/** The first of the longest runs of zero groups: what RFC 5952 shortens. */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (const [index, group] of groups.entries()) {
    if (group !== 0) start = index + 1;
    else if (index + 1 - start > best.length) best = { start, length: index + 1 - start };
  }
  return best;
}
