import { JetStreamApiError } from "@nats-io/jetstream";
import { headers, InvalidArgumentError, type MsgHdrs } from "@nats-io/transport-node";
import type { Acknowledgement } from "./acknowledgements.ts";
import { BusError } from "./bus-error.ts";
import type { Bus } from "./connect-bus.ts";

export type PublishOptions = {
  /** The server drops a message whose id it has seen within the stream's duplicate window. */
  readonly messageId?: string;
  /** Whole seconds until the message expires; 0 or missing: never. */
  readonly ttlSeconds?: number;
  /** Stores it only where this is the subject's last message; 0: where it has none. */
  readonly lastSubjectSequence?: number;
  readonly headers?: Readonly<Record<string, string>>;
};

/** Another message came in between: JetStream's "wrong last sequence". */
const WRONG_LAST_SEQUENCE = 10071;

/** JetStream's error code for what a stream has no room for; with another text it stands for trouble of the store. */
const STORE_FAILED = 10077;
const LIMIT_EXCEEDED = /^maximum (messages|bytes)( per subject)? exceeded$/;

/** Publishes to a stream and waits until it is stored; throws BusError, STREAM_FULL where there is no room for it. */
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
    if (isStreamFull(cause)) {
      throw new BusError("STREAM_FULL", subject, detail, { cause, retryable: false });
    }
    // A message that is too large stays so.
    const retryable = !(cause instanceof InvalidArgumentError) && !isOvertaken(cause);
    throw new BusError("PUBLISH", subject, detail, { cause, retryable });
  }
}

/** Whether a publish failed because the subject's last message was another than expected. */
export function isOvertaken(error: unknown): boolean {
  const cause = error instanceof BusError ? error.cause : error;
  return cause instanceof JetStreamApiError && cause.code === WRONG_LAST_SEQUENCE;
}

function createHeaders(options: PublishOptions): MsgHdrs {
  const { messageId, ttlSeconds, lastSubjectSequence } = options;
  const created = headers();
  for (const [name, value] of Object.entries(options.headers ?? {})) created.set(name, value);
  if (messageId !== undefined) created.set("Nats-Msg-Id", messageId);
  if (ttlSeconds) created.set("Nats-TTL", `${Math.ceil(ttlSeconds)}s`);
  if (lastSubjectSequence !== undefined) {
    created.set("Nats-Expected-Last-Subject-Sequence", String(lastSubjectSequence));
  }
  return created;
}

function isStreamFull(cause: unknown): boolean {
  if (!(cause instanceof JetStreamApiError)) return false;
  return cause.code === STORE_FAILED && LIMIT_EXCEEDED.test(cause.message);
}
