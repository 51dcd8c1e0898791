import { type AddressWords, isIpv4, type Prefix, SHARD_COUNT } from "@packetwatch/net";

/** The IPv6 prefix whose length a verdict's subject leaves unsaid. */
const UNSAID_IPV6_BITS = 64;
const ROOT = "packetwatch.v1";

/** nats-server refuses a protocol line over 4 KiB; a subject has at most two tokens of free text. */
const MAX_TOKEN_CHARACTERS = 255;

/** Wildcards for those who subscribe; `>` matches one or more tokens, `*` exactly one. */
export const subjects = {
  everySyn: `${ROOT}.syn.*`,
  everyVerdict: `${ROOT}.verdict.>`,
  everyAlert: `${ROOT}.alert.>`,
  everyApplied: `${ROOT}.applied.*`,
  breaker: `${ROOT}.breaker`,
  everyTelemetry: `${ROOT}.telemetry.*.*`,
  everyHostBlocks: `${ROOT}.host.*.blocks`,
} as const;

export function synSubject(shard: number): string {
  return `${ROOT}.syn.${shard}`;
}

/** The shard in a SYN subject; undefined where it is none of ours. */
export function parseSynSubject(subject: string): number | undefined {
  const match = /^packetwatch\.v1\.syn\.(0|[1-9]\d?)$/.exec(subject);
  const shard = Number(match?.[1]);
  return shard < SHARD_COUNT ? shard : undefined;
}

/** `packetwatch.v1.verdict.ip4.203.0.113.9`, `packetwatch.v1.verdict.ip6.2001.db8.0.1`. */
export function verdictSubject(source: Prefix): string {
  return `${ROOT}.verdict.${addressTokens(source)}`;
}

export function alertSubject(rule: string, source: Prefix): string {
  return `${ROOT}.alert.${rule}.${addressTokens(source)}`;
}

export function appliedSubject(host: string): string {
  return `${ROOT}.applied.${subjectToken(host)}`;
}

/** Where a host's enforcer answers what its block maps hold. */
export function hostBlocksSubject(host: string): string {
  return `${ROOT}.host.${subjectToken(host)}.blocks`;
}

export function telemetrySubject(service: string, instance: string): string {
  return `${ROOT}.telemetry.${subjectToken(service)}.${subjectToken(instance)}`;
}

/** Telemetry of every instance of a service. */
export function everyTelemetryOf(service: string): string {
  return `${ROOT}.telemetry.${subjectToken(service)}.*`;
}

/**
 * Makes one subject token of free text: dots, wildcards and blanks become `_`. Two texts can
 * become one token, so a message names its sender in its payload too.
 */
export function subjectToken(text: string): string {
  const token = text.slice(0, MAX_TOKEN_CHARACTERS).replaceAll(/[^A-Za-z0-9_-]/g, "_");
  return token === "" ? "_" : token;
}

/**
 * One token per octet or group, so that a subscriber can watch a prefix. An
 * IPv6 prefix has the groups it reaches into, and says its length unless that
 * is 64; an IPv4 prefix says it unless it is whole.
 */
export function addressTokens(source: Prefix): string {
  return isIpv4(source.words) ? ipv4Tokens(source) : ipv6Tokens(source);
}

function ipv4Tokens({ words, bits }: Prefix): string {
  const word = words[3];
  const octets = [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255];
  return ["ip4", ...octets, ...(bits === 128 ? [] : [`s${bits - 96}`])].join(".");
}

function ipv6Tokens({ words, bits }: Prefix): string {
  const groups = ipv6Groups(words).slice(0, Math.max(1, Math.ceil(bits / 16)));
  const hex = groups.map((group) => group.toString(16));
  return ["ip6", ...hex, ...(bits === UNSAID_IPV6_BITS ? [] : [`s${bits}`])].join(".");
}

function ipv6Groups(words: AddressWords): number[] {
  return words.flatMap((word) => [word >>> 16, word & 0xffff]);
}
