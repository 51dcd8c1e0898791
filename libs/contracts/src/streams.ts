/** The JetStream streams of contract v1, as plain data; libs/bus creates them. */
import {
  bucketStream,
  buckets,
  everyKey,
  HOST_MEMORY_SECONDS,
  MAX_ALLOW_ENTRIES,
  MAX_ENFORCEMENT_ENTRIES,
  MAX_HOSTS,
} from "./buckets.ts";
import { subjects } from "./subjects.ts";
import type { Verdict } from "./verdict.v1.ts";

export const streamNames = {
  syn: "PACKETWATCH_SYN",
  verdict: "PACKETWATCH_VERDICT",
  history: "PACKETWATCH_HISTORY",
  telemetry: "PACKETWATCH_TELEMETRY",
} as const;

/** The KV bucket in which detectors announce themselves. */
export const DETECTOR_BUCKET = "packetwatch_detectors";

/** SYNs are kept this much longer than the longest window, for a detector that is slow to take over. */
export const SYN_MARGIN_SECONDS = 60;

/**
 * How long the mark of a verdict that is gone stays readable. Who was away for longer reads the whole list again;
 * until it goes, a mark takes the place of a verdict.
 */
export const VERDICT_MARKER_SECONDS = 600;

/**
 * How long an unblock is kept: longer than anything can bring back what came before it. A detector replays the stream
 * for at most the longest window that can be set and a margin, a day and a minute; what a capture had buffered while
 * it was cut off from NATS can be older than that.
 */
export const UNBLOCK_SECONDS = 7 * 86_400;

/** So long an instance that fell silent is known by its last words. */
export const TELEMETRY_SECONDS = 86_400;

/** Room for the last words of some thousands of instances; then those that were silent longest leave. */
const TELEMETRY_BYTES = 64 * 1024 ** 2;

export type StreamSpec = {
  readonly name: string;
  readonly description: string;
  readonly subjects: readonly string[];
  readonly storage: "memory" | "file";
  readonly replicas: number;
  readonly maxBytes: number;
  readonly maxMessages: number;
  readonly maxMessagesPerSubject: number;
  /** 0 = no limit of age. */
  readonly maxAgeSeconds: number;
  readonly duplicateWindowSeconds: number;
  readonly discard: "old" | "new";
  /** Message TTLs are allowed, and an expired message leaves a mark for this long. */
  readonly markerSeconds?: number;
  /** Streams whose messages are copied in. */
  readonly sources?: readonly string[];
  /** `bucket`: NATS's KV tools take it for a bucket. */
  readonly kind?: "bucket";
};

export type StreamSizes = {
  readonly longestWindowSeconds: number;
  readonly synStorage: "memory" | "file";
  readonly synBytes: number;
  readonly verdictMessages: number;
  readonly historySeconds: number;
  readonly historyBytes: number;
  readonly replicas: number;
};

/** An average verdict with full evidence is smaller than this, subject and headers included. */
const VERDICT_BYTES = 4096;

/** The same for what operators set. */
const BUCKET_ENTRY_BYTES = 2048;

/** A host's state is a few hundred bytes, with a long PW_ALLOW some KiB. */
const HOST_BUCKET_BYTES = 64 * 1024 ** 2;

export function streamSpecs(sizes: StreamSizes): readonly StreamSpec[] {
  return [
    synStream(sizes),
    verdictStream(sizes),
    historyStream(sizes),
    telemetryStream(sizes),
    ...bucketSpecs(sizes),
  ];
}

/** The buckets, without the detectors' own, which has the lifetime of its group. */
function bucketSpecs({ replicas }: StreamSizes): readonly StreamSpec[] {
  return [
    {
      ...bucketSpec(buckets.allowlist, MAX_ALLOW_ENTRIES),
      description: "Prefixes that operators allow on every host",
      replicas,
    },
    {
      ...bucketSpec(buckets.enforcement, MAX_ENFORCEMENT_ENTRIES),
      description: "Whether the fleet and its hosts drop what is blocked",
      replicas,
    },
    {
      ...bucketSpec(buckets.hosts, MAX_HOSTS),
      description: "What each enforcer last said of its host",
      replicas,
      storage: "memory",
      maxBytes: HOST_BUCKET_BYTES,
      maxAgeSeconds: HOST_MEMORY_SECONDS,
      discard: "old",
    },
  ];
}

/** A full bucket refuses what is new: what operators have set stays. */
function bucketSpec(bucket: string, maxEntries: number) {
  return {
    name: bucketStream(bucket),
    subjects: [everyKey(bucket)],
    storage: "file",
    maxBytes: maxEntries * BUCKET_ENTRY_BYTES,
    maxMessages: maxEntries,
    maxMessagesPerSubject: 1,
    maxAgeSeconds: 0,
    duplicateWindowSeconds: 60,
    discard: "new",
    markerSeconds: VERDICT_MARKER_SECONDS,
    kind: "bucket",
  } as const;
}

