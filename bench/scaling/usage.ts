import { figure, type Figure } from "../harness/bench-report.ts";

/** What processes that share the shards took of the CPU while SYNs came. */
export type Usage = {
  readonly processes: number;
  /** CPU seconds of all of them for a million SYNs. */
  readonly perMillion: number;
  /** Cores that all of them took meanwhile. */
  readonly cores: number;
};

export type UsageNames = {
  readonly one: string;
  readonly many: string;
  /** Times of what one takes for a million SYNs. */
  readonly maxGrowth?: number;
};

/** The first is that of one process. */
export function usageFigures(
  usages: readonly Usage[],
  { one, many, maxGrowth }: UsageNames,
): readonly Figure[] {
  const [first, ...more] = usages as readonly [Usage, ...Usage[]];
  const cpu = (of: string, seconds: number) =>
    figure(`${of}: CPU of all for a million SYNs`, [seconds], { unit: "s" });
  const goal = maxGrowth === undefined ? {} : { goal: { atMost: maxGrowth } };
  return [
    cpu(`1 ${one}`, first.perMillion),
    ...more.flatMap(({ processes, perMillion }) => [
      cpu(`${processes} ${many}`, perMillion),
      figure("in place of one's", [perMillion / first.perMillion], { unit: "times", ...goal }),
    ]),
    figure(
      `what one more ${one} adds under this load`,
      growths(usages).map((cores) => cores * 100),
      { unit: "% of a core" },
    ),
  ];
}

/** Cores that each process beyond the first takes, for each size of the group. */
export function growths(usages: readonly Usage[]): readonly number[] {
  const [one, ...more] = usages as readonly [Usage, ...Usage[]];
  return more.map(({ cores, processes }) => (cores - one.cores) / (processes - one.processes));
}
