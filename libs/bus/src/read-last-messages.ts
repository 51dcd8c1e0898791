import { BusError } from "./bus-error.ts";
import type { Bus } from "./connect-bus.ts";
import { type StreamMessage, StreamReader } from "./stream-reader.ts";

const PREFETCH = 1000;

export type ReadLastOptions = {
  readonly stream: string;
  readonly filter: string;
  readonly timeoutMs: number;
};

/**
 * The last message of each subject, without those that say that it was removed
 * or has expired. Throws BusError where they can't be read in time.
 */
export async function readLastMessages(
  bus: Bus,
  { stream, filter, timeoutMs }: ReadLastOptions,
): Promise<readonly StreamMessage[]> {
  const messages: StreamMessage[] = [];
  const trouble = { text: "no answer" };
  let reader: StreamReader | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(unreadable(stream, trouble.text, timeoutMs)), timeoutMs);
      reader = new StreamReader({
        bus,
        stream,
        filter,
        start: { kind: "last_per_subject" },
        prefetch: PREFETCH,
        onMessage: (message) => {
          if (message.markerReason === undefined) messages.push(message);
        },
        onCaughtUp: () => resolve(),
        logger: rememberTrouble(trouble),
      });
    });
    return messages;
  } finally {
    clearTimeout(timer);
    await reader?.close();
  }
}

function unreadable(stream: string, cause: string, timeoutMs: number): BusError {
  const detail = `read stream ${stream}: ${cause} within ${timeoutMs / 1000} s; is a detector running?`;
  return new BusError("STREAM", stream, detail, { retryable: true });
}

/** The reader tries again for ever; why it fails is told when the time is over. */
function rememberTrouble(trouble: { text: string }) {
  const ignore = () => undefined;
  const warn = (fields: object) => {
    if ("cause" in fields) trouble.text = String(fields.cause);
  };
  return { debug: ignore, info: ignore, warn, error: warn };
}
