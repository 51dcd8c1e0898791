// Prints who is blocked now, and ends: node block-list.mjs [SUBJECT]
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { connectToNats } from "../shared/connect.mjs";

const STREAM = "PACKETWATCH_VERDICT";
const BATCH = 500;

const [subject = "packetwatch.v1.verdict.>"] = process.argv.slice(2);
const connection = await connectToNats("block list");

// The list is the stream: the last message of each subject is in force.
const manager = await jetstreamManager(connection);
const { name, num_pending: total } = await manager.consumers.add(STREAM, {
  name: `block-list-${process.pid}-${Date.now()}`,
  deliver_policy: DeliverPolicy.LastPerSubject,
  filter_subject: subject,
  ack_policy: AckPolicy.None,
  inactive_threshold: nanos(10_000), // Then the server removes it.
});
const consumer = await jetstream(connection).consumers.get(STREAM, name);

for (let read = 0; read < total;) {
  const before = read;
  for await (const message of await consumer.fetch({
    max_messages: Math.min(BATCH, total - read),
  })) {
    read++;
    // The mark of a block that has ended has no payload, and an unblock is not in force.
    const verdict = message.data.length > 0 ? message.json() : { kind: "ended" };
    if (verdict.kind === "block") print(verdict);
  }
  if (read === before) break; // The rest has left the list meanwhile.
}
await connection.close();

function print({ source, rule, expiresUs }) {
  const until =
    expiresUs === null ? "until it is lifted" : new Date(expiresUs / 1000).toISOString();
  console.log(`${source} ${rule} ${until}`);
}
