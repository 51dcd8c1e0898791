/** Adjustments below this follow at once: they are within what sampling itself is off by. */
const NOISE_US = 100;

/** A larger step is no correction by NTP, but a clock that was set: it is taken over at once. */
export const MAX_SLEWED_STEP_US = 10_000_000;

/** How fast a smaller step is taken over: as adjtime(3) does it, half a millisecond a second. */
export const SLEW_PER_SECOND_US = 500;

/**
 * Turns the kernel's boot time into wall time by an offset that is sampled
 * again and again. A step of the wall clock is slewed, because intervals
 * decide who has scanned: a step back by a second must not make 61 seconds 60.
 */
export class WallClock {
  #offsetUs: number;
  #sampledBootUs: number;

  /** `offsetUs`: wall time minus boot time, in microseconds, sampled at `bootUs`. */
  constructor(offsetUs: number, bootUs: number) {
    this.#offsetUs = Math.round(offsetUs);
    this.#sampledBootUs = bootUs;
  }

  get offsetUs(): number {
    return this.#offsetUs;
  }

  /** Takes in a new sample; call it about once a second. */
  adjust(offsetUs: number, bootUs: number): void {
    const elapsedSeconds = Math.max(0, (bootUs - this.#sampledBootUs) / 1e6);
    const step = offsetUs - this.#offsetUs;
    this.#sampledBootUs = bootUs;
    const isFollowedAtOnce = Math.abs(step) < NOISE_US || Math.abs(step) > MAX_SLEWED_STEP_US;
    const limit = isFollowedAtOnce ? Math.abs(step) : elapsedSeconds * SLEW_PER_SECOND_US;
    this.#offsetUs += Math.round(Math.sign(step) * Math.min(Math.abs(step), limit));
  }

  /** Microseconds since the Unix epoch. */
  toWallUs(bootNs: number): number {
    return Math.floor(bootNs / 1000) + this.#offsetUs;
  }
}
