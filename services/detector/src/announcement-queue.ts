import { setTimeout as delay } from "node:timers/promises";

/** A message for a stream. */
export type Announcement = {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly messageId: string;
  /** Whole seconds the message is kept; 0: until another takes its place. */
  readonly ttlSeconds: number;
  /** It is stored only behind this message of its subject; where another has come, it is not needed. */
  readonly lastSubjectSequence?: number;
  /**
   * Of a block: the last message of its subject that was known when it was decided. It is stored behind what is known
   * by then; where somebody has decided since, it is not needed.
   */
  readonly decidedAfter?: number;
  /** What is published in its place from the first try on at which detectors may not block; only blocks have it. */
  readonly whenHeld?: () => Announcement | undefined;
  /** Called once it is stored, unless somebody else has stored it or it wasn't needed any more. */
  readonly onStored: () => void;
  /** Called once it is given up. */
  readonly onRefused: () => void;
};

/** Why an announcement was given up: the stream has no room, NATS will never take it, too many wait. */
export type DropReason = "stream_full" | "refused" | "queue_full";

/** Why what was found is not announced: given up, or a block that had ended before it could be. */
export type LossReason = DropReason | "ended";

export type AnnouncementQueueOptions = {
  /** Resolves when it is settled: true where it is stored, false where that was done already or wasn't needed. */
  readonly publish: (announcement: Announcement) => Promise<boolean>;
  /** Whether trying again can help, or why it can't. */
  readonly judge: (error: unknown) => "again" | Exclude<DropReason, "queue_full">;
  /** Called before each further try. */
  readonly onFailed: (announcement: Announcement, error: unknown) => void;
  /** Called for each that is given up. */
  readonly onDropped: (announcement: Announcement, reason: DropReason) => void;
};

/** Announcements that wait for NATS at most; a scanner that is missed now is found again when it goes on. */
export const MAX_QUEUED_ANNOUNCEMENTS = 65_536;

/** Publishes under way at once. */
const MAX_IN_FLIGHT = 256;
const RETRY_MS = 250;

/** Publishes announcements, each until it is stored, oldest first, a bounded number at once. */
export class AnnouncementQueue {
  readonly #options: AnnouncementQueueOptions;
  readonly #waiting: Announcement[] = [];
  #inFlight = 0;
  #isClosed = false;
  #onEmpty: (() => void) | undefined;

  constructor(options: AnnouncementQueueOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#waiting.length + this.#inFlight;
  }

  push(announcement: Announcement): void {
    if (this.size >= MAX_QUEUED_ANNOUNCEMENTS) {
      this.#options.onDropped(announcement, "queue_full");
      return;
    }
    this.#waiting.push(announcement);
    this.#publishNext();
  }

  /** Resolves when all is stored; the caller bounds the wait. */
  async close(): Promise<void> {
    if (this.size > 0) await new Promise<void>((resolve) => (this.#onEmpty = resolve));
    this.#isClosed = true;
  }

  #publishNext(): void {
    while (this.#inFlight < MAX_IN_FLIGHT) {
      const announcement = this.#waiting.shift();
      if (!announcement) break;
      this.#inFlight++;
      void this.#publishUntilStored(announcement);
    }
    if (this.size === 0) this.#onEmpty?.();
  }

  async #publishUntilStored(announcement: Announcement): Promise<void> {
    while (!this.#isClosed && !(await this.#isSettled(announcement))) await delay(RETRY_MS);
    this.#inFlight--;
    this.#publishNext();
  }

  /** True when it is stored, or given up. */
  async #isSettled(announcement: Announcement): Promise<boolean> {
    const { publish, judge, onFailed, onDropped } = this.#options;
    try {
      if (await publish(announcement)) announcement.onStored();
      return true;
    } catch (error) {
      const verdict = judge(error);
      if (verdict === "again") onFailed(announcement, error);
      else onDropped(announcement, verdict);
      return verdict !== "again";
    }
  }
}
