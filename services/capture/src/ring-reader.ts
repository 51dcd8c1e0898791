import type { RingBuffer } from "@packetwatch/bpf";

/** Records taken before the event loop has its turn again. */
const RECORDS_PER_TURN = 4096;

export type RingReaderOptions = {
  readonly ring: RingBuffer;
  /** Takes the record at `offset` of `data`, in place: it is gone when the call returns. */
  readonly onRecord: (data: DataView, offset: number, length: number) => void;
  /** Called after each turn that took something. */
  readonly onTurn: () => void;
  readonly onError: (error: unknown) => void;
};

/** Empties a ring buffer whenever it has something, and sleeps in the event loop's poll otherwise. */
export class RingReader {
  readonly #options: RingReaderOptions;

  constructor(options: RingReaderOptions) {
    this.#options = options;
    // The ring stays readable while it has something: the loop comes back by itself.
    options.ring.onReadable((error) => (error ? options.onError(error) : this.#takeTurn()));
  }

  /** Takes what is there, and stops. The ring itself belongs to its sensor. */
  close(): void {
    this.#options.ring.pause();
    while (this.#takeTurn() > 0);
  }

  #takeTurn(): number {
    const { ring, onRecord, onTurn } = this.#options;
    const { data } = ring.views;
    const taken = ring.consume(
      (offset, length) => onRecord(data, offset, length),
      RECORDS_PER_TURN,
    );
    if (taken > 0) onTurn();
    return taken;
  }
}
