/**
 * Host state, version 1, JSON in the KV bucket `packetwatch_hosts`, once a second
 * and at every change: what the host's enforcer holds in the kernel, and why.
 */
import { z } from "zod";
import { bucketSubject, buckets, hostKey } from "./buckets.ts";
import { ContractError } from "./contract-error.ts";
import { name, timestampUs } from "./fields.ts";
import { encodeJson, parseJson } from "./json.ts";

export const HOST_STATE_VERSION = 1;
const CONTRACT = "host state v1";

/** How often a host speaks where nothing changes. */
export const HOST_STATE_INTERVAL_MS = 1000;

/** Entries of the host's own that one message holds; `omitted` counts the rest. */
export const MAX_HOST_ALLOWED = 2048;

/** Why a prefix is allowed on a host, besides what operators allow everywhere. */
export const allowReasons = [
  "own_address",
  "gateway",
  "resolver",
  "nats_server",
  "ssh_peer",
  "variable",
] as const;
export type AllowReason = (typeof allowReasons)[number];

const allowed = z.object({
  prefix: z.string().min(1).max(64),
  reasons: z.array(z.enum(allowReasons)).min(1).max(allowReasons.length),
});
export type HostAllowed = z.infer<typeof allowed>;

export const hostStateSchema = z.object({
  version: z.literal(HOST_STATE_VERSION),
  host: name,
  sentUs: timestampUs,
  /** Interfaces whose maps are held. */
  interfaces: z.array(name).max(64),
  /** What the kernel does now; null while no program is attached. */
  enforcing: z.enum(["on", "off"]).nullable(),
  /** What decides that: the host's variable, or a setting for the host or for the fleet. */
  enforcedBy: z.enum(["variable", "host", "fleet"]),
  /** When a trial goes back by itself; null: there is none. */
  trialUntilUs: timestampUs.nullable(),
  /** The last change of each bucket that is in the kernel, by its sequence. */
  allowlistSequence: z.number().int().nonnegative(),
  enforcementSequence: z.number().int().nonnegative(),
  /** The host's own entries, not those of operators. */
  allowed: z.array(allowed).max(MAX_HOST_ALLOWED),
  omitted: z.number().int().nonnegative(),
  /** Prefixes that the full allow map refused (PW_ALLOWED_ENTRIES). */
  refused: z.number().int().nonnegative(),
});
export type HostState = z.infer<typeof hostStateSchema>;

export function encodeHostState(state: HostState): Uint8Array {
  return encodeJson(state);
}

/** Throws ContractError. */
export function decodeHostState(payload: Uint8Array): HostState {
  return parseJson(CONTRACT, hostStateSchema, payload);
}

/** Decodes what a subject's host says; throws ContractError. A host can speak for itself alone. */
export function decodeHostStateOn(subject: string, payload: Uint8Array): HostState {
  const state = decodeHostState(payload);
  if (bucketSubject(buckets.hosts, hostKey(state.host)) !== subject) {
    throw new ContractError("wrong_subject", CONTRACT, `${state.host} on ${subject}`);
  }
  return state;
}
