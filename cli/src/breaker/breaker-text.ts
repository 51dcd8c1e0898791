import type { BreakerMessage } from "@packetwatch/contracts";
import { printable } from "../printable.ts";
import { LocalTime } from "../tail/time-text.ts";

const reasonTexts = {
  rate: "more than PW_MAX_BLOCKS_PER_MINUTE blocks in a minute",
  total: "more than PW_MAX_BLOCKED blocks in all",
  quiet: "nobody was to be blocked for PW_BREAKER_QUIET seconds",
  operator: "an operator closed it",
} as const satisfies Record<BreakerMessage["reason"], string>;

/** `open since 2026-11-22 09:00:00 (detector/d1): more than PW_MAX_BLOCKED blocks in all`. */
export function describeBreaker(message: BreakerMessage | undefined): string {
  if (message === undefined) return "closed; it was never open";
  const { state, changedUs, changedBy, reason } = message;
  const since = new LocalTime().format(changedUs);
  return `${state} since ${since} (${printable(changedBy)}): ${reasonTexts[reason]}`;
}
