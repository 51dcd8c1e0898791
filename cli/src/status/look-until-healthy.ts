import { setTimeout as delay } from "node:timers/promises";
import { BusError } from "@packetwatch/bus";
import { CliError } from "../cli-error.ts";
import type { Diagnosis } from "./diagnose.ts";

/** Services tell about themselves once a second. */
const LOOK_AGAIN_MS = 250;

/**
 * The first report in which nothing is amiss, or the last that was begun within `waitMs`: at least one. A look that
 * fails with what may pass, as while JetStream elects a leader, counts as one that found something.
 */
export async function lookUntilHealthy<T extends { readonly diagnosis: Diagnosis }>(
  look: () => Promise<T>,
  waitMs: number,
): Promise<T> {
  const endMs = performance.now() + waitMs;
  for (;;) {
    const isLast = () => performance.now() >= endMs;
    try {
      const report = await look();
      if (report.diagnosis.reasons.length === 0 || isLast()) return report;
    } catch (error) {
      if (!mayPass(error) || isLast()) throw error;
    }
    await delay(LOOK_AGAIN_MS);
  }
}

function mayPass(error: unknown): boolean {
  return (error instanceof BusError || error instanceof CliError) && error.retryable;
}
