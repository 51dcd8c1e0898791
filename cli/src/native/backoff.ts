/** How long to wait before a process that died is started again. */

const FIRST_DELAY_MS = 500;
export const LONGEST_DELAY_MS = 30_000;
/** A process that ran this long had nothing wrong with its start. */
export const STABLE_AFTER_MS = 60_000;

/** Deaths in a row, the one at hand included; a long run before it starts the count anew. */
export function countDeaths(previous: number, ranForMs: number): number {
  return ranForMs >= STABLE_AFTER_MS ? 1 : previous + 1;
}

/** Doubles with every death in a row, up to LONGEST_DELAY_MS. */
export function restartDelayMs(deathsInARow: number): number {
  const doublings = Math.max(deathsInARow - 1, 0);
  return Math.min(FIRST_DELAY_MS * 2 ** doublings, LONGEST_DELAY_MS);
}
