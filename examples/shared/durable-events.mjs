// Verdicts and alerts, each at least once: a durable consumer of PACKETWATCH_HISTORY remembers what was acknowledged.
import { setTimeout as sleep } from "node:timers/promises";
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { readEvent } from "./read-event.mjs";

const STREAM = "PACKETWATCH_HISTORY";
const SUBJECTS = ["packetwatch.v1.verdict.>", "packetwatch.v1.alert.>"];
/** One message is under way, so that they stay in order. The rest waits in the stream: that is the queue, and its bound. */
const IN_FLIGHT = 1;
/** A message of which nothing is heard for so long is sent again, to whoever asks under the durable name. */
const ACK_WAIT_MS = 10_000;
const RETRY_MS = 1000;

/**
 * Hands each event to `deliver(event, message)`, one after the other, and acknowledges it when that returns. Begins
 * with what comes after the first start under this `durable` name. Ends when `signal` aborts; what is not
 * acknowledged then comes after the next start.
 */
export async function deliverEvents(connection, { durable, deliver, signal }) {
  while (!signal.aborted) {
    try {
      const messages = await openConsumer(connection, durable);
      const stop = () => void messages.close();
      signal.addEventListener("abort", stop);
      for await (const message of messages) await deliverOne(message, deliver);
      signal.removeEventListener("abort", stop);
    } catch (error) {
      if (!signal.aborted) console.error(`${STREAM}: ${error.message}; trying again`);
    }
    await Promise.allSettled([sleep(RETRY_MS, undefined, { signal })]);
  }
  await connection.drain();
}

async function openConsumer(connection, durable) {
  const manager = await jetstreamManager(connection);
  await manager.consumers.add(STREAM, {
    durable_name: durable,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ACK_WAIT_MS),
    deliver_policy: DeliverPolicy.New,
    filter_subjects: SUBJECTS,
    max_ack_pending: IN_FLIGHT,
  });
  const consumer = await jetstream(connection).consumers.get(STREAM, durable);
  return consumer.consume({ max_messages: IN_FLIGHT, abort_on_missing_resource: true });
}

async function deliverOne(message, deliver) {
  const event = readEvent(message);
  if (event === undefined) {
    console.error(`${message.subject}: not an event that this program knows; left out`);
  } else {
    const stillAtIt = setInterval(() => message.working(), ACK_WAIT_MS / 4);
    await deliver(event, message).finally(() => clearInterval(stillAtIt));
  }
  message.ack();
}
