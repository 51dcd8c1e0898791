import type { BreakerMessage } from "@packetwatch/contracts";
import { formatDuration } from "../duration.ts";
import { listNames } from "../hosts/effect.ts";
import { printable } from "../printable.ts";
import { LocalTime } from "../tail/time-text.ts";
import type { DetectorEffect } from "./detector-watch.ts";

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

/** `known to 2/2 detectors after 310 ms`; `known to 1/2 detectors; d2 did not say so within 5s`. */
export function describeDetectors(effect: DetectorEffect): string {
  const { done, late, durationMs, waitedMs } = effect;
  const known = done.length + late.length;
  if (known === 0) return "no detector is heard; each takes it in when it is back";
  const head = `known to ${done.length}/${known} ${known === 1 ? "detector" : "detectors"}`;
  if (late.length === 0) return `${head} after ${durationMs} ms`;
  return `${head}; ${listNames(late)} did not say so within ${formatDuration(waitedMs / 1000)}`;
}
