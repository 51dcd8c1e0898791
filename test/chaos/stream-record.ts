import { type Bus, StreamReader } from "@packetwatch/bus";
import {
  createSynEvent,
  streamNames,
  subjects,
  SynBatch,
  type SynEvent,
} from "@packetwatch/contracts";
import { formatAddress } from "@packetwatch/net";
import { RecordingLogger } from "../support/recording-logger.ts";
import type { Attempt } from "./attempts.ts";

const PREFETCH = 1000;

/** Everything that reached the SYN stream, by host: what detectors have to go by. */
export class StreamRecord {
  readonly #attempts = new Map<string, Attempt[]>();
  readonly #event = createSynEvent();
  readonly #reader: StreamReader;
  #total = 0;

  constructor(bus: Bus) {
    this.#reader = new StreamReader({
      bus,
      stream: streamNames.syn,
      filter: subjects.everySyn,
      start: { kind: "all" },
      prefetch: PREFETCH,
      logger: new RecordingLogger(),
      onMessage: ({ payload }) => this.#take(new SynBatch(payload)),
      // What the stream held is gone, and with it what can be said about detectors.
      onStreamLost: () => {
        throw new Error("the SYN stream was made anew");
      },
    });
  }

  get total(): number {
    return this.#total;
  }

  of(host: string): readonly Attempt[] {
    return this.#attempts.get(host) ?? [];
  }

  get all(): readonly Attempt[] {
    return [...this.#attempts.values()].flat();
  }

  close(): Promise<void> {
    return this.#reader.close();
  }

  #take(batch: SynBatch): void {
    const { host } = batch.header;
    const attempts = this.#attempts.get(host) ?? [];
    this.#attempts.set(host, attempts);
    for (let index = 0; index < batch.count; index++) {
      batch.read(index, this.#event);
      attempts.push(toAttempt(this.#event));
    }
    this.#total += batch.count;
  }
}

function toAttempt(event: SynEvent): Attempt {
  return {
    source: formatAddress([event.s0, event.s1, event.s2, event.s3]),
    destination: formatAddress([event.d0, event.d1, event.d2, event.d3]),
    sourcePort: event.sourcePort,
    destinationPort: event.destinationPort,
    timeUs: event.timeUs,
  };
}
