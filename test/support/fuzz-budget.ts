/**
 * How much to fuzz. FUZZ_FACTOR=20 tries twenty times as much; FUZZ_SEED
 * repeats a run, which prints its seed in the titles of its tests.
 */
export const fuzzSeed: number = Number(process.env["FUZZ_SEED"] ?? Date.now() % 2 ** 31);

export function fuzzRuns(runs: number): number {
  return Math.ceil(runs * Number(process.env["FUZZ_FACTOR"] ?? 1));
}

/** For fast-check's assert(). */
export function fuzzed(runs: number): { readonly seed: number; readonly numRuns: number } {
  return { seed: fuzzSeed, numRuns: fuzzRuns(runs) };
}
