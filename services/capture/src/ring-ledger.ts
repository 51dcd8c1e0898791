import type { RingBuffer } from "@packetwatch/bpf";
import {
  readRingLedger,
  type RingLedgerCounts,
  type RingLedgerEntry,
  ringLedgerEntries,
  SYN_RING_BYTES,
} from "@packetwatch/contracts";

/** What a ledger needs of a ring. */
export type NotedRing = Pick<RingBuffer, "notes" | "consumedBytes" | "repair">;

/**
 * What became of every record that was read from a ring. It lies beside the
 * ring's own position, so it outlives a capture that is killed: what that one
 * had read and not accounted for died in its memory, and the next one counts it.
 *
 * The position itself can't wait for NATS: the kernel wakes its reader only
 * for a record that the reader's position has caught up with (kernel/bpf/ringbuf.c),
 * and what was read twice would be published twice.
 */
export class RingLedger {
  readonly #ring: NotedRing;

  constructor(ring: NotedRing) {
    this.#ring = ring;
  }

  get counts(): RingLedgerCounts {
    return readRingLedger(this.#ring.notes);
  }

  add(entry: RingLedgerEntry, records: number): void {
    const index = ringLedgerEntries.indexOf(entry);
    this.#ring.notes[index] = (this.#ring.notes[index] ?? 0n) + BigInt(records);
  }

  /**
   * Counts what an earlier capture left unaccounted, and returns how much that
   * was: at most what was on its way, some of which NATS may have stored, and
   * what waited in a ring whose position was damaged. Call it before anything
   * is read.
   */
  settleCrash(): number {
    this.#ring.repair();
    const read = Math.floor(Number(this.#ring.consumedBytes()) / SYN_RING_BYTES);
    const accounted = Object.values(this.counts).reduce((sum, records) => sum + records, 0);
    const lost = Math.max(0, read - accounted);
    this.add("crash", lost);
    return lost;
  }
}
