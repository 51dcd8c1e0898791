import { type Bus, type StartPosition, type StreamMessage, StreamReader } from "@packetwatch/bus";
import { CliError } from "../cli-error.ts";

const PREFETCH = 1000;

export type ReadSnapshotOptions = {
  readonly bus: Bus;
  readonly stream: string;
  readonly filter: string;
  readonly start: StartPosition;
  /** How long the stream may say nothing. */
  readonly timeoutMs: number;
  readonly onMessage: (message: StreamMessage) => void;
  /** Asked after each message; true ends the reading early. */
  readonly isEnough?: () => boolean;
};

/** Delivers what a stream holds now; throws CliError: STREAM_UNREADABLE. */
export async function readSnapshot(options: ReadSnapshotOptions): Promise<void> {
  const { bus, stream, filter, start, timeoutMs } = options;
  const watchdog = new Watchdog(timeoutMs);
  const trouble = { text: "no answer" };
  const reader = new StreamReader({
    bus,
    stream,
    filter,
    start,
    prefetch: PREFETCH,
    onMessage: (message) => {
      watchdog.refresh();
      options.onMessage(message);
      if (options.isEnough?.()) watchdog.dismiss();
    },
    onCaughtUp: () => watchdog.dismiss(),
    logger: rememberTrouble(trouble),
  });
  const isInTime = await watchdog.isInTime;
  await reader.close();
  if (isInTime) return;
  const seconds = timeoutMs / 1000;
  const detail = `read stream ${stream}: ${trouble.text} within ${seconds} s; is a detector running?`;
  throw new CliError("STREAM_UNREADABLE", detail);
}

/**
 * The last message of each subject, without those that say that it was removed or has expired;
 * throws CliError: STREAM_UNREADABLE.
 */
export async function readLastMessages(
  options: Pick<ReadSnapshotOptions, "bus" | "stream" | "filter" | "timeoutMs">,
): Promise<readonly StreamMessage[]> {
  const messages: StreamMessage[] = [];
  await readSnapshot({
    ...options,
    start: { kind: "last_per_subject" },
    onMessage: (message) => {
      if (message.markerReason === undefined) messages.push(message);
    },
  });
  return messages;
}

class Watchdog {
  /** True when it was dismissed, false when the time was over. */
  readonly isInTime: Promise<boolean>;
  readonly #timer: NodeJS.Timeout;
  #settle: (isInTime: boolean) => void = () => undefined;

  constructor(timeoutMs: number) {
    this.isInTime = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#timer = setTimeout(() => this.#settle(false), timeoutMs);
  }

  refresh(): void {
    this.#timer.refresh();
  }

  dismiss(): void {
    clearTimeout(this.#timer);
    this.#settle(true);
  }
}

/** The reader tries again for ever; why it fails is told when the time is over. */
function rememberTrouble(trouble: { text: string }) {
  const ignore = () => undefined;
  const warn = (fields: object) => {
    if ("cause" in fields) trouble.text = String(fields.cause);
  };
  return { debug: ignore, info: ignore, warn, error: warn };
}
