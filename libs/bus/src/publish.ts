import { InvalidArgumentError } from "@nats-io/transport-node";
import { BusError } from "./bus-error.ts";
import type { Bus } from "./connect-bus.ts";

/** How long a publish may wait for its acknowledgement. */
export const ACKNOWLEDGE_TIMEOUT_MS = 2000;

export type PublishOptions = {
  /** The server drops a message whose id it has seen within the stream's duplicate window. */
  readonly messageId?: string;
  /** Whole seconds until the message expires; 0 or missing: never. */
  readonly ttlSeconds?: number;
};

export type Acknowledgement = {
  readonly sequence: number;
  readonly duplicate: boolean;
};

/** Publishes to a stream and waits until it is stored; throws BusError. */
export async function publishAcknowledged(
  bus: Bus,
  subject: string,
  payload: Uint8Array,
  { messageId, ttlSeconds }: PublishOptions = {},
): Promise<Acknowledgement> {
  try {
    const ack = await bus.jetstream.publish(subject, payload, {
      timeout: ACKNOWLEDGE_TIMEOUT_MS,
      ...(messageId === undefined ? {} : { msgID: messageId }),
      ...(ttlSeconds ? { ttl: `${Math.ceil(ttlSeconds)}s` } : {}),
    });
    return { sequence: ack.seq, duplicate: ack.duplicate };
  } catch (cause) {
    const detail = `publish on ${subject}: ${(cause as Error).message}`;
    // A message that is too large stays so.
    const retryable = !(cause instanceof InvalidArgumentError);
    throw new BusError("PUBLISH", subject, detail, { cause, retryable });
  }
}
