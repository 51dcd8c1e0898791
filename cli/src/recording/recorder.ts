import {
  createSynEvent,
  encodeSynRecordingEntry,
  encodeSynRecordingHeader,
  isRecordable,
  parseSynSubject,
  SynBatch,
  type SynEvent,
} from "@packetwatch/contracts";
import { cutToSourceKey } from "@packetwatch/detection";
import { sourceMaskWords } from "@packetwatch/net";
import { Rejections } from "../tail/rejections.ts";
import { AttemptTally } from "./attempt-tally.ts";

export type RecorderOptions = {
  readonly write: (bytes: Uint8Array) => void;
  /** The recording is never longer. */
  readonly maxBytes: number;
  /** It ends with the batch that reaches this; Infinity for no limit. */
  readonly maxAttempts: number;
};

export type RecordedMessage = {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly storedUs: number;
};

/** Turns messages of the SYN stream into a recording. Synchronous, no clock. */
export class Recorder {
  /** Batches that this version can't read; they are recorded as they came. */
  readonly rejections = new Rejections();
  readonly tally = new AttemptTally();
  readonly #options: RecorderOptions;
  readonly #event: SynEvent = createSynEvent();
  #bytes = 0;
  #batches = 0;
  #skipped = 0;
  #isFull = false;

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get batches(): number {
    return this.#batches;
  }

  /** Messages that no entry can hold: of no shard, empty, or too long. */
  get skipped(): number {
    return this.#skipped;
  }

  /** Why nothing more is recorded; undefined while there is room. */
  get doneBecause(): "limit" | "full" | undefined {
    if (this.#isFull) return "full";
    return this.tally.attempts >= this.#options.maxAttempts ? "limit" : undefined;
  }

  begin(): void {
    this.#write(encodeSynRecordingHeader());
  }

  take({ subject, payload, storedUs }: RecordedMessage): void {
    if (this.doneBecause !== undefined) return;
    const shard = parseSynSubject(subject);
    if (shard === undefined || !isRecordable(payload)) {
      this.#skipped++;
      return;
    }
    const entry = encodeSynRecordingEntry({ shard, storedUs, batch: payload });
    if (this.#bytes + entry.length > this.#options.maxBytes) {
      this.#isFull = true;
      return;
    }
    this.#write(entry);
    this.#batches++;
    this.#count(payload);
  }

  #write(bytes: Uint8Array): void {
    this.#options.write(bytes);
    this.#bytes += bytes.length;
  }

  #count(payload: Uint8Array): void {
    const batch = this.rejections.orCount(() => new SynBatch(payload));
    if (batch === undefined) return;
    const mask = sourceMaskWords(batch.header.ipv6SourceBits);
    for (let index = 0; index < batch.count; index++) {
      batch.read(index, this.#event);
      cutToSourceKey(this.#event, mask);
      this.tally.add(this.#event);
    }
  }
}
