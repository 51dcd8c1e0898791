import { createHash } from "node:crypto";
import {
  DESTINATION,
  HORIZONTAL_HASH,
  PORT,
  SOURCE,
  SOURCE_HASH,
  VERTICAL_HASH,
} from "./event-tuple.ts";

/** The words of a tuple that are hashed: two addresses and a port. */
const HASHED_WORDS = 9;

/**
 * Hashes the keys of a tuple under a secret seed. Attackers choose the keys of our tables (a spoofed source is free), so the
 * hash must not let them aim at one set. A Murmur-like chain does not do: pairs of words that cancel each other are known,
 * whatever its seed.
 *
 * Each word w contributes (w + a) * (high half of w + b) modulo 2^32, with its own secret a and b, in the manner of NH
 * (RFC 4418, section 5.2.2). Two words that differ do so in the high half, which is a factor of a, or else only in the low
 * half, a factor of b; both factors are below 2^16, so for at most one pair of secrets in 2^17 do two different keys
 * contribute the same. A finaliser then spreads the sum over all bits. Sums also share: the source is hashed once for all
 * rules.
 */
export class TupleHash {
  readonly #secret: Int32Array;

  constructor(seed: number) {
    this.#secret = Int32Array.from({ length: HASHED_WORDS * 2 }, (_, index) =>
      secretWord(seed, index),
    );
  }

  /** Fills in the hash of the source key alone, of the tuple that begins at a word. */
  fillSource(words: Uint32Array, start = 0): void {
    words[start + SOURCE_HASH] = finalise(this.#addressSum(words, start + SOURCE, 0));
  }

  /** Fills in all hashes. */
  fill(tuple: Uint32Array): void {
    const source = this.#addressSum(tuple, SOURCE, 0);
    const destination = this.#addressSum(tuple, DESTINATION, 8);
    const port = Math.imul(tuple[PORT]! + this.#secret[16]!, this.#secret[17]!);
    tuple[SOURCE_HASH] = finalise(source);
    tuple[VERTICAL_HASH] = finalise((source + destination) | 0);
    tuple[HORIZONTAL_HASH] = finalise((source + port) | 0);
  }

  #addressSum(tuple: Uint32Array, at: number, secretAt: number): number {
    const secret = this.#secret;
    const w0 = tuple[at]!;
    const w1 = tuple[at + 1]!;
    const w2 = tuple[at + 2]!;
    const w3 = tuple[at + 3]!;
    return (
      (Math.imul(w0 + secret[secretAt]!, (w0 >>> 16) + secret[secretAt + 1]!) +
        Math.imul(w1 + secret[secretAt + 2]!, (w1 >>> 16) + secret[secretAt + 3]!) +
        Math.imul(w2 + secret[secretAt + 4]!, (w2 >>> 16) + secret[secretAt + 5]!) +
        Math.imul(w3 + secret[secretAt + 6]!, (w3 >>> 16) + secret[secretAt + 7]!)) |
      0
    );
  }
}

/** The 32-bit finaliser of MurmurHash3: a bijection whose every output bit depends on every input bit. */
function finalise(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

function secretWord(seed: number, index: number): number {
  return createHash("sha256").update(`${seed}/${index}`).digest().readInt32BE(0);
}
