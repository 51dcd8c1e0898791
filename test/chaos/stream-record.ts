import type { Bus } from "@packetwatch/bus";
import type { SynEvent } from "@packetwatch/contracts";
import { formatAddress } from "@packetwatch/net";
import { SynStream } from "../support/syn-stream.ts";
import type { Attempt } from "./attempts.ts";

/** Everything that reached the SYN stream, by host: what detectors have to go by. */
export class StreamRecord {
  readonly #attempts = new Map<string, Attempt[]>();
  readonly #stream: SynStream;

  constructor(bus: Bus) {
    this.#stream = new SynStream(bus, {
      onSyn: (event, host) => this.#add(host, toAttempt(event)),
      // What the stream held is gone, and with it what can be said about detectors.
      onStreamLost: () => {
        throw new Error("the SYN stream was made anew");
      },
    });
  }

  get total(): number {
    return this.#stream.total;
  }

  of(host: string): readonly Attempt[] {
    return this.#attempts.get(host) ?? [];
  }

  get all(): readonly Attempt[] {
    return [...this.#attempts.values()].flat();
  }

  close(): Promise<void> {
    return this.#stream.close();
  }

  #add(host: string, attempt: Attempt): void {
    const attempts = this.#attempts.get(host);
    if (attempts) attempts.push(attempt);
    else this.#attempts.set(host, [attempt]);
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
