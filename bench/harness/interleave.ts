/** Something that is measured once a round. */
export type Case = {
  readonly name: string;
  readonly measure: () => number | Promise<number>;
};

/**
 * Measures every case once a round: A B C, B C A, C A B and so on. What else
 * the machine does falls on all of them alike, and none always follows the
 * same one. Gives each case's values by round.
 */
export async function interleave(
  cases: readonly Case[],
  rounds: number,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const values = new Map(cases.map(({ name }): [string, number[]] => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < cases.length; turn++) {
      const { name, measure } = cases[(round + turn) % cases.length] as Case;
      values.get(name)?.push(await measure());
    }
  }
  return values;
}
