import { headers, InvalidArgumentError, type MsgHdrs } from "@nats-io/transport-node";
import type { Acknowledgement } from "./acknowledgements.ts";
import { BusError } from "./bus-error.ts";
import type { Bus } from "./connect-bus.ts";

export type PublishOptions = {
  /** The server drops a message whose id it has seen within the stream's duplicate window. */
  readonly messageId?: string;
  /** Whole seconds until the message expires; 0 or missing: never. */
  readonly ttlSeconds?: number;
};

/** Publishes to a stream and waits until it is stored; throws BusError. */
export async function publishAcknowledged(
  bus: Bus,
  subject: string,
  payload: Uint8Array,
  options: PublishOptions = {},
): Promise<Acknowledgement> {
  try {
    const publication = { subject, payload, headers: createHeaders(options) };
    return await bus.acknowledgements.publish(publication);
  } catch (cause) {
    const detail = `publish on ${subject}: ${(cause as Error).message}`;
    // A message that is too large stays so.
    const retryable = !(cause instanceof InvalidArgumentError);
    throw new BusError("PUBLISH", subject, detail, { cause, retryable });
  }
}

function createHeaders({ messageId, ttlSeconds }: PublishOptions): MsgHdrs {
  const created = headers();
  if (messageId !== undefined) created.set("Nats-Msg-Id", messageId);
  if (ttlSeconds) created.set("Nats-TTL", `${Math.ceil(ttlSeconds)}s`);
  return created;
}
