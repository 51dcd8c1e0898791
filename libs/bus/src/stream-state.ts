import {
  JetStreamApiCodes,
  JetStreamApiError,
  jetstreamManager,
  type StreamInfo,
} from "@nats-io/jetstream";
import { BusError } from "./bus-error.ts";
import type { Bus } from "./connect-bus.ts";

/** What a stream holds, and how far it may go. Limits: 0 or less is none. */
export type StreamState = {
  readonly name: string;
  readonly messages: number;
  readonly bytes: number;
  readonly maxMessages: number;
  readonly maxBytes: number;
  readonly maxAgeSeconds: number;
  readonly storage: "memory" | "file";
  readonly replicas: number;
  /** Age of the oldest message, by the server's clock; undefined in an empty stream. */
  readonly oldestSeconds: number | undefined;
  /** Of a cluster: who leads, and copies that lag behind or are away. Undefined without one. */
  readonly cluster:
    | { readonly leader: string | undefined; readonly laggards: readonly string[] }
    | undefined;
  /** Microseconds since the Unix epoch, by the server's clock, as the next. */
  readonly createdUs: number;
  readonly serverTimeUs: number;
};

/** Undefined where there is no such stream; throws BusError where NATS doesn't say. */
export async function readStreamState(
  bus: Bus,
  name: string,
  timeoutMs: number,
): Promise<StreamState | undefined> {
  try {
    const manager = await jetstreamManager(bus.connection, { checkAPI: false, timeout: timeoutMs });
    return toState(await manager.streams.info(name));
  } catch (cause) {
    if (cause instanceof JetStreamApiError && cause.code === JetStreamApiCodes.StreamNotFound) {
      return undefined;
    }
    const detail = `ask for stream ${name}: ${(cause as Error).message}`;
    throw new BusError("STREAM", name, detail, { cause, retryable: true });
  }
}

function toState({ config, state, cluster, created, ts }: StreamInfo): StreamState {
  const serverMs = ts === undefined ? Date.now() : Date.parse(ts);
  const isEmpty = state.messages === 0;
  return {
    name: config.name,
    messages: state.messages,
    bytes: state.bytes,
    maxMessages: config.max_msgs,
    maxBytes: config.max_bytes,
    maxAgeSeconds: config.max_age / 1e9,
    storage: config.storage,
    replicas: config.num_replicas,
    oldestSeconds: isEmpty ? undefined : (serverMs - Date.parse(state.first_ts)) / 1000,
    cluster: cluster?.replicas === undefined ? undefined : toCluster(cluster),
    createdUs: Date.parse(created) * 1000,
    serverTimeUs: serverMs * 1000,
  };
}

function toCluster({ leader, replicas = [] }: NonNullable<StreamInfo["cluster"]>) {
  const laggards = replicas.filter(({ current, offline }) => offline || !current);
  return { leader: leader || undefined, laggards: laggards.map(({ name }) => name) };
}
