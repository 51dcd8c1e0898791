/** docs/asyncapi.yaml: the NATS contract as an AsyncAPI 3 document, from the code that speaks it. */
import { SHARD_COUNT } from "@packetwatch/net";
import { stringify } from "yaml";
import { buckets, HOST_MEMORY_SECONDS } from "../buckets.ts";
import {
  DETECTOR_BUCKET,
  SYN_MARGIN_SECONDS,
  streamSpecs,
  type StreamSpec,
  VERDICT_MARKER_SECONDS,
} from "../streams.ts";
import { MAX_SYN_BATCH_BYTES } from "../syn-batch.v1.ts";
import { exampleMessages as examples } from "./example-messages.ts";
import type { JsonMessageName } from "./json-schemas.ts";

const PAGE_COLUMNS = 110;

/** The KV buckets: what their keys and values are. */
export const kvBuckets = [
  {
    name: DETECTOR_BUCKET,
    description:
      "Who is in the group of detectors. A member puts its name three times in PW_DETECTOR_TTL; one that is silent is gone.",
    key: "instance",
    value: "empty",
  },
  {
    name: buckets.allowlist,
    description:
      "Prefixes that operators allow on every host; kept on disk until they are removed or end.",
    key: "the prefix, in address tokens",
    value: "allow entry, version 1",
  },
  {
    name: buckets.enforcement,
    description:
      "Whether the fleet and its hosts drop what is blocked; of all that concerns a host and is not over, the one stored last holds.",
    key: "`lasting.fleet`, `lasting.host.<host>`, `trial.fleet` or `trial.host.<host>`",
    value: "enforcement, version 1",
  },
  {
    name: buckets.hosts,
    description: `What each enforcer last said of its host, for ${HOST_MEMORY_SECONDS} seconds; kept in memory.`,
    key: "PW_HOST; what no token may hold became `_`",
    value: "host state, version 1",
  },
] as const;

export type AsyncApiParts = {
  /** The grammar of a SYN batch: the comment above its codec. */
  readonly synBatchGrammar: string;
};

export function renderAsyncApi(parts: AsyncApiParts): string {
  return `# Generated from libs/contracts by \`make docs\`; a test fails where it differs.
${stringify(createAsyncApi(parts), { lineWidth: PAGE_COLUMNS, aliasDuplicateObjects: false })}`;
}

export function createAsyncApi(parts: AsyncApiParts) {
  return {
    asyncapi: "3.0.0",
    info: {
      title: "Packetwatch",
      version: "1",
      description: `What Packetwatch says on NATS, and what it hears. The \`v1\` in the subjects is the version of this contract: a published message is never changed but by members that readers may ignore; anything else is a new version beside the old one.

Address tokens let a subscriber watch a prefix: \`packetwatch.v1.verdict.ip4.203.0.113.*\`. docs/integrations.md has subscriptions to start from.`,
    },
    defaultContentType: "application/json",
    servers: {
      nats: {
        host: "127.0.0.1:4222",
        protocol: "nats",
        description:
          "nats-server 2.11 or later with JetStream, where PW_NATS_URL says. Telemetry and the services framework ($SRV) need only core NATS.",
      },
    },
    channels,
    operations,
    components: { messages: messages(parts) },
    "x-jetstream": { streams: describeStreams(), buckets: kvBuckets },
  };
}

const addressParameter = {
  description:
    "The source, one token per octet or group: `ip4.203.0.113.9`; `ip6.2001.db8.0.1` is 2001:db8:0:1::/64. A prefix of another length says it in a last token: `ip6.2001.db8.1.s48`.",
  examples: ["ip4.203.0.113.9", "ip6.2001.db8.0.1"],
};

const ref = (message: string) => ({ $ref: `#/components/messages/${message}` });

