/**
 * Breaker, version 1, JSON on `packetwatch.v1.breaker`, in the verdict stream:
 * whether detectors may block. Opened by a detector that has read one block
 * too many; in one stream with the verdicts, so that all agree which came first.
 */
import { z } from "zod";
import { name, timestampUs } from "./fields.ts";
import { encodeJson, parseJson } from "./json.ts";

export const BREAKER_VERSION = 1;

/** Times in which blocks were held back that a message tells of, the newest. */
export const MAX_BREAKER_PERIODS = 16;

const period = z.object({
  fromUs: timestampUs,
  /** null: until now. */
  untilUs: timestampUs.nullable(),
});
export type BreakerPeriod = z.infer<typeof period>;

export const breakerSchema = z.object({
  version: z.literal(BREAKER_VERSION),
  state: z.enum(["open", "closed"]),
  /** `rate`: PW_MAX_BLOCKS_PER_MINUTE; `total`: PW_MAX_BLOCKED; `quiet`: PW_BREAKER_QUIET has passed. */
  reason: z.enum(["rate", "total", "quiet", "operator"]),
  changedBy: name,
  changedUs: timestampUs,
  /** Detectors' blocks from this sequence on are withdrawn while it is open. */
  fromSequence: z.number().int().nonnegative(),
  /** When a block was last held back, roughly. */
  lastHeldUs: timestampUs,
  /** An attempt within one of these decides no block, in a replay either. */
  periods: z.array(period).max(MAX_BREAKER_PERIODS),
});
export type BreakerMessage = z.infer<typeof breakerSchema>;

export function encodeBreaker(message: BreakerMessage): Uint8Array {
  return encodeJson(message);
}

/** Throws ContractError. */
export function decodeBreaker(payload: Uint8Array): BreakerMessage {
  return parseJson("breaker v1", breakerSchema, payload);
}

/** The message that closes an open breaker. */
export function closedBreaker(
  open: BreakerMessage,
  change: Pick<BreakerMessage, "reason" | "changedBy" | "changedUs">,
): BreakerMessage {
  const periods = open.periods.map((one) => ({ ...one, untilUs: one.untilUs ?? change.changedUs }));
  return { ...open, ...change, state: "closed", periods };
}
