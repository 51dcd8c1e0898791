import type { RingBuffer } from "@packetwatch/bpf";
import { SYN_RING_BYTES } from "@packetwatch/contracts";

/** How often a reader that holds back looks whether it still can. */
const HOLD_CHECK_MS = 20;

export type RingReaderOptions = {
  readonly ring: Pick<
    RingBuffer,
    "views" | "sizeBytes" | "availableBytes" | "consume" | "onReadable" | "pause"
  >;
  /** Takes the record at `offset` of `data`, in place: it is gone when the call returns. */
  readonly onRecord: (data: DataView, offset: number, length: number) => void;
  /** Records taken before the event loop has its turn again. */
  readonly recordsPerTurn: number;
  /** Called after each turn that took something. */
  readonly onTurn: () => void;
  /** How long the ring is left alone once it is empty; 0: until it has something. */
  readonly restMs: () => number;
  readonly onError: (error: unknown) => void;
};

/**
 * Empties a ring buffer whenever it has something, and sleeps in the event
 * loop's poll otherwise, or for as long as it is told to: what comes meanwhile
 * is safest in the ring. While nothing can be published it holds back, and it
 * begins so: records outlive this process in the ring, and only there. Half of
 * the ring stays free for what comes.
 */
export class RingReader {
  readonly #options: RingReaderOptions;
  #holding: NodeJS.Timeout | undefined;
  #resting: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: RingReaderOptions) {
    this.#options = options;
    this.hold();
  }

  /** Takes no more than keeps half of the ring free, until release(). */
  hold(): void {
    if (this.#isClosed || this.#holding) return;
    this.#leaveRing();
    this.#holding = setInterval(() => this.#relieve(), HOLD_CHECK_MS);
  }

  release(): void {
    if (this.#isClosed || !this.#holding) return;
    this.#endHold();
    this.#watch();
  }

  /**
   * Takes what is there, and stops; what it holds back stays in the ring, for
   * the next capture. The ring itself belongs to its sensor.
   */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#leaveRing();
    if (this.#holding) return this.#endHold();
    this.#takePresent();
  }

  // Not until the ring is empty: in a flood it never is.
  #takePresent(): void {
    let records = this.#options.ring.availableBytes() / SYN_RING_BYTES;
    while (records > 0) {
      const taken = this.#takeTurn();
      if (taken === 0) return;
      records -= taken;
    }
  }

  #endHold(): void {
    clearInterval(this.#holding);
    this.#holding = undefined;
  }

  // The ring stays readable while it has something: the loop comes back by itself.
  #watch(): void {
    this.#options.ring.onReadable((error) => {
      if (error) this.#options.onError(error);
      else this.#takeTurnAndRest();
    });
  }

  #leaveRing(): void {
    this.#options.ring.pause();
    clearTimeout(this.#resting);
  }

  /** False where it neither rests now nor holds back: somebody has to wait for more. */
  #takeTurnAndRest(): boolean {
    const { recordsPerTurn, restMs } = this.#options;
    const isEmpty = this.#takeTurn() < recordsPerTurn;
    // What a turn brings may be the reason to hold back.
    if (this.#holding) return true;
    const ms = isEmpty ? restMs() : 0;
    if (ms === 0) return false;
    this.#leaveRing();
    this.#resting = setTimeout(() => this.#endRest(), ms);
    return true;
  }

  // Waiting for what is there already would cost seven system calls.
  #endRest(): void {
    const hasRecords = this.#options.ring.availableBytes() > 0;
    if (!hasRecords || !this.#takeTurnAndRest()) this.#watch();
  }

  #relieve(): void {
    const { ring } = this.#options;
    while (ring.availableBytes() > ring.sizeBytes / 2 && this.#takeTurn() > 0);
  }

  #takeTurn(): number {
    const { ring, onRecord, recordsPerTurn, onTurn } = this.#options;
    const { data } = ring.views;
    const taken = ring.consume((offset, length) => onRecord(data, offset, length), recordsPerTurn);
    if (taken > 0) onTurn();
    return taken;
  }
}
