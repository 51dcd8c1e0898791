/**
 * Verdict, version 1, JSON on `packetwatch.v1.verdict.<address>`: the last
 * message of a subject is the desired state of its source on every host.
 */
import { z } from "zod";
import {
  ipAddress,
  MAX_EVIDENCE_ENTRIES,
  name,
  port,
  sourcePrefix,
  timestampUs,
} from "./fields.ts";
import { parsePrefix } from "@packetwatch/net";
import { ContractError } from "./contract-error.ts";
import { encodeJson, parseJson } from "./json.ts";
import { verdictSubject } from "./subjects.ts";

export const VERDICT_VERSION = 1;
const CONTRACT = "verdict v1";

/** Where the count of a source's blocks in a row ends. */
export const MAX_OFFENCE = 65_535;

export const ruleName = z.enum(["vertical", "horizontal", "spread"]);
export type RuleName = z.infer<typeof ruleName>;

/** What a rule saw in its window, the deciding attempt included. */
export const evidence = z.object({
  count: z
    .number()
    .int()
    .positive()
    .describe("Distinct items that the rule counts: at the decision, its threshold."),
  windowSeconds: z.number().positive().describe("The rule's window."),
  destinations: z.array(ipAddress).max(MAX_EVIDENCE_ENTRIES),
  ports: z.array(port).max(MAX_EVIDENCE_ENTRIES),
  hosts: z
    .array(name)
    .max(MAX_EVIDENCE_ENTRIES)
    .describe("Hosts whose sensor saw the deciding attempt."),
  firstSeenUs: timestampUs,
  lastSeenUs: timestampUs,
});
export type Evidence = z.infer<typeof evidence>;

const common = {
  version: z.literal(VERDICT_VERSION),
  id: name.describe(
    "Derived from source, rule and deciding attempt, so that a replay gives it again.",
  ),
  source: sourcePrefix,
  decidedBy: name.describe("`detector/<instance>` or `operator/<who>`."),
  issuedUs: timestampUs,
};

const block = z.object({
  ...common,
  kind: z.literal("block"),
  rule: z.union([ruleName, z.literal("operator")]),
  expiresUs: timestampUs
    .nullable()
    .describe("Microseconds since the Unix epoch; null: until it is lifted."),
  evidence: evidence.nullable().describe("What a rule saw; null for an operator's block."),
  offence: z
    .number()
    .int()
    .positive()
    .max(MAX_OFFENCE)
    .optional()
    .describe("Which block of this source in a row, where they grow (PW_BLOCK_TTL_FACTOR)."),
  reason: z.string().max(512).optional(),
});

const unblock = z.object({
  ...common,
  kind: z.literal("unblock"),
  reason: z.string().max(512).optional(),
});

export const verdictSchema = z.discriminatedUnion("kind", [block, unblock]);
export type Verdict = z.infer<typeof verdictSchema>;
export type BlockVerdict = z.infer<typeof block>;
export type UnblockVerdict = z.infer<typeof unblock>;

export function encodeVerdict(verdict: Verdict): Uint8Array {
  return encodeJson(verdict);
}

/** Throws ContractError. */
export function decodeVerdict(payload: Uint8Array): Verdict {
  return parseJson(CONTRACT, verdictSchema, payload);
}

/**
 * Decodes the state of a subject's source; throws ContractError. A verdict about another source is refused:
 * each source has its own message, and who may only repeat what NATS keeps can't move it elsewhere.
 */
export function decodeVerdictOn(subject: string, payload: Uint8Array): Verdict {
  const verdict = decodeVerdict(payload);
  if (verdictSubject(parsePrefix(verdict.source)) !== subject) {
    throw new ContractError("wrong_subject", CONTRACT, `${verdict.source} on ${subject}`);
  }
  return verdict;
}
