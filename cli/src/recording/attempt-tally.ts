import { type SynEvent, synFlags } from "@packetwatch/contracts";
import { formatDuration } from "../duration.ts";
import { counted } from "../printable.ts";
import { LocalTime } from "../tail/time-text.ts";
import { SourceCounter } from "./source-counter.ts";

/** What a number of attempts amounts to. */
export class AttemptTally {
  readonly #sources = new SourceCounter();
  #attempts = 0;
  #allowed = 0;
  #firstUs = Number.POSITIVE_INFINITY;
  #lastUs = Number.NEGATIVE_INFINITY;

  get attempts(): number {
    return this.#attempts;
  }

  /** Attempts of allow-listed sources. */
  get allowed(): number {
    return this.#allowed;
  }

  get sources(): SourceCounter {
    return this.#sources;
  }

  /** The times of the oldest and the newest attempt, whatever their order; undefined without one. */
  get span(): { readonly firstUs: number; readonly lastUs: number } | undefined {
    return this.#attempts === 0 ? undefined : { firstUs: this.#firstUs, lastUs: this.#lastUs };
  }

  /** The event's source is a source key. */
  add(event: SynEvent): void {
    this.#attempts++;
    if ((event.flags & synFlags.allowed) !== 0) this.#allowed++;
    if (event.timeUs < this.#firstUs) this.#firstUs = event.timeUs;
    if (event.timeUs > this.#lastUs) this.#lastUs = event.timeUs;
    this.#sources.add([event.s0, event.s1, event.s2, event.s3]);
  }

  /** `12 attempts of 2 sources, 2021-04-28 15:28:05 to 2021-04-28 15:29:05 (1m)`. */
  describe(): string {
    const { span } = this;
    if (span === undefined) return "no attempts";
    const time = new LocalTime();
    const times = `${time.format(span.firstUs)} to ${time.format(span.lastUs)}`;
    const duration = formatDuration((span.lastUs - span.firstUs) / 1e6);
    const attempts = counted(this.#attempts, "attempt");
    return `${attempts} of ${countedSources(this.#sources)}, ${times} (${duration})`;
  }
}

/** `3 sources`; `at least 1000000 sources` where there were too many to tell apart. */
export function countedSources(sources: SourceCounter): string {
  const text = counted(sources.count, "source");
  return sources.isFull ? `at least ${text}` : text;
}
