import type { MachineFacts } from "./machine-facts.ts";
import { type Spread, spreadOf } from "./statistics.ts";

/** Where a figure has to arrive. */
export type Goal = { readonly atMost: number } | { readonly atLeast: number };

export type Figure = Spread & {
  readonly name: string;
  readonly unit: string;
  readonly goal?: Goal;
};

/** What must hold on any machine, however slow: counts that balance, answers that are right. */
export type Check = { readonly what: string; readonly holds: boolean };

export type BenchResult = {
  readonly figures: readonly Figure[];
  readonly checks: readonly Check[];
  /** Over what was computed and has to be the same in every run; absent where nothing is. */
  readonly hash?: string;
  /** What the figures alone don't say. */
  readonly notes?: readonly string[];
};

export type BenchReport = BenchResult & {
  readonly bench: string;
  readonly title: string;
  readonly method: readonly string[];
  readonly size: BenchSize;
  readonly startedAt: string;
  readonly seconds: number;
  readonly machine: MachineFacts;
};

export type BenchSize = "smoke" | "full";

export type FigureOptions = { readonly unit: string; readonly goal?: Goal };

/** A figure over the values of several rounds, or of one. */
export function figure(
  name: string,
  values: readonly number[],
  { unit, goal }: FigureOptions,
): Figure {
  return { name, unit, ...spreadOf(values), ...(goal ? { goal } : {}) };
}

export function check(what: string, actual: unknown, expected: unknown = true): Check {
  const holds = JSON.stringify(actual) === JSON.stringify(expected);
  const found = `: ${JSON.stringify(actual)} in place of ${JSON.stringify(expected)}`;
  return { what: holds ? what : what + found, holds };
}

export function isMet({ median, goal }: Figure): boolean | undefined {
  if (goal === undefined) return undefined;
  return "atMost" in goal ? median <= goal.atMost : median >= goal.atLeast;
}
