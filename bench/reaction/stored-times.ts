import { type Bus, StreamReader } from "@packetwatch/bus";
import {
  createSynEvent,
  decodeVerdict,
  streamNames,
  subjects,
  SynBatch,
} from "@packetwatch/contracts";
import { formatAddress } from "@packetwatch/net";
import { RecordingLogger } from "../../test/support/recording-logger.ts";

/** When the server stored something, in microseconds since the Unix epoch. */
export type StoredTimes = {
  /** A verdict, by its id. */
  readonly verdicts: ReadonlyMap<string, number>;
  /** The last batch with an attempt of a source, by that. */
  readonly attempts: ReadonlyMap<string, number>;
};

/** Reads both streams once they hold everything, so that no tap slows down what is measured. */
export async function readStoredTimes(bus: Bus): Promise<StoredTimes> {
  const verdicts = new Map<string, number>();
  const attempts = new Map<string, number>();
  await readAll(bus, streamNames.verdict, subjects.everyVerdict, (payload, storedUs) => {
    verdicts.set(decodeVerdict(payload).id, storedUs);
  });
  const event = createSynEvent();
  await readAll(bus, streamNames.syn, subjects.everySyn, (payload, storedUs) => {
    const batch = new SynBatch(payload);
    for (let index = 0; index < batch.count; index++) {
      batch.read(index, event);
      attempts.set(formatAddress([event.s0, event.s1, event.s2, event.s3]), storedUs);
    }
  });
  return { verdicts, attempts };
}

type Take = (payload: Uint8Array, storedUs: number) => void;

async function readAll(bus: Bus, stream: string, filter: string, take: Take): Promise<void> {
  let onCaughtUp: () => void = () => undefined;
  const caughtUp = new Promise<void>((resolve) => (onCaughtUp = resolve));
  const reader = new StreamReader({
    bus,
    stream,
    filter,
    start: { kind: "all" },
    prefetch: 1000,
    onMessage: ({ payload, storedUs, markerReason }) => {
      if (markerReason === undefined) take(payload, storedUs);
    },
    onCaughtUp,
    logger: new RecordingLogger(),
  });
  await caughtUp;
  await reader.close();
}
