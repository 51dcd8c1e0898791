import type { Verdict } from "@packetwatch/contracts";
import { parsePrefix, type Prefix } from "@packetwatch/net";

/** A source that is to be blocked now. */
export type DesiredBlock = {
  readonly verdictId: string;
  readonly source: string;
  readonly prefix: Prefix;
  /** undefined: until it is lifted. */
  readonly expiresUs: number | undefined;
  /** Time of the deciding attempt, on its sensor's clock; undefined where an operator decided. */
  readonly decidingUs: number | undefined;
  readonly sequence: number;
};

/** What a message changes. */
export type Change =
  | { readonly kind: "block"; readonly block: DesiredBlock }
  | { readonly kind: "lift"; readonly block: DesiredBlock; readonly verdictId: string };

/**
 * The block list as the verdict stream has it: the last message of a subject
 * is the state of its source. Holds as much as the stream, which is bounded by
 * PW_MAX_VERDICTS, and leftovers: what the kernel holds of lists that were
 * lost, which is bounded by PW_BLOCKED_ENTRIES.
 */
export class DesiredBlocks {
  readonly #blocks = new Map<string, DesiredBlock>();
  /** Subjects that have not come again since the list is read anew. */
  #awaited = new Set<string>();
  /** Subjects that no message of this list has named. */
  readonly #leftovers = new Set<string>();

  get size(): number {
    return this.#blocks.size;
  }

  get leftovers(): number {
    return this.#leftovers.size;
  }

  values(): Iterable<DesiredBlock> {
    return this.#blocks.values();
  }

  /**
   * Takes in a verdict; undefined where it changes nothing. An unblock lifts
   * even what isn't known here: the map may hold it from an earlier list.
   */
  apply(
    subject: string,
    verdict: Verdict,
    at: { sequence: number; nowUs: number },
  ): Change | undefined {
    this.#awaited.delete(subject);
    this.#leftovers.delete(subject);
    if (verdict.kind === "unblock") {
      this.#blocks.delete(subject);
      return { kind: "lift", block: createBlock(verdict, at.sequence), verdictId: verdict.id };
    }
    const block = createBlock(verdict, at.sequence);
    if (block.expiresUs !== undefined && block.expiresUs <= at.nowUs) {
      return this.#lift(subject, verdict.id);
    }
    this.#blocks.set(subject, block);
    return { kind: "block", block };
  }

  /** Takes in the mark of a message that has expired or was removed. */
  remove(subject: string): Change | undefined {
    return this.#lift(subject, this.#blocks.get(subject)?.verdictId ?? "");
  }

  /** Forgets what has expired: the kernel drops nothing for it any more. */
  expire(nowUs: number): readonly Change[] {
    const changes: Change[] = [];
    for (const [subject, block] of this.#blocks) {
      if (block.expiresUs === undefined || block.expiresUs > nowUs) continue;
      const change = this.#lift(subject, block.verdictId);
      if (change) changes.push(change);
    }
    return changes;
  }

  /** The list is read anew: what doesn't come again until finish() has left it. Leftovers were never in it. */
  restart(): void {
    const subjects = [...this.#blocks.keys()];
    this.#awaited = new Set(subjects.filter((subject) => !this.#leftovers.has(subject)));
  }

  /** The list is gone: of what it held, what the kernel holds stays until it expires or is lifted. Gives that. */
  keep(isHeld: (block: DesiredBlock) => boolean): readonly DesiredBlock[] {
    this.#awaited.clear();
    for (const [subject, block] of this.#blocks) {
      if (isHeld(block)) this.#leftovers.add(subject);
      else this.#forget(subject);
    }
    return [...this.#blocks.values()];
  }

  /** Takes in what the kernel holds of a list that is gone; false where it is known. */
  adopt(subject: string, block: DesiredBlock): boolean {
    if (this.#blocks.has(subject)) return false;
    this.#blocks.set(subject, block);
    this.#leftovers.add(subject);
    return true;
  }

  finish(): void {
    for (const subject of this.#awaited) this.#blocks.delete(subject);
    this.#awaited.clear();
  }

  #lift(subject: string, verdictId: string): Change | undefined {
    const block = this.#blocks.get(subject);
    if (!block) return undefined;
    this.#forget(subject);
    return { kind: "lift", block, verdictId };
  }

  #forget(subject: string): void {
    this.#blocks.delete(subject);
    this.#leftovers.delete(subject);
  }
}

function createBlock(verdict: Verdict, sequence: number): DesiredBlock {
  const isBlock = verdict.kind === "block";
  return {
    verdictId: verdict.id,
    source: verdict.source,
    prefix: parsePrefix(verdict.source),
    expiresUs: isBlock ? (verdict.expiresUs ?? undefined) : undefined,
    decidingUs: isBlock && verdict.rule !== "operator" ? verdict.issuedUs : undefined,
    sequence,
  };
}
