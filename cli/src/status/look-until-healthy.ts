import { setTimeout as delay } from "node:timers/promises";
import type { Diagnosis } from "./diagnose.ts";

/** Services tell about themselves once a second. */
const LOOK_AGAIN_MS = 250;

/** The first report in which nothing is amiss, or the last that was begun within `waitMs`: at least one. */
export async function lookUntilHealthy<T extends { readonly diagnosis: Diagnosis }>(
  look: () => Promise<T>,
  waitMs: number,
): Promise<T> {
  const endMs = performance.now() + waitMs;
  for (;;) {
    const report = await look();
    if (report.diagnosis.reasons.length === 0 || performance.now() >= endMs) return report;
    await delay(LOOK_AGAIN_MS);
  }
}
