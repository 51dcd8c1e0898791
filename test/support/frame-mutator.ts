import { SeededRandom } from "../chaos/seeded-random.ts";
import { packetKinds } from "./packet-kinds.ts";

/** Values that lengths, types and flags turn on. */
const TELLING = [0, 1, 4, 5, 6, 17, 43, 44, 51, 59, 60, 0x45, 0x60, 0x81, 0x88, 0xff] as const;
const MIN_FRAME_BYTES = 14;
const MAX_MUTATIONS = 4;
/** Headers end within this many bytes; behind them, mutations change little. */
const MUTATED_BYTES = 120;

/** Damages frames that were whole, a few bytes each: fast, and the same again with the same seed. */
export class FrameMutator {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  /** A frame of at least 14 bytes, the caller's own. */
  next(): Uint8Array {
    const kind = packetKinds[this.#below(packetKinds.length)];
    let frame: Uint8Array = (kind?.frame ?? new Uint8Array(MIN_FRAME_BYTES)).slice();
    for (let left = this.#below(MAX_MUTATIONS + 1); left > 0; left--) frame = this.#mutate(frame);
    return frame;
  }

  #mutate(frame: Uint8Array): Uint8Array {
    const at = this.#below(Math.min(frame.length, MUTATED_BYTES));
    const choice = this.#below(8);
    if (choice < 3) frame[at] = this.#below(256);
    else if (choice < 6) frame[at] = TELLING[this.#below(TELLING.length)] ?? 0;
    else if (choice === 6) return frame.subarray(0, Math.max(MIN_FRAME_BYTES, at));
    else frame[at] = (frame[at] ?? 0) ^ (1 << this.#below(8));
    return frame;
  }

  #below(limit: number): number {
    return this.#random.integer(0, limit - 1);
  }
}
