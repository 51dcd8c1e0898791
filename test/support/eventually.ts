import { setTimeout as delay } from "node:timers/promises";

const POLL_MS = 5;
/** Others use the machine too: whatever takes time may take so many times as long before it counts as failed. */
const PATIENCE = 3;

export type WaitOptions = {
  /** On a machine that does nothing else. */
  readonly timeoutMs: number;
  /** Completes "waited N ms for ...". */
  readonly what: string;
};

/**
 * Polls until the condition holds, and gives what it returned; throws when the
 * time is over. What the condition throws counts as not yet, and becomes the cause.
 */
export async function waitUntil<T>(
  condition: () => T | Promise<T>,
  { timeoutMs, what }: WaitOptions,
): Promise<Exclude<T, false | null | undefined>> {
  const limitMs = timeoutMs * PATIENCE;
  const deadlineMs = performance.now() + limitMs;
  let cause: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value !== false && value !== null && value !== undefined) {
        return value as Exclude<T, false | null | undefined>;
      }
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= deadlineMs)
      throw new Error(`waited ${limitMs} ms for ${what}`, { cause });
    await delay(POLL_MS);
  }
}

/** Watches that the condition holds for the whole time: for what must not happen. */
export async function holdsFor(
  condition: () => boolean,
  { timeoutMs, what }: WaitOptions,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (performance.now() < deadlineMs) {
    if (!condition()) throw new Error(`${what} did not hold for ${timeoutMs} ms`);
    await delay(POLL_MS);
  }
}

/** The promise's value, or an error when it takes longer than it may. */
export async function within<T>(promise: Promise<T>, { timeoutMs, what }: WaitOptions): Promise<T> {
  const limitMs = timeoutMs * PATIENCE;
  const timer = new AbortController();
  const late = delay(limitMs, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`waited ${limitMs} ms for ${what}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    late.catch(() => undefined);
    timer.abort();
  }
}
