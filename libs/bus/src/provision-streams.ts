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
import { nanos, PermissionViolationError } from "@nats-io/transport-node";
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

export type ProvisionOptions = {
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
  /**
   * What follows where the credential may not: "wait" until somebody else has
   * made a stream that is missing, and live with one that differs; or "fail".
   */
  readonly whenForbidden?: "wait" | "fail";
};

/**
 * Creates the streams that are missing and updates those that differ. Calling
 * it again is harmless. Where JetStream isn't ready it tries until it is or the
 * signal aborts, and says so once; throws BusError for what is refused for good.
 */
export async function provisionStreams(
  bus: Bus,
  specs: readonly StreamSpec[],
  { signal, logger, whenForbidden = "wait" }: ProvisionOptions = {},
): Promise<void> {
  requireServer(bus.connection.info?.version ?? "");
  const mention = mentionOnce(logger);
  for (const spec of specs) {
    for (;;) {
      const trouble = await provisionStream(bus, spec, { logger, whenForbidden });
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

type Attempt = {
  readonly logger: Logger | undefined;
  readonly whenForbidden: "wait" | "fail";
};

/** What went wrong where it is worth another try. */
async function provisionStream(
  bus: Bus,
  spec: StreamSpec,
  { logger, whenForbidden }: Attempt,
): Promise<string | undefined> {
  try {
    const manager = await jetstreamManager(bus.connection, { timeout: REQUEST_TIMEOUT_MS });
    await createOrUpdate(manager, spec, whenForbidden === "wait" ? logger : undefined);
    return undefined;
  } catch (cause) {
    const isFinal = isForbidden(cause) ? whenForbidden === "fail" : isRefusal(cause);
    if (!isFinal) return (cause as Error).message;
    const detail = `provision stream ${spec.name}: ${(cause as Error).message}${wayOut(spec, cause)}`;
    throw new BusError("STREAM", spec.name, detail, { cause, retryable: false });
  }
}

function wayOut({ name }: StreamSpec, cause: unknown): string {
  if (isForbidden(cause)) return "; the provisioner's credential may (PW_NATS_NKEY_FILE)";
  if (codeOf(cause) !== UPDATE_REFUSED) return "";
  return `; 'nats stream rm ${name}' removes it with what it holds, and it is made anew`;
}

/** Looks first: whoever may not change a stream has to try only where it differs. */
async function createOrUpdate(
  manager: JetStreamManager,
  spec: StreamSpec,
  logger: Logger | undefined,
): Promise<void> {
  const config = streamConfig(spec);
  const existing = await existingConfig(manager, spec.name);
  if (existing === undefined) {
    await manager.streams.add(config);
  } else if (!isCovered(config, existing)) {
    await manager.streams.update(spec.name, config).catch(livingWithIt(spec, logger));
  }
}

async function existingConfig(
  manager: JetStreamManager,
  stream: string,
): Promise<StreamConfig | undefined> {
  try {
    return (await manager.streams.info(stream)).config;
  } catch (error) {
    if (codeOf(error) === JetStreamApiCodes.StreamNotFound) return undefined;
    throw error;
  }
}

function livingWithIt({ name }: StreamSpec, logger: Logger | undefined) {
  return (error: unknown): void => {
    if (logger === undefined || !isForbidden(error)) throw error;
    logger.warn(
      { stream: name },
      "a stream differs from the settings; 'packetwatch provision' with the provisioner's credential changes it",
    );
  };
}

/** Whether everything that `wanted` names is so in `actual`, which has more members. */
function isCovered(wanted: unknown, actual: unknown): boolean {
  if (typeof wanted !== "object" || wanted === null) return wanted === actual;
  if (typeof actual !== "object" || actual === null) return false;
  if (Array.isArray(wanted) && wanted.length !== (actual as unknown[]).length) return false;
  return Object.entries(wanted).every(([key, value]) =>
    isCovered(value, (actual as Record<string, unknown>)[key]),
  );
}

/** NATS refused the request by the sender's permissions: it never reached JetStream. */
export function isForbidden(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return error instanceof PermissionViolationError || cause instanceof PermissionViolationError;
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
    ...(spec.kind === "bucket" ? { allow_rollup_hdrs: true, deny_delete: true } : {}),
    ...(spec.sources === undefined ? {} : { sources: spec.sources.map((name) => ({ name })) }),
  };
}
