import { type Bus, readStreamState } from "@packetwatch/bus";
import {
  type Alert,
  alertSubject,
  type Applied,
  decodeAlert,
  decodeAppliedOn,
  decodeVerdict,
  streamNames,
  subjects,
  type Verdict,
  verdictSubject,
} from "@packetwatch/contracts";
import type { Prefix } from "@packetwatch/net";
import { readSnapshot } from "../fleet/read-snapshot.ts";
import type { Rejections } from "../tail/rejections.ts";

/** Verdicts and alerts that are kept, the newest. */
export const MAX_HISTORY_ENTRIES = 1000;
/** What hosts did is kept by host, not by source: so many of their words are looked through. */
const MAX_APPLIED_READ = 200_000;
/** Sensors' clocks and the server's may differ so much. */
const CLOCK_MARGIN_US = 60_000_000;

export type SourceHistory = {
  /** Oldest first. */
  readonly verdicts: readonly Verdict[];
  readonly alerts: readonly Alert[];
  /** What hosts did with the verdict in force. */
  readonly applied: readonly Applied[];
  /** Whether all words of hosts since then were looked through. */
  readonly isComplete: boolean;
  /** How far back the history reaches; undefined: there is none. */
  readonly reachSeconds: number | undefined;
};

export type ReadHistoryOptions = {
  readonly bus: Bus;
  readonly source: Prefix;
  /** The verdict whose effect is asked for. */
  readonly current: Verdict | undefined;
  readonly timeoutMs: number;
  readonly rejections: Rejections;
};

/** Throws BusError, CliError. */
export async function readSourceHistory(options: ReadHistoryOptions): Promise<SourceHistory> {
  const { bus, source, timeoutMs, rejections } = options;
  const state = await readStreamState(bus, streamNames.history, timeoutMs);
  if (state === undefined) {
    return { verdicts: [], alerts: [], applied: [], isComplete: true, reachSeconds: undefined };
  }
  const read = <T>(filter: string, decode: (payload: Uint8Array) => T) =>
    readAll({ bus, filter, timeoutMs, rejections, decode });
  const verdicts = await read(verdictSubject(source), decodeVerdict);
  const alerts = await read(alertSubject("*", source), decodeAlert);
  const { applied, isComplete } = await readApplied(options);
  return { verdicts, alerts, applied, isComplete, reachSeconds: state.oldestSeconds };
}

type ReadAll<T> = Omit<ReadHistoryOptions, "source" | "current"> & {
  readonly filter: string;
  readonly decode: (payload: Uint8Array) => T;
};

async function readAll<T>(options: ReadAll<T>): Promise<readonly T[]> {
  const { bus, filter, timeoutMs, rejections, decode } = options;
  const found: T[] = [];
  await readSnapshot({
    bus,
    stream: streamNames.history,
    filter,
    start: { kind: "all" },
    timeoutMs,
    onMessage: ({ payload, markerReason }) => {
      const message =
        markerReason === undefined ? rejections.orCount(() => decode(payload)) : undefined;
      if (message === undefined) return;
      found.push(message);
      if (found.length > MAX_HISTORY_ENTRIES) found.shift();
    },
  });
  return found;
}

async function readApplied({
  bus,
  current,
  timeoutMs,
  rejections,
}: ReadHistoryOptions): Promise<Pick<SourceHistory, "applied" | "isComplete">> {
  if (current === undefined) return { applied: [], isComplete: true };
  const byHost = new Map<string, Applied>();
  let read = 0;
  await readSnapshot({
    bus,
    stream: streamNames.history,
    filter: subjects.everyApplied,
    start: {
      kind: "since",
      time: () => new Date(Math.max(0, current.issuedUs - CLOCK_MARGIN_US) / 1000),
    },
    timeoutMs,
    onMessage: ({ subject, payload }) => {
      read++;
      const applied = rejections.orCount(() => decodeAppliedOn(subject, payload));
      if (applied?.verdictId !== current.id || byHost.has(applied.host)) return;
      byHost.set(applied.host, applied);
    },
    isEnough: () => read >= MAX_APPLIED_READ,
  });
  return { applied: [...byHost.values()], isComplete: read < MAX_APPLIED_READ };
}
