/**
 * Hands on what comes, and does nothing else: what NATS and waking a process cost by themselves. Without `from` it
 * publishes the time whenever a line comes in; without `to` it prints how many nanoseconds ago that was. Says `ready`
 * once it listens, and ends with its input.
 *
 *     node relay.js '{"server": ..., "from": SUBJECT, "to": SUBJECT}'
 */
import { connect } from "@nats-io/transport-node";

export type Relay = {
  readonly server: string;
  readonly from?: string;
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

if (from !== undefined) connection.subscribe(from, { callback: (_, { data }) => handOn(data) });
process.stdin.on("data", () => handOn(now()));
process.stdin.once("end", () => process.exit());
await connection.flush();
console.log("ready");
