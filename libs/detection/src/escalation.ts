/** How the blocks of a source that comes back grow. */
export type Escalation = {
  /** Each block lasts so many times as long as the one before. */
  readonly factor: number;
  /** The longest that one grows to. */
  readonly maxTtlUs: number;
  /** So long after the end of a block the next one counts as a repetition. */
  readonly memoryUs: number;
};

/** The share of its length by which a repeated block may end early. */
const JITTER = 0.1;

export type Repetition = {
  /** How long the first block lasts. */
  readonly blockTtlUs: number;
  /** 1 is the first block, 2 the next one. */
  readonly offence: number;
  /** The verdict's, of which the jitter is a function: whoever decides it again comes to the same end. */
  readonly verdictId: string;
};

/**
 * How long a block lasts, in whole microseconds: the first one exactly `blockTtlUs`, a repeated one longer and
 * somewhat less than what the factor makes of it, so that nobody can tell when to come back.
 */
export function escalatedTtlUs(
  { blockTtlUs, offence, verdictId }: Repetition,
  { factor, maxTtlUs }: Escalation,
): number {
  if (offence <= 1) return blockTtlUs;
  const grownUs = Math.min(blockTtlUs * factor ** (offence - 1), maxTtlUs);
  const share = Number.parseInt(verdictId.slice(0, 8), 16) / 2 ** 32;
  return Math.max(blockTtlUs, Math.round(grownUs * (1 - JITTER * share)));
}
