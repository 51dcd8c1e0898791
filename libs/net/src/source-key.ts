import { type AddressWords, formatAddress, isIpv4 } from "./address.ts";
import { formatPrefix, maskAddress, maskWord } from "./prefix.ts";

/**
 * A source as it is judged and blocked: an IPv4 address whole, an IPv6 address
 * cut to a prefix, because an attacker owns at least a /64.
 */
export type SourceKey = AddressWords;

export const DEFAULT_IPV6_SOURCE_BITS = 64;

/** Number of shards that sources are spread over: a constant of contract v1. */
export const SHARD_COUNT = 64;

export function sourceKey(source: AddressWords, ipv6Bits: number): SourceKey {
  return isIpv4(source) ? source : maskAddress(source, ipv6Bits);
}

/** `192.0.2.1`, or `2001:db8:0:1::/64`. */
export function formatSourceKey(key: SourceKey, ipv6Bits: number): string {
  return isIpv4(key) ? formatAddress(key) : formatPrefix({ words: key, bits: ipv6Bits });
}

/** The four words that cut an IPv6 source to its key: see pw_settings. */
export function sourceMaskWords(ipv6Bits: number): AddressWords {
  return [
    maskWord(ipv6Bits),
    maskWord(ipv6Bits - 32),
    maskWord(ipv6Bits - 64),
    maskWord(ipv6Bits - 96),
  ];
}

/**
 * The shard of a source key, 0 to SHARD_COUNT - 1: part of contract v1, hence
 * frozen. The words go through the finalizer of MurmurHash3 one after another.
 */
export function shardOf(w0: number, w1: number, w2: number, w3: number): number {
  let hash = mix(w0 ^ 0x9e3779b9);
  hash = mix(hash ^ w1);
  hash = mix(hash ^ w2);
  hash = mix(hash ^ w3);
  return hash & (SHARD_COUNT - 1);
}

function mix(word: number): number {
  let hash = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
