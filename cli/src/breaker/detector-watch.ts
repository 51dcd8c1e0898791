import { setTimeout as delay } from "node:timers/promises";
import type { Bus } from "@packetwatch/bus";
import { decodeTelemetry, everyTelemetryOf } from "@packetwatch/contracts";
import { detectorOf, type HeardDetector, readDetectors } from "../fleet/detectors.ts";
import { Rejections } from "../tail/rejections.ts";

const POLL_MS = 2;

export type DetectorEffect = {
  /** Detectors that have taken it in. */
  readonly done: readonly string[];
  /** Detectors that were heard when it was published, and have not said so in time. */
  readonly late: readonly string[];
  readonly durationMs: number;
  readonly waitedMs: number;
};

/** How far the detectors that are heard have read the verdict stream. */
export class DetectorWatch {
  readonly #rejections = new Rejections();
  readonly #sequences = new Map<string, number>();
  readonly #subscription: { unsubscribe(): void };

  private constructor(bus: Bus) {
    this.#subscription = bus.connection.subscribe(everyTelemetryOf("detector"), {
      callback: (error, message) => {
        if (error) return;
        const telemetry = this.#rejections.orCount(() => decodeTelemetry(message.data));
        if (telemetry) this.#take(detectorOf(telemetry));
      },
    });
  }

  /** Throws BusError, CliError. */
  static async open(bus: Bus, timeoutMs: number): Promise<DetectorWatch> {
    const watch = new DetectorWatch(bus);
    try {
      await bus.connection.flush();
      for (const detector of await readDetectors(bus, timeoutMs)) watch.#take(detector);
      return watch;
    } catch (error) {
      watch.close();
      throw error;
    }
  }

  /** Waits until every detector has taken a message of the verdict stream in, or the time is over. */
  async until(
    sequence: number,
    { startMs, timeoutMs }: { readonly startMs: number; readonly timeoutMs: number },
  ): Promise<DetectorEffect> {
    const those = (isWanted: (read: number) => boolean) =>
      [...this.#sequences].flatMap(([name, read]) => (isWanted(read) ? [name] : [])).toSorted();
    const isLate = (read: number) => read < sequence;
    const deadlineMs = startMs + timeoutMs;
    while (those(isLate).length > 0 && performance.now() < deadlineMs) await delay(POLL_MS);
    return {
      done: those((read) => !isLate(read)),
      late: those(isLate),
      durationMs: Math.round(performance.now() - startMs),
      waitedMs: timeoutMs,
    };
  }

  close(): void {
    this.#subscription.unsubscribe();
  }

  #take({ instance, sequence }: HeardDetector): void {
    this.#sequences.set(instance, Math.max(sequence, this.#sequences.get(instance) ?? 0));
  }
}
