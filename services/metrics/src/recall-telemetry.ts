import {
  type Bus,
  readStreamState,
  StreamReader,
  type StreamReaderOptions,
} from "@packetwatch/bus";
import { streamNames, subjects } from "@packetwatch/contracts";

const TIMEOUT_MS = 10_000;
/** Messages that are asked for ahead; each is some KiB. */
const PREFETCH = 500;

export type RecallOptions = {
  readonly bus: Bus;
  /** Called in the order in which the instances were heard last; how long ago, by the server's clock. */
  readonly onMessage: (subject: string, payload: Uint8Array, agoMs: number) => void;
  readonly logger: StreamReaderOptions["logger"];
};

/**
 * Delivers the last telemetry of each instance of the last day, those that have ended too, so that a restart of metrics goes on
 * with the sums that were there before. Where NATS doesn't give it, they begin with those that live.
 */
export async function recallTelemetry({ bus, onMessage, logger }: RecallOptions): Promise<void> {
  const stream = streamNames.telemetry;
  try {
    const state = await readStreamState(bus, stream, TIMEOUT_MS);
    if (state === undefined) return;
    await readLast({ bus, onMessage, logger }, state.serverTimeUs);
  } catch (error) {
    const cause = (error as Error).message;
    logger.warn(
      { stream, cause },
      "earlier telemetry can't be read; totals begin with those that live",
    );
  }
}

async function readLast({ bus, onMessage, logger }: RecallOptions, nowUs: number): Promise<void> {
  let onCaughtUp: () => void = () => undefined;
  const caughtUp = new Promise<"done">((resolve) => {
    onCaughtUp = () => resolve("done");
  });
  let onTimeout: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    onTimeout = setTimeout(() => resolve("late"), TIMEOUT_MS);
  });
  const reader = new StreamReader({
    bus,
    stream: streamNames.telemetry,
    filter: subjects.everyTelemetry,
    start: { kind: "last_per_subject" },
    prefetch: PREFETCH,
    onMessage: ({ subject, payload, storedUs, markerReason }) => {
      if (markerReason === undefined)
        onMessage(subject, payload, Math.max(0, nowUs - storedUs) / 1000);
    },
    onCaughtUp,
    logger,
  });
  const outcome = await Promise.race([caughtUp, late]);
  clearTimeout(onTimeout);
  await reader.close();
  if (outcome === "late") throw new Error(`it took longer than ${TIMEOUT_MS / 1000} s`);
}