const channels = {
  syn: {
    address: "packetwatch.v1.syn.{shard}",
    summary: "Connection attempts, in batches, by shard of their source",
    description:
      "In the stream PACKETWATCH_SYN. The shard is a hash of the source, so that all attempts of one source are in one subject, in order.",
    parameters: {
      shard: { description: `0 to ${SHARD_COUNT - 1}`, examples: ["0", `${SHARD_COUNT - 1}`] },
    },
    messages: { synBatchV1: ref("synBatchV1") },
  },
  verdict: {
    address: "packetwatch.v1.verdict.{address}",
    summary: "Who is blocked, and who is not any more",
    description:
      "In the stream PACKETWATCH_VERDICT, which keeps the last message of each subject: the list of what is blocked is the stream. A consumer with the deliver policy last_per_subject reads it, and then what changes.",
    parameters: { address: addressParameter },
    messages: { verdictV1: ref("verdictV1"), verdictGone: ref("verdictGone") },
  },
  alert: {
    address: "packetwatch.v1.alert.{rule}.{address}",
    summary: "A rule whose action is `alert` fired",
    description: "Kept in the stream PACKETWATCH_HISTORY.",
    parameters: {
      rule: { enum: ["vertical", "horizontal", "spread"], description: "The rule that fired" },
      address: addressParameter,
    },
    messages: { alertV1: ref("alertV1") },
  },
  breaker: {
    address: "packetwatch.v1.breaker",
    summary: "Whether detectors may block",
    description:
      "In the stream PACKETWATCH_VERDICT, so that its order among the verdicts is known to all.",
    messages: { breakerV1: ref("breakerV1") },
  },
  applied: {
    address: "packetwatch.v1.applied.{host}",
    summary: "What an enforcer did with a verdict",
    description: "Kept in the stream PACKETWATCH_HISTORY.",
    parameters: { host: { description: "PW_HOST; what no token may hold became `_`" } },
    messages: { appliedV1: ref("appliedV1") },
  },
  telemetry: {
    address: "packetwatch.v1.telemetry.{service}.{instance}",
    summary: "The metrics of an instance, once a second",
    description:
      "`metrics` adds them up for Prometheus. The stream PACKETWATCH_TELEMETRY keeps the last one of each instance: who is there, and who has fallen silent.",
    parameters: {
      service: {
        enum: ["capture", "detector", "enforcer", "kernel", "metrics"],
        description: "`kernel`: the counters of an XDP program, which outlive a capture",
      },
      instance: { description: "One process, or one map of kernel counters" },
    },
    messages: { telemetryV1: ref("telemetryV1") },
  },
  hostBlocks: {
    address: "packetwatch.v1.host.{host}.blocks",
    summary: "What the kernel of a host holds of some sources",
    description:
      "Request and reply: the host's enforcer answers to the reply subject. A request that breaks its contract is counted, and not answered.",
    parameters: { host: { description: "PW_HOST; what no token may hold became `_`" } },
    messages: {
      hostBlocksRequestV1: ref("hostBlocksRequestV1"),
      hostBlocksReplyV1: ref("hostBlocksReplyV1"),
    },
  },
  detectors: {
    address: `$KV.${DETECTOR_BUCKET}.{instance}`,
    summary: "Detectors announce themselves",
    description: "The KV bucket's own subjects; read it as a bucket.",
    parameters: { instance: { description: "A detector" } },
    messages: { membership: ref("membership") },
  },
  allowlist: {
    address: `$KV.${buckets.allowlist}.{address}`,
    summary: "What operators allow on every host",
    description: "The KV bucket's own subjects. An enforcer follows it within milliseconds.",
    parameters: { address: { description: "The prefix, in address tokens, as in a verdict" } },
    messages: { allowEntryV1: ref("allowEntryV1") },
  },
  enforcement: {
    address: `$KV.${buckets.enforcement}.{scope}`,
    summary: "Whether the fleet, or a host, drops what is blocked",
    description: "The KV bucket's own subjects. A scope has two or three tokens.",
    parameters: { scope: { description: "`lasting.fleet`, `trial.host.<host>`" } },
    messages: { enforcementV1: ref("enforcementV1") },
  },
  hosts: {
    address: `$KV.${buckets.hosts}.{host}`,
    summary: "What a host's kernel holds, once a second and at every change",
    description: "The KV bucket's own subjects; published without acknowledgement.",
    parameters: { host: { description: "PW_HOST; what no token may hold became `_`" } },
    messages: { hostStateV1: ref("hostStateV1") },
  },
};

