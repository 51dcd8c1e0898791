import { setTimeout as delay } from "node:timers/promises";
import {
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import type { StreamSpec } from "@packetwatch/contracts";
import { BusError } from "./bus-error.ts";
import type { Bus } from "./connect-bus.ts";
import type { Logger } from "./logger.ts";

/** Per-message TTL, with the marks that expired verdicts leave, came with nats-server 2.11. */
const OLDEST_SERVER = { major: 2, minor: 11 };
/** A request that was under way when the server went, or a leader, is never answered. */
const REQUEST_TIMEOUT_MS = 2000;
const RETRY_MS = 500;
const RETRY_JITTER_MS = 500;
/** JetStream comes after the server's port, and in a cluster after the election of a leader. */
const QUIET_MS = 2000;

/** JetStream's error codes, where nats.js has no name for them. */
const NO_SUITABLE_PEERS = 10005;
const UPDATE_REFUSED = 10052;
const REPLICAS_NEED_A_CLUSTER = 10074;

export type ProvisionOptions = { readonly signal?: AbortSignal; readonly logger?: Logger };

/**
 * Creates the streams that are missing and updates those that differ. Calling
 * it again is harmless. Where JetStream isn't ready it tries until it is or the
 * signal aborts, and says so once; throws BusError for what is refused for good.
 */
export async function provisionStreams(
  bus: Bus,
  specs: readonly StreamSpec[],
  { signal, logger }: ProvisionOptions = {},
): Promise<void> {
  requireServer(bus.connection.info?.version ?? "");
  const mention = mentionOnce(logger);
  for (const spec of specs) {
    for (;;) {
      const trouble = await provisionStream(bus, spec);
      if (trouble === undefined) break;
      mention(spec.name, trouble);
      const waitMs = RETRY_MS + Math.random() * RETRY_JITTER_MS;
      await delay(waitMs, undefined, signal ? { signal } : {});
    }
  }
}

function mentionOnce(logger: Logger | undefined): (stream: string, cause: string) => void {
  const startedMs = performance.now();
  let isMentioned = false;
  return (stream, cause) => {
    if (isMentioned || performance.now() - startedMs < QUIET_MS) return;
    isMentioned = true;
    logger?.warn({ stream, cause }, "the streams can't be provisioned yet; trying again");
  };
}

/** Throws where the server's version is one that would ignore what we ask for. */
export function requireServer(version: string): void {
  const match = /^v?(\d+)\.(\d+)/.exec(version);
  if (!match) return;
  const [major = 0, minor = 0] = match.slice(1).map(Number);
  const { major: oldestMajor, minor: oldestMinor } = OLDEST_SERVER;
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return;
  const detail = `nats-server ${version} is too old: verdicts that expire need ${oldestMajor}.${oldestMinor} or newer`;
  throw new BusError("STREAM", "", detail, { retryable: false });
}

/** What went wrong where it is worth another try. */
async function provisionStream(bus: Bus, spec: StreamSpec): Promise<string | undefined> {
  try {
    const manager = await jetstreamManager(bus.connection, { timeout: REQUEST_TIMEOUT_MS });
    await createOrUpdate(manager, spec);
    return undefined;
  } catch (cause) {
    if (!isRefusal(cause)) return (cause as Error).message;
    const isUnchangeable = codeOf(cause) === UPDATE_REFUSED;
    const wayOut = isUnchangeable
      ? `; 'nats stream rm ${spec.name}' removes it with what it holds, and it is made anew`
      : "";
    const detail = `provision stream ${spec.name}: ${(cause as Error).message}${wayOut}`;
    throw new BusError("STREAM", spec.name, detail, { cause, retryable: false });
  }
}

async function createOrUpdate(manager: JetStreamManager, spec: StreamSpec): Promise<void> {
  const config = streamConfig(spec);
  try {
    await manager.streams.update(spec.name, config);
  } catch (error) {
    if (codeOf(error) !== JetStreamApiCodes.StreamNotFound) throw error;
    await manager.streams.add(config);
  }
}

/**
 * JetStream's 400 says that the request itself can't be met, but where a cluster
 * waits for its other servers; 500 and 503 may pass, but for two.
 */
function isRefusal(error: unknown): boolean {
  const code = codeOf(error);
  if (code === NO_SUITABLE_PEERS) return false;
  if (code === UPDATE_REFUSED || code === REPLICAS_NEED_A_CLUSTER) return true;
  return error instanceof JetStreamApiError && error.status < 500;
}

function codeOf(error: unknown): number | undefined {
  return error instanceof JetStreamApiError ? error.code : undefined;
}

function streamConfig(spec: StreamSpec): Partial<StreamConfig> & { name: string } {
  const seconds = (value: number) => nanos(value * 1000);
  return {
    name: spec.name,
    description: spec.description,
    subjects: [...spec.subjects],
    retention: RetentionPolicy.Limits,
    storage: spec.storage === "memory" ? StorageType.Memory : StorageType.File,
    num_replicas: spec.replicas,
    max_bytes: spec.maxBytes,
    max_msgs: spec.maxMessages,
    max_msgs_per_subject: spec.maxMessagesPerSubject,
    max_age: seconds(spec.maxAgeSeconds),
    duplicate_window: seconds(spec.duplicateWindowSeconds),
    discard: spec.discard === "old" ? DiscardPolicy.Old : DiscardPolicy.New,
    allow_direct: true,
    ...(spec.markerSeconds === undefined
      ? {}
      : { allow_msg_ttl: true, subject_delete_marker_ttl: seconds(spec.markerSeconds) }),
    ...(spec.sources === undefined ? {} : { sources: spec.sources.map((name) => ({ name })) }),
  };
}
