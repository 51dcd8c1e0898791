/**
 * Takes the messages of some shards from NATS and does nothing with them: what a process costs by having a share. Says
 * `ready` once it listens, and for each line that comes in how many it has had so far; ends with its input.
 *
 *     node shard-taker.js '{"server": ..., "shards": [...]}'
 */
import { connect } from "@nats-io/transport-node";
import { synSubject } from "@packetwatch/contracts";

export type ShardTaker = {
  readonly server: string;
  readonly shards: readonly number[];
};

const { server, shards } = JSON.parse(process.argv[2] ?? "{}") as ShardTaker;
const connection = await connect({ servers: server, noAsyncTraces: true });
let taken = 0;
const callback = () => void taken++;
for (const shard of shards) connection.subscribe(synSubject(shard), { callback });
process.stdin.on("data", () => console.log(String(taken)));
process.stdin.once("end", () => process.exit());
await connection.flush();
console.log("ready");