const send = (channel: keyof typeof channels, summary: string) => ({
  action: "send",
  channel: { $ref: `#/channels/${channel}` },
  summary,
});

/** From Packetwatch's side: `send` is what an integrator receives. */
const operations = {
  publishSyns: send("syn", "capture publishes what XDP saw"),
  publishVerdict: send("verdict", "detector and the command publish verdicts"),
  publishAlert: send("alert", "detector alerts"),
  publishBreaker: send("breaker", "detector opens and closes it; an operator may close it"),
  publishApplied: send("applied", "enforcer says what it did"),
  publishTelemetry: send("telemetry", "every service publishes its metrics"),
  announceDetector: send("detectors", "detector says that it lives"),
  publishHostState: send("hosts", "enforcer says what its kernel holds"),
  takeAllowEntry: {
    action: "receive",
    channel: { $ref: "#/channels/allowlist" },
    summary: "enforcer brings what operators allow into its kernel",
  },
  takeEnforcement: {
    action: "receive",
    channel: { $ref: "#/channels/enforcement" },
    summary: "enforcer switches between dropping and a dry run",
  },
  answerHostBlocks: {
    action: "receive",
    channel: { $ref: "#/channels/hostBlocks" },
    summary: "enforcer answers what its block maps hold",
    messages: [{ $ref: "#/channels/hostBlocks/messages/hostBlocksRequestV1" }],
    reply: {
      channel: { $ref: "#/channels/hostBlocks" },
      messages: [{ $ref: "#/channels/hostBlocks/messages/hostBlocksReplyV1" }],
    },
  },
  takeVerdict: {
    action: "receive",
    channel: { $ref: "#/channels/verdict" },
    summary: "enforcer applies a verdict, whoever published it: an operator's role may",
    messages: [{ $ref: "#/channels/verdict/messages/verdictV1" }],
  },
};

const schemaOf = (name: JsonMessageName) => ({ $ref: `./schemas/${name}.json` });

const textHeader = (description: string) => ({ type: "string", description });

const messageId = {
  "Nats-Msg-Id": textHeader("The server drops a message whose id it has seen lately."),
};

const verdictGone = {
  title: "The mark of a verdict that is gone",
  summary: `What a consumer of the stream finds, for ${VERDICT_MARKER_SECONDS} seconds, where a verdict has left it`,
  headers: {
    type: "object",
    required: ["Nats-Marker-Reason"],
    properties: {
      "Nats-Marker-Reason": {
        type: "string",
        enum: ["MaxAge", "Remove", "Purge"],
        description:
          "`MaxAge`: a block that has ended, or an unblock that is no longer needed, has left. It comes minutes after a block's end, which the verdict itself tells: `expiresUs`.",
      },
    },
  },
  payload: { type: "string", maxLength: 0, description: "Empty" },
};

const controlMessages = {
  breakerV1: {
    title: "Breaker, version 1",
    payload: schemaOf("breaker.v1"),
    examples: [{ name: "breaker", payload: examples.breaker }],
  },
  allowEntryV1: {
    title: "Allow entry, version 1",
    payload: schemaOf("allow-entry.v1"),
    examples: [{ name: "allowEntry", payload: examples.allowEntry }],
  },
  enforcementV1: {
    title: "Enforcement, version 1",
    payload: schemaOf("enforcement.v1"),
    examples: [{ name: "enforcement", payload: examples.enforcement }],
  },
  hostStateV1: {
    title: "Host state, version 1",
    payload: schemaOf("host-state.v1"),
    examples: [{ name: "hostState", payload: examples.hostState }],
  },
};

