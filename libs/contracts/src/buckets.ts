/** The KV buckets of contract v1. A bucket is a JetStream stream, `KV_<bucket>`, of subjects `$KV.<bucket>.<key>`. */
import type { Prefix } from "@packetwatch/net";
import { addressTokens, subjectToken } from "./subjects.ts";

export const buckets = {
  /** What operators allow: allow entry v1, by prefix. */
  allowlist: "packetwatch_allowlist",
  /** Whether hosts drop: enforcement v1, for the fleet and for single hosts. */
  enforcement: "packetwatch_enforcement",
  /** What each enforcer says of its host, about once a second: host state v1. */
  hosts: "packetwatch_hosts",
} as const;

export type Bucket = (typeof buckets)[keyof typeof buckets];

/** Entries that operators can have at once; the marks of those that were removed count for an hour. */
export const MAX_ALLOW_ENTRIES = 8192;

/** Settings of the fleet and of single hosts. */
export const MAX_ENFORCEMENT_ENTRIES = 4096;

/** Hosts that are remembered, and for how long after their last word. */
export const MAX_HOSTS = 4096;
export const HOST_MEMORY_SECONDS = 3600;

export function bucketStream(bucket: string): string {
  return `KV_${bucket}`;
}

export function bucketSubject(bucket: string, key: string): string {
  return `$KV.${bucket}.${key}`;
}

/** The subjects of every key. */
export function everyKey(bucket: string): string {
  return `$KV.${bucket}.>`;
}

/** `ip4.192.0.2.0.s24`: as in subjects, so that a watcher can follow a prefix. */
export function allowKey(prefix: Prefix): string {
  return addressTokens(prefix);
}

export function hostKey(host: string): string {
  return subjectToken(host);
}

export type EnforcementScope = {
  /** undefined: the whole fleet. */
  readonly host: string | undefined;
  /** A trial goes back by itself unless it is confirmed; it lies beside what it goes back to. */
  readonly kind: "lasting" | "trial";
};

/** `lasting.fleet`, `trial.host.web-1`. */
export function enforcementKey({ host, kind }: EnforcementScope): string {
  return host === undefined ? `${kind}.fleet` : `${kind}.host.${subjectToken(host)}`;
}
