import { createHash } from "node:crypto";

export type ShardAssignmentOptions = {
  readonly members: readonly string[];
  readonly shards: number;
};

/**
 * Who owns which shard, by rendezvous hashing: every member draws a number for every shard from its name alone, and the
 * highest draw owns it. So all who know the same members agree without talking, whatever order they know them in; a member
 * that joins takes only what it owns from then on, and one that leaves gives up only what it owned.
 *
 * Every member is in the result, with its shards in ascending order; one may own none.
 */
export function assignShards({ members, shards }: ShardAssignmentOptions): Map<string, number[]> {
  const owned = new Map<string, number[]>(members.map((member) => [member, []]));
  const distinctMembers = [...owned.keys()];
  for (let shard = 0; shard < shards && distinctMembers.length > 0; shard++) {
    owned.get(ownerOf(shard, distinctMembers))!.push(shard);
  }
  return owned;
}

function ownerOf(shard: number, members: readonly string[]): string {
  return members.reduce((owner, member) => (outdraws(shard, member, owner) ? member : owner));
}

function outdraws(shard: number, challenger: string, owner: string): boolean {
  const difference = Buffer.compare(drawOf(shard, challenger), drawOf(shard, owner));
  return difference > 0;
}

/** 256 bits, so that no two names ever draw the same. */
function drawOf(shard: number, member: string): Buffer {
  return createHash("sha256").update(`${shard}/${member}`).digest();
}
