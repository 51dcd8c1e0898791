/** A measured quantity over several rounds. */
export type Spread = {
  readonly median: number;
  /** The tenth and the ninetieth percentile. */
  readonly low: number;
  readonly high: number;
  readonly samples: number;
};

/** The nearest-rank percentile, `share` from 0 to 1. Throws where there is nothing to rank. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new RangeError("there is no percentile of no values");
  return value;
}

export function spreadOf(values: readonly number[]): Spread {
  return {
    median: percentile(values, 0.5),
    low: percentile(values, 0.1),
    high: percentile(values, 0.9),
    samples: values.length,
  };
}

/** How much `ys` grow for each one of `xs`, by least squares; 0 where there are fewer than two. */
export function slopeOf(xs: readonly number[], ys: readonly number[]): number {
  const meanOf = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanX, meanY] = [meanOf(xs), meanOf(ys)];
  let products = 0;
  let squares = 0;
  for (const [index, x] of xs.entries()) {
    products += (x - meanX) * ((ys[index] ?? Number.NaN) - meanY);
    squares += (x - meanX) ** 2;
  }
  return squares === 0 ? 0 : products / squares;
}

/** The quotients of what was measured in the same rounds, so that a slow round slows both. */
export function ratios(values: readonly number[], to: readonly number[]): readonly number[] {
  return values.map((value, round) => value / (to[round] ?? Number.NaN));
}