/** How long a detector that takes a shard must be able to look back, in whole seconds. */
export function replaySeconds(longestWindowSeconds: number): number {
  return Math.ceil(longestWindowSeconds) + SYN_MARGIN_SECONDS;
}

/**
 * How far back a detector reads alerts before it judges what it replays: one from before the replay holds back for the
 * length of its rule's window.
 */
export function alertLookBackSeconds(longestWindowSeconds: number): number {
  return 2 * replaySeconds(longestWindowSeconds);
}

export type VerdictTtlOptions = {
  readonly nowUs: number;
  readonly longestWindowSeconds: number;
  /** How long after its end a block matters to the next one; default 0. */
  readonly memorySeconds?: number;
};

/**
 * Whole seconds that a verdict stays in the stream; 0: until another takes its place. A block is kept beyond its end,
 * for as long as a replay can reach back to a time in which it matters: a detector that takes over then knows that it was,
 * and until when.
 */
export function verdictTtlSeconds(verdict: Verdict, options: VerdictTtlOptions): number {
  if (verdict.kind === "unblock") return UNBLOCK_SECONDS;
  if (verdict.expiresUs === null) return 0;
  const remainingSeconds = Math.max(0, Math.ceil((verdict.expiresUs - options.nowUs) / 1e6));
  const memorySeconds = Math.ceil(options.memorySeconds ?? 0);
  const replayed = replaySeconds(options.longestWindowSeconds) + SYN_MARGIN_SECONDS;
  return remainingSeconds + memorySeconds + replayed;
}

function synStream(sizes: StreamSizes): StreamSpec {
  return {
    name: streamNames.syn,
    description: "Connection attempts, by shard of their source",
    subjects: [subjects.everySyn],
    storage: sizes.synStorage,
    replicas: sizes.replicas,
    maxBytes: sizes.synBytes,
    maxMessages: -1,
    maxMessagesPerSubject: -1,
    maxAgeSeconds: replaySeconds(sizes.longestWindowSeconds),
    duplicateWindowSeconds: 60,
    discard: "old",
  };
}

function verdictStream(sizes: StreamSizes): StreamSpec {
  return {
    name: streamNames.verdict,
    description: "Verdicts: the last one of a subject is in force",
    subjects: [subjects.everyVerdict, subjects.breaker],
    storage: "file",
    replicas: sizes.replicas,
    maxBytes: sizes.verdictMessages * VERDICT_BYTES,
    maxMessages: sizes.verdictMessages,
    maxMessagesPerSubject: 1,
    maxAgeSeconds: 0,
    duplicateWindowSeconds: repeatSeconds(sizes),
    // A full list refuses new verdicts: the blocks that are in force stay.
    discard: "new",
    markerSeconds: VERDICT_MARKER_SECONDS,
  };
}

/** A replay can repeat every verdict and alert that SYNs in the stream can cause. */
function repeatSeconds({ longestWindowSeconds }: StreamSizes): number {
  return replaySeconds(longestWindowSeconds) + SYN_MARGIN_SECONDS;
}

function historyStream(sizes: StreamSizes): StreamSpec {
  return {
    name: streamNames.history,
    description: "Verdicts, alerts and what enforcers did, for explain and auditors",
    subjects: [subjects.everyAlert, subjects.everyApplied],
    storage: "file",
    replicas: sizes.replicas,
    maxBytes: sizes.historyBytes,
    maxMessages: -1,
    maxMessagesPerSubject: -1,
    // Detectors that take over read the alerts in it.
    maxAgeSeconds: Math.max(sizes.historySeconds, alertLookBackSeconds(sizes.longestWindowSeconds)),
    duplicateWindowSeconds: repeatSeconds(sizes),
    discard: "old",
    sources: [streamNames.verdict],
  };
}

/** Who is there is known at once, and who is not is known by name. */
function telemetryStream(sizes: StreamSizes): StreamSpec {
  return {
    name: streamNames.telemetry,
    description: "The last telemetry of each instance: who is there, and who has fallen silent",
    subjects: [subjects.everyTelemetry],
    storage: "memory",
    replicas: sizes.replicas,
    maxBytes: TELEMETRY_BYTES,
    maxMessages: -1,
    maxMessagesPerSubject: 1,
    maxAgeSeconds: TELEMETRY_SECONDS,
    duplicateWindowSeconds: 60,
    discard: "old",
  };
}