function messages({ synBatchGrammar }: AsyncApiParts) {
  return {
    synBatchV1: {
      title: "SYN batch, version 1",
      summary: "Binary. The codec is libs/contracts/src/syn-batch.v1.ts.",
      contentType: "application/octet-stream",
      description: `${synBatchGrammar}\n\nA batch has at most ${MAX_SYN_BATCH_BYTES} bytes.`,
      headers: { type: "object", properties: messageId },
      payload: { type: "string", format: "binary", maxLength: MAX_SYN_BATCH_BYTES },
    },
    verdictV1: {
      title: "Verdict, version 1",
      summary: "The last one of a source is in force on every host",
      headers: {
        type: "object",
        properties: {
          ...messageId,
          "Nats-TTL": textHeader("Of a block with an end: the message leaves the list with it."),
        },
      },
      payload: schemaOf("verdict.v1"),
      examples: [
        { name: "block", summary: "A detector's block", payload: examples.block },
        {
          name: "operatorBlock",
          summary: "An operator's block of an hour",
          payload: examples.operatorBlock,
        },
        { name: "unblock", summary: "A source is lifted", payload: examples.unblock },
      ],
    },
    verdictGone,
    alertV1: {
      title: "Alert, version 1",
      headers: { type: "object", properties: messageId },
      payload: schemaOf("alert.v1"),
      examples: [{ name: "alert", payload: examples.alert }],
    },
    appliedV1: {
      title: "Applied, version 1",
      payload: schemaOf("applied.v1"),
      examples: [{ name: "applied", payload: examples.applied }],
    },
    telemetryV1: {
      title: "Telemetry, version 1",
      summary: "A prom-client registry, as its getMetricsAsJSON() gives it",
      payload: schemaOf("telemetry.v1"),
      examples: [{ name: "telemetry", payload: examples.telemetry }],
    },
    hostBlocksRequestV1: {
      title: "Host blocks request, version 1",
      payload: schemaOf("host-blocks-request.v1"),
      examples: [{ name: "request", payload: examples.hostBlocksRequest }],
    },
    hostBlocksReplyV1: {
      title: "Host blocks reply, version 1",
      payload: schemaOf("host-blocks-reply.v1"),
      examples: [{ name: "reply", payload: examples.hostBlocksReply }],
    },
    ...controlMessages,
    membership: {
      title: "A detector lives",
      contentType: "application/octet-stream",
      payload: { type: "string", maxLength: 0, description: "Empty" },
    },
  };
}

/** What is the same in every installation; sizes and ages are variables (docs/variables.md). */
function describeStreams() {
  const specs = streamSpecs({
    longestWindowSeconds: 1,
    synStorage: "memory",
    synBytes: 1,
    verdictMessages: 1,
    historySeconds: 1,
    historyBytes: 1,
    replicas: 1,
  });
  return specs.filter(({ kind }) => kind !== "bucket").map(describeStream);
}

const limits: Readonly<Record<string, string>> = {
  PACKETWATCH_SYN: `Kept in memory or on disk (PW_SYN_STORAGE), the longest window and ${SYN_MARGIN_SECONDS} s long, in PW_SYN_STREAM_BYTES`,
  PACKETWATCH_VERDICT: "Kept on disk, PW_MAX_VERDICTS at most",
  PACKETWATCH_TELEMETRY:
    "Kept in memory for a day, in 64 MiB; a memory stream that loses its servers (PW_STREAM_REPLICAS) fills again within a second",
  PACKETWATCH_HISTORY: "Kept on disk for PW_HISTORY_SECONDS, in PW_HISTORY_BYTES",
};

function describeStream(spec: StreamSpec) {
  const { name, description, subjects, sources, maxMessagesPerSubject, discard } = spec;
  return {
    name,
    description,
    subjects,
    ...(sources ? { sources } : {}),
    ...(maxMessagesPerSubject > 0 ? { maxMessagesPerSubject } : {}),
    discard,
    limits: limits[name],
  };
}
