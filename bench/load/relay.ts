/**
 * Hands on what comes, and does nothing else: what NATS and waking a process cost by themselves. Without `from` it
 * publishes the time whenever a line comes in; without `to` it prints how many nanoseconds ago that was. Says `ready`
 * once it listens, and ends with its input.
 *
 *     node relay.js '{"server": ..., "from": {"subject": ..., "stream": ...}, "to": SUBJECT}'
 */
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

export type Relay = {
  readonly server: string;
  /** Without a stream, as plain NATS brings it. */
  readonly from?: { readonly subject: string; readonly stream?: string };
  readonly to?: string;
};

const { server, from, to } = JSON.parse(process.argv[2] ?? "{}") as Relay;
const connection = await connect({ servers: server, noAsyncTraces: true });

// CLOCK_MONOTONIC, which all processes share.
function now(): Uint8Array {
  const stamp = new BigUint64Array([process.hrtime.bigint()]);
  return new Uint8Array(stamp.buffer);
}

function handOn(data: Uint8Array): void {
  if (to !== undefined) return connection.publish(to, data);
  const elapsedNs = process.hrtime.bigint() - Buffer.from(data).readBigUInt64LE();
  console.log(String(elapsedNs));
}

async function consume(stream: string): Promise<void> {
  const manager = await jetstreamManager(connection, { checkAPI: false });
  const { name } = await manager.consumers.add(stream, {
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.New,
    mem_storage: true,
  });
  const consumer = await jetstream(connection).consumers.get(stream, name);
  await consumer.consume({ callback: ({ data }) => handOn(data) });
}

if (from?.stream !== undefined) await consume(from.stream);
else if (from) connection.subscribe(from.subject, { callback: (_, { data }) => handOn(data) });
process.stdin.on("data", () => handOn(now()));
process.stdin.once("end", () => process.exit());
await connection.flush();
console.log("ready");
