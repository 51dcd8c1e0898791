import { type Bus, StreamReader, type StreamReaderOptions } from "@packetwatch/bus";
import {
  createSynEvent,
  streamNames,
  subjects,
  SynBatch,
  type SynEvent,
} from "@packetwatch/contracts";
import { RecordingLogger } from "./recording-logger.ts";

const PREFETCH = 1000;

export type SynStreamOptions = Pick<StreamReaderOptions, "onStreamLost"> & {
  /** The event is filled anew for the next one. */
  readonly onSyn: (event: SynEvent, host: string) => void;
};

/** Reads the SYN stream from its beginning, as a detector does. */
export class SynStream {
  readonly #options: SynStreamOptions;
  readonly #event = createSynEvent();
  readonly #reader: StreamReader;
  #total = 0;

  constructor(bus: Bus, options: SynStreamOptions) {
    this.#options = options;
    const { onStreamLost } = options;
    this.#reader = new StreamReader({
      bus,
      stream: streamNames.syn,
      filter: subjects.everySyn,
      start: { kind: "all" },
      prefetch: PREFETCH,
      logger: new RecordingLogger(),
      onMessage: ({ payload }) => this.#take(new SynBatch(payload)),
      ...(onStreamLost && { onStreamLost }),
    });
  }

  /** Attempts so far. */
  get total(): number {
    return this.#total;
  }

  close(): Promise<void> {
    return this.#reader.close();
  }

  #take(batch: SynBatch): void {
    for (let index = 0; index < batch.count; index++) {
      batch.read(index, this.#event);
      this.#options.onSyn(this.#event, batch.header.host);
    }
    this.#total += batch.count;
  }
}
