import { createHash } from "node:crypto";

/**
 * Who owns which shard, by rendezvous hashing: every member draws a number for every shard from its name alone, and the
 * highest draw owns it. So all who know the same members agree without talking, whatever order they know them in; a member
 * that joins takes only what it owns from then on, and one that leaves gives up only what it owned.
 */
export class ShardAssignment {
  readonly #shards: number;
  /** By member; of those of the last assignment. */
  #draws: ReadonlyMap<string, readonly Buffer[]> = new Map();

  constructor(shards: number) {
    this.#shards = shards;
  }

  /** Every member is in the result, with its shards in ascending order; one may own none. */
  assign(members: readonly string[]): Map<string, number[]> {
    const drawn = members.map((member) => [member, this.#drawsOf(member)] as const);
    this.#draws = new Map(drawn);
    const owned = new Map<string, number[]>(members.map((member) => [member, []]));
    for (let shard = 0; shard < this.#shards && owned.size > 0; shard++) {
      owned.get(this.#ownerOf(shard))!.push(shard);
    }
    return owned;
  }

  #ownerOf(shard: number): string {
    const draws = [...this.#draws];
    const [owner] = draws.reduce((best, next) =>
      Buffer.compare(next[1][shard]!, best[1][shard]!) > 0 ? next : best,
    );
    return owner;
  }

  #drawsOf(member: string): readonly Buffer[] {
    const known = this.#draws.get(member);
    return known ?? Array.from({ length: this.#shards }, (_, shard) => draw(shard, member));
  }
}

/** 256 bits, so that no two names ever draw the same. */
function draw(shard: number, member: string): Buffer {
  return createHash("sha256").update(`${shard}/${member}`).digest();
}
