/** Facts of fleets for the tests of this folder. */
import type { StreamState } from "@packetwatch/bus";
import { type BreakerMessage, streamNames, type Telemetry } from "@packetwatch/contracts";
import type { FleetFacts, InstanceFacts } from "../status/fleet-facts.ts";
import { TIME_US } from "./payloads.ts";

type Series = readonly (readonly [labels: Record<string, string>, value: number])[];

export type InstanceOptions = {
  readonly service: string;
  readonly host?: string;
  readonly instance?: string;
  readonly silentSeconds?: number;
  readonly metrics?: Readonly<Record<string, Series>>;
};

/** What an instance said last; a process comes with its version. */
export function instanceOf(options: InstanceOptions): InstanceFacts {
  const { service, host = "host-a", silentSeconds = 0.4, metrics = {} } = options;
  const build: Record<string, Series> =
    service === "kernel" ? {} : { packetwatch_build_info: [[{ service, version: "0.1.0" }, 1]] };
  const telemetry: Telemetry = {
    version: 1,
    service,
    instance: options.instance ?? `${host}-${service}`,
    host,
    sentUs: 1,
    metrics: Object.entries({ ...build, ...metrics }).map(([name, series]) => ({
      name,
      help: "",
      type: "gauge",
      aggregator: "sum",
      values: series.map(([labels, value]) => ({ labels, value })),
    })),
  };
  return { telemetry, silentSeconds };
}

export function streamOf(name: string, changes: Partial<StreamState> = {}): StreamState {
  return {
    name,
    messages: 10,
    bytes: 1024,
    maxMessages: -1,
    maxBytes: 1024 ** 2,
    maxAgeSeconds: 360,
    storage: "file",
    replicas: 1,
    oldestSeconds: 30,
    cluster: undefined,
    createdUs: 0,
    serverTimeUs: 1,
    ...changes,
  };
}

export const allShards: Series = Array.from({ length: 64 }, (_, shard) => [
  { shard: String(shard) },
  0,
]);

export function hostOf(host: string, silentSeconds: number = 0.4): readonly InstanceFacts[] {
  const place = { host, interface: "eth0" };
  return [
    instanceOf({
      service: "capture",
      host,
      silentSeconds,
      metrics: {
        packetwatch_capture_xdp_mode: [
          [{ ...place, mode: "native" }, 1],
          [{ ...place, mode: "skb" }, 0],
        ],
      },
    }),
    instanceOf({
      service: "enforcer",
      host,
      silentSeconds,
      metrics: {
        packetwatch_enforcer_blocks: [[{ host }, 2]],
        packetwatch_enforcer_block_capacity: [[{ host }, 100]],
        packetwatch_enforcer_behind_messages: [[{ host }, 0]],
        packetwatch_enforcer_waiting_interfaces: [[{ host }, 0]],
        packetwatch_enforcer_enforcing: [[{ host }, 1]],
        packetwatch_enforcer_allowed_refused: [[{ host }, 0]],
        packetwatch_enforcer_leftover_blocks: [[{ host }, 0]],
      },
    }),
    instanceOf({
      service: "kernel",
      host,
      silentSeconds,
      metrics: {
        packetwatch_syn_seen_total: [
          [{ ...place, family: "ipv4" }, 100],
          [{ ...place, family: "ipv6" }, 20],
        ],
        packetwatch_syn_reported_total: [[place, 108]],
        packetwatch_syn_dropped_total: [[place, 12]],
        packetwatch_syn_thinned_total: [[place, 7]],
      },
    }),
  ];
}

export const detector = (changes: Partial<InstanceOptions> = {}) =>
  instanceOf({
    service: "detector",
    host: "core",
    metrics: {
      packetwatch_detector_shard_lag_messages: allShards,
      packetwatch_detector_lag_messages: [[{}, 0]],
    },
    ...changes,
  });

/** Two hosts, a detector, metrics and all streams; nothing is amiss. */
export function healthyFacts(changes: Partial<FleetFacts> = {}): FleetFacts {
  return {
    instances: [
      ...hostOf("host-a"),
      ...hostOf("host-b"),
      detector(),
      instanceOf({ service: "metrics", host: "core" }),
    ],
    streams: new Map(Object.values(streamNames).map((name) => [name, streamOf(name)])),
    nats: {
      name: "nats-1",
      version: "2.15.1",
      address: "127.0.0.1:4222",
      cluster: null,
      servers: [],
      roundTripMs: 0.25,
    },
    breaker: undefined,
    rejected: undefined,
    ...changes,
  };
}

export const openBreaker: BreakerMessage = {
  version: 1,
  state: "open",
  reason: "rate",
  changedBy: "detector/d1",
  changedUs: TIME_US,
  fromSequence: 7,
  lastHeldUs: TIME_US,
  periods: [{ fromUs: TIME_US, untilUs: null }],
};
