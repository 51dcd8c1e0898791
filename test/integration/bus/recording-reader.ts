import { type Bus, type StartPosition, type StreamMessage, StreamReader } from "@packetwatch/bus";
import { waitUntil } from "../../support/eventually.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";

const DELIVERY_TIMEOUT_MS = 10_000;

export type RecordingReaderOptions = {
  readonly bus: Bus;
  readonly stream: string;
  readonly filter: string;
  readonly start: StartPosition;
  readonly prefetch?: number;
  readonly rereadAfterMs?: number;
  /** Called with the first message. */
  readonly onFirst?: () => void;
};

/** A StreamReader that keeps what it is told, in order. */
export class RecordingReader {
  readonly reader: StreamReader;
  readonly logger = new RecordingLogger();
  /** Payloads as text, `caught up`, `lost` and `reread`, in the order of the calls. */
  readonly events: string[] = [];
  readonly messages: StreamMessage[] = [];

  constructor({ prefetch = 100, onFirst, ...options }: RecordingReaderOptions) {
    this.reader = new StreamReader({
      ...options,
      prefetch,
      logger: this.logger,
      onMessage: (message) => {
        if (this.messages.length === 0) onFirst?.();
        this.messages.push(message);
        this.events.push(text(message));
      },
      onCaughtUp: () => this.events.push("caught up"),
      onStreamLost: () => this.events.push("lost"),
      onReread: () => this.events.push("reread"),
    });
  }

  get payloads(): readonly string[] {
    return this.messages.map(text);
  }

  count(event: string): number {
    return this.events.filter((other) => other === event).length;
  }

  async delivered(payload: string): Promise<void> {
    const waitOptions = { timeoutMs: DELIVERY_TIMEOUT_MS, what: `"${payload}" to be delivered` };
    await waitUntil(() => this.events.includes(payload), waitOptions);
  }

  async caughtUp(times = 1): Promise<void> {
    await waitUntil(() => this.count("caught up") >= times, {
      timeoutMs: DELIVERY_TIMEOUT_MS,
      what: `the reader to catch up (${times})`,
    });
  }

  close(): Promise<void> {
    return this.reader.close();
  }
}

function text({ payload }: StreamMessage): string {
  return Buffer.from(payload).toString();
}
