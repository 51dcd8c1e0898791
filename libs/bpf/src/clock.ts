import { lastErrno, libc } from "./libc.ts";
import { syscallFailure } from "./syscall-failure.ts";

// From <linux/time.h>.
const CLOCK_REALTIME = 0;
const CLOCK_BOOTTIME = 7;
const nanosecondsPerSecond = 1_000_000_000n;
const defaultRounds = 8;

/** Nanoseconds since boot, suspended time included: the clock of bpf_ktime_get_boot_ns. */
export function bootTimeNs(): bigint {
  return readClock(CLOCK_BOOTTIME);
}

/** Nanoseconds since 1970 by the wall clock, which NTP may step. */
export function realTimeNs(): bigint {
  return readClock(CLOCK_REALTIME);
}

export interface ClockOffset {
  /** Add it to a boot time to get the wall time. */
  readonly offsetNs: bigint;
  /** The true offset is at most this far away. */
  readonly uncertaintyNs: number;
}

/** Measures wall time minus boot time: the wall clock read between two reads of boot time, the tightest of N. */
export function sampleClockOffset(rounds: number = defaultRounds): ClockOffset {
  const samples = Array.from({ length: rounds }, sampleOnce);
  return samples.reduce((best, sample) =>
    sample.uncertaintyNs < best.uncertaintyNs ? sample : best,
  );
}

function sampleOnce(): ClockOffset {
  const before = bootTimeNs();
  const wall = realTimeNs();
  const after = bootTimeNs();
  return { offsetNs: wall - (before + after) / 2n, uncertaintyNs: Number(after - before + 1n) / 2 };
}

function readClock(clock: number): bigint {
  const timespec = new BigInt64Array(2);
  if (libc.clock_gettime(clock, timespec) < 0) {
    throw syscallFailure({ operation: "read", subject: `clock ${clock}`, errno: lastErrno() });
  }
  const [seconds = 0n, nanoseconds = 0n] = timespec;
  return seconds * nanosecondsPerSecond + nanoseconds;
}
