import { type Bus, readStreamState, type StreamState } from "@packetwatch/bus";
import {
  type BreakerMessage,
  decodeTelemetry,
  everyTelemetryOf,
  streamNames,
  subjects,
  type Telemetry,
} from "@packetwatch/contracts";
import { readBreaker } from "../breaker/read-breaker.ts";
import { readLastMessages } from "../fleet/read-snapshot.ts";
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
  const rejections = new Rejections();
  const instances = await readInstances({ bus, timeoutMs, rejections });
  const breaker = streams.get(streamNames.verdict)
    ? (await readBreaker(bus, timeoutMs))?.message
    : undefined;
  const rejected = rejections.describe();
  return { instances, streams, breaker, nats: natsFacts(bus, roundTripMs), rejected };
}

export type ReadInstancesOptions = {
  readonly bus: Bus;
  readonly timeoutMs: number;
  /** Default: all. */
  readonly service?: string;
  readonly rejections: Rejections;
};

/** The last words of each instance; none where there is no stream of them. Throws BusError, CliError. */
export async function readInstances(
  options: ReadInstancesOptions,
): Promise<readonly InstanceFacts[]> {
  const { bus, timeoutMs, service, rejections } = options;
  const stream = streamNames.telemetry;
  const state = await readStreamState(bus, stream, timeoutMs);
  if (state === undefined) return [];
  const filter = service === undefined ? subjects.everyTelemetry : everyTelemetryOf(service);
  const words = await readLastMessages({ bus, stream, filter, timeoutMs });
  return words.flatMap(({ payload, storedUs }) => {
    const telemetry = rejections.orCount(() => decodeTelemetry(payload));
    if (telemetry === undefined) return [];
    const silentSeconds = Math.max(0, (state.serverTimeUs - storedUs) / 1e6);
    return [{ telemetry, silentSeconds }];
  });
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
