/**
 * Who may do what on NATS. One role for each kind of credential; the server's
 * configuration, docs/permissions.md and the tests are made from this table.
 */
import { bucketStream, bucketSubject, buckets, everyKey } from "./buckets.ts";
import { DETECTOR_BUCKET, streamNames } from "./streams.ts";
import { subjects } from "./subjects.ts";

/**
 * Accounts are what a reply can't leave. NATS checks the subject of a message
 * and not its reply subject, so whoever may make a request can have the answer
 * sent to any subject of the same account: a stolen capture credential could
 * have an acknowledgement stored in place of a verdict. So those who need
 * nothing of the fleet's own account have another one, which reaches exactly
 * the subjects of this table.
 */
export type Account = "PACKETWATCH" | "PACKETWATCH_SENSORS" | "PACKETWATCH_INTEGRATIONS";

/** Has JetStream, and all streams. */
export const FLEET_ACCOUNT = "PACKETWATCH" satisfies Account;

export type RoleSpec = {
  readonly description: string;
  readonly account: Account;
  /** `{host}`: the host that the credential is for, or any where it is for none. */
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** Subjects of requests that it answers; it may publish the answers. */
  readonly answers: readonly string[];
};

/** The NATS services framework: `nats micro ls`. */
const SERVICE_DISCOVERY = "$SRV.>";

const verdictList = streamReading(streamNames.verdict);
/** The KV buckets that operators write and services follow. */
const operatorBuckets = [buckets.allowlist, buckets.enforcement] as const;
const everyStream = [
  ...Object.values(streamNames),
  ...[DETECTOR_BUCKET, ...Object.values(buckets)].map(bucketStream),
];

export const roles = {
  capture: {
    description: "publishes connection attempts and kernel counters",
    account: "PACKETWATCH_SENSORS",
    publish: [subjects.everySyn, ...telemetryOf("capture", "kernel")],
    subscribe: [],
    answers: [SERVICE_DISCOVERY],
  },
  detector: {
    description: "reads attempts, publishes verdicts and alerts, makes streams that are missing",
    account: FLEET_ACCOUNT,
    publish: [
      subjects.everyVerdict,
      subjects.breaker,
      subjects.everyAlert,
      ...telemetryOf("detector"),
      "$JS.API.INFO",
      ...streamApi("CREATE", everyStream),
      ...streamApi("INFO", everyStream),
      ...consuming(streamNames.syn),
      ...consuming(streamNames.verdict),
      // The alerts that may still hold back others.
      ...consuming(streamNames.history),
      ...bucketWriting(DETECTOR_BUCKET),
      ...operatorBuckets.flatMap(bucketReading),
    ],
    subscribe: [],
    answers: [SERVICE_DISCOVERY],
  },
  enforcer: {
    description: "reads verdicts and what operators set, says what it applied and holds",
    account: FLEET_ACCOUNT,
    publish: [
      bucketSubject(buckets.hosts, "{host}"),
      subjects.everyApplied.replace("*", "{host}"),
      ...telemetryOf("enforcer"),
      ...verdictList,
      ...operatorBuckets.flatMap(bucketReading),
    ],
    subscribe: [],
    answers: [SERVICE_DISCOVERY, subjects.everyHostBlocks.replace("*", "{host}")],
  },
  metrics: {
    description: "reads telemetry",
    account: FLEET_ACCOUNT,
    publish: [...telemetryOf("metrics"), ...streamReading(streamNames.telemetry)],
    subscribe: [subjects.everyTelemetry],
    answers: [SERVICE_DISCOVERY],
  },
  operator: {
    description:
      "the command: reads everything, blocks, unblocks, allows, and switches enforcement",
    account: FLEET_ACCOUNT,
    publish: [
      subjects.everyVerdict,
      subjects.breaker,
      subjects.everyHostBlocks,
      SERVICE_DISCOVERY,
      "$JS.API.INFO",
      "$JS.API.STREAM.NAMES",
      "$JS.API.STREAM.LIST",
      ...everyStream.flatMap(streamLooking),
      ...operatorBuckets.flatMap(bucketWriting),
    ],
    subscribe: ["packetwatch.v1.>", everyKey(buckets.hosts)],
    answers: [],
  },
  provisioner: {
    description: "creates, changes and removes the streams",
    account: FLEET_ACCOUNT,
    publish: [
      "$JS.API.INFO",
      "$JS.API.STREAM.NAMES",
      "$JS.API.STREAM.LIST",
      ...["INFO", "CREATE", "UPDATE", "DELETE", "PURGE"].flatMap((verb) =>
        streamApi(verb, everyStream),
      ),
    ],
    subscribe: [],
    answers: [],
  },
  relay: {
    description: "reads the block list and the history, and says what of it has been handed on",
    account: FLEET_ACCOUNT,
    publish: [
      "$JS.API.INFO",
      ...streamReading(streamNames.verdict),
      ...streamReading(streamNames.history),
      `$JS.API.CONSUMER.DURABLE.CREATE.${streamNames.history}.>`,
      `$JS.ACK.${streamNames.history}.>`,
    ],
    subscribe: [],
    answers: [],
  },
  integrator: {
    description: "reads what is published, and nothing else",
    account: "PACKETWATCH_INTEGRATIONS",
    publish: [],
    subscribe: [
      subjects.everySyn,
      subjects.everyVerdict,
      subjects.everyAlert,
      subjects.everyApplied,
      subjects.everyTelemetry,
    ],
    answers: [],
  },
} as const satisfies Record<string, RoleSpec>;

export type Role = keyof typeof roles;

export const roleNames = Object.keys(roles) as readonly Role[];

/** The inbox of one credential: nobody else may read the answers that it gets. */
export function inboxPrefix(publicKey: string): string {
  return `_INBOX.${publicKey}`;
}

function telemetryOf(...services: readonly string[]): string[] {
  return services.map((service) => `packetwatch.v1.telemetry.${service}.*`);
}

function streamApi(verb: string, streams: readonly string[]): string[] {
  return streams.map((stream) => `$JS.API.STREAM.${verb}.${stream}`);
}

/** Reading in order, by consumers; the server removes those that nobody asks any more. */
function streamReading(stream: string): readonly string[] {
  return [...streamApi("INFO", [stream]), ...consuming(stream)];
}

function consuming(stream: string): readonly string[] {
  return ["CREATE", "MSG.NEXT", "INFO"].map((verb) => `$JS.API.CONSUMER.${verb}.${stream}.>`);
}

/** The same, and a message by its number or subject. */
function bucketReading(bucket: string): readonly string[] {
  return streamLooking(`KV_${bucket}`);
}

function streamLooking(stream: string): readonly string[] {
  return [
    ...streamReading(stream),
    `$JS.API.CONSUMER.DELETE.${stream}.>`,
    `$JS.API.DIRECT.GET.${stream}`,
    `$JS.API.DIRECT.GET.${stream}.>`,
  ];
}

function bucketWriting(bucket: string): readonly string[] {
  return [...bucketReading(bucket), `$KV.${bucket}.>`];
}
