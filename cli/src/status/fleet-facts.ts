import { type Bus, readStreamState, type StreamState } from "@packetwatch/bus";
import {
  type BreakerMessage,
  decodeTelemetry,
  streamNames,
  subjects,
  type Telemetry,
} from "@packetwatch/contracts";
import { readBreaker } from "../breaker/read-breaker.ts";
import { readSnapshot } from "../fleet/read-snapshot.ts";
import { Rejections } from "../tail/rejections.ts";

/** The last words of one instance. */
export type InstanceFacts = {
  readonly telemetry: Telemetry;
  /** By the server's clock. */
  readonly silentSeconds: number;
};

/** The server that answers, and what it tells of its cluster. */
export type NatsFacts = {
  readonly name: string;
  readonly version: string;
  readonly address: string;
  readonly cluster: string | null;
  /** Addresses of all servers that clients may use, where it is a cluster. */
  readonly servers: readonly string[];
  readonly roundTripMs: number;
};

/** What can be known of a fleet at one moment. */
export type FleetFacts = {
  readonly instances: readonly InstanceFacts[];
  /** By name; undefined where there is no such stream. */
  readonly streams: ReadonlyMap<string, StreamState | undefined>;
  /** What was last said of it; undefined: it was never open. */
  readonly breaker: BreakerMessage | undefined;
  readonly nats: NatsFacts;
  /** Telemetry that broke its contract, in words. */
  readonly rejected: string | undefined;
};

/** Throws BusError, CliError. */
export async function readFleetFacts(bus: Bus, timeoutMs: number): Promise<FleetFacts> {
  const names = Object.values(streamNames);
  const states = await Promise.all(names.map((name) => readStreamState(bus, name, timeoutMs)));
  const streams = new Map(names.map((name, index) => [name as string, states[index]]));
  const startMs = performance.now();
  await bus.connection.flush();
  const roundTripMs = performance.now() - startMs;
  const telemetry = streams.get(streamNames.telemetry);
  const rejections = new Rejections();
  const instances = telemetry
    ? await readInstances({ bus, timeoutMs, serverTimeUs: telemetry.serverTimeUs, rejections })
    : [];
  const breaker = streams.get(streamNames.verdict)
    ? (await readBreaker(bus, timeoutMs))?.message
    : undefined;
  const rejected = rejections.describe();
  return { instances, streams, breaker, nats: natsFacts(bus, roundTripMs), rejected };
}

type ReadInstances = {
  readonly bus: Bus;
  readonly timeoutMs: number;
  readonly serverTimeUs: number;
  readonly rejections: Rejections;
};

async function readInstances({
  bus,
  timeoutMs,
  serverTimeUs,
  rejections,
}: ReadInstances): Promise<readonly InstanceFacts[]> {
  const instances = new Map<string, InstanceFacts>();
  await readSnapshot({
    bus,
    stream: streamNames.telemetry,
    filter: subjects.everyTelemetry,
    start: { kind: "last_per_subject" },
    timeoutMs,
    onMessage: ({ subject, payload, storedUs }) => {
      const telemetry = rejections.orCount(() => decodeTelemetry(payload));
      if (telemetry === undefined) return;
      const silentSeconds = Math.max(0, (serverTimeUs - storedUs) / 1e6);
      instances.set(subject, { telemetry, silentSeconds });
    },
  });
  return [...instances.values()];
}

function natsFacts({ connection }: Bus, roundTripMs: number): NatsFacts {
  const { info } = connection;
  return {
    name: info?.server_name ?? "",
    version: info?.version ?? "",
    address: connection.getServer(),
    cluster: info?.cluster ?? null,
    servers: [...(info?.connect_urls ?? [])].sort(),
    roundTripMs,
  };
}
