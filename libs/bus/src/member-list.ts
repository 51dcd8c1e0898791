/** Members that are known at most; a group has 64 shards to give away. */
export const MAX_MEMBERS = 256;

/** Who is in a group, by when each was last heard. Pure: the caller brings the time. */
export class MemberList {
  readonly #ttlMs: number;
  readonly #heardMs = new Map<string, number>();

  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs;
  }

  /** False where there is no room for another. */
  hear(member: string, nowMs: number): boolean {
    if (!this.#heardMs.has(member) && this.#heardMs.size >= MAX_MEMBERS) return false;
    this.#heardMs.set(member, nowMs);
    return true;
  }

  leave(member: string): void {
    this.#heardMs.delete(member);
  }

  /** Those heard within the TTL, in the order of their names; the others are forgotten. */
  alive(nowMs: number): readonly string[] {
    for (const [member, heardMs] of this.#heardMs) {
      if (nowMs - heardMs > this.#ttlMs) this.#heardMs.delete(member);
    }
    return [...this.#heardMs.keys()].toSorted();
  }

  /** Everybody counts as heard now: while NATS was away nobody could be. */
  excuse(nowMs: number): void {
    for (const member of this.#heardMs.keys()) this.#heardMs.set(member, nowMs);
  }
}
