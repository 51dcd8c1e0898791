/** What the facts of a fleet amount to. Pure. */
import type { Telemetry } from "@packetwatch/contracts";
import { SHARD_COUNT } from "@packetwatch/net";
import type { FleetFacts, InstanceFacts } from "./fleet-facts.ts";
import { samplesOf, sumOf } from "./read-metric.ts";

/** Telemetry comes once a second: who missed three turns is silent. */
export const SILENT_AFTER_SECONDS = 3.5;

/** A process, by its last words. */
export type ProcessStatus = {
  readonly instance: string;
  readonly version: string;
  readonly isHeard: boolean;
  readonly silentSeconds: number;
};

export type InterfaceStatus = {
  readonly name: string;
  /** undefined: capture doesn't say, or is not heard. */
  readonly mode: string | undefined;
  readonly seen: number;
  readonly dropped: number;
  readonly wouldDrop: number;
  /** Attempts that detection never got: the ring was full, or they were never published. */
  readonly lost: number;
  /** Repetitions that detection was spared while the ring was nearly full: it missed nothing by them. */
  readonly thinned: number;
};

export type HostStatus = {
  readonly host: string;
  readonly capture: ProcessStatus | undefined;
  readonly enforcer: ProcessStatus | undefined;
  readonly interfaces: readonly InterfaceStatus[];
  readonly blocks: number;
  readonly blockCapacity: number;
  /** Of a verdict list that was lost: they are in no list of this command. */
  readonly leftoverBlocks: number;
  /** Verdicts stored and not yet taken in. */
  readonly behind: number;
  /** Interfaces on which nothing is enforced yet. */
  readonly waitingInterfaces: number;
  /** `off`: a dry run; undefined: the enforcer doesn't say. */
  readonly enforcing: "on" | "off" | undefined;
  /** Prefixes that found no room in the allow map: these sources are not spared. */
  readonly allowedRefused: number;
};

export type PlacedProcess = ProcessStatus & { readonly host: string };

export type DetectorStatus = PlacedProcess & {
  readonly shards: readonly number[];
  /** Batches stored and not yet judged. */
  readonly lag: number;
  readonly trackedKeys: number;
};

export type FleetStatus = {
  readonly hosts: readonly HostStatus[];
  readonly detectors: readonly DetectorStatus[];
  readonly metrics: readonly PlacedProcess[];
  readonly versions: readonly string[];
  /** Shards that no detector reads, and that several do. */
  readonly unread: readonly number[];
  readonly readTwice: readonly number[];
};

export function fleetStatus({ instances }: Pick<FleetFacts, "instances">): FleetStatus {
  const of = (service: string) =>
    instances
      .filter(({ telemetry }) => telemetry.service === service)
      .toSorted((a, b) => a.silentSeconds - b.silentSeconds);
  const hosts = ["capture", "enforcer", "kernel"].flatMap((service) =>
    of(service).map(({ telemetry }) => telemetry.host),
  );
  const detectors = of("detector").map(detectorStatus).toSorted(byInstance);
  const heard = instances.filter(isHeard);
  const owned = detectors.filter(({ isHeard }) => isHeard).flatMap(({ shards }) => shards);
  const owners = (shard: number) => owned.filter((own) => own === shard).length;
  const shards = Array.from({ length: SHARD_COUNT }, (_, shard) => shard);
  return {
    hosts: [...new Set(hosts)].toSorted().map((host) => hostStatus(host, of)),
    detectors,
    metrics: of("metrics").map(placedStatus),
    versions: [...new Set(heard.flatMap(({ telemetry }) => versionOf(telemetry) || []))].sort(),
    unread: shards.filter((shard) => owners(shard) === 0),
    readTwice: shards.filter((shard) => owners(shard) > 1),
  };
}

type ByService = (service: string) => readonly InstanceFacts[];

function hostStatus(host: string, of: ByService): HostStatus {
  const newest = (service: string) => of(service).find(({ telemetry }) => telemetry.host === host);
  const capture = newest("capture");
  const enforcer = newest("enforcer");
  const read = (name: Parameters<typeof sumOf>[1]) =>
    enforcer ? sumOf(enforcer.telemetry, name) : 0;
  return {
    host,
    capture: capture && processStatus(capture),
    enforcer: enforcer && processStatus(enforcer),
    interfaces: interfacesOf(host, of, capture?.telemetry),
    blocks: read("packetwatch_enforcer_blocks"),
    blockCapacity: read("packetwatch_enforcer_block_capacity"),
    leftoverBlocks: read("packetwatch_enforcer_leftover_blocks"),
    behind: read("packetwatch_enforcer_behind_messages"),
    waitingInterfaces: read("packetwatch_enforcer_waiting_interfaces"),
    enforcing: enforcer && enforcingOf(enforcer.telemetry),
    allowedRefused: read("packetwatch_enforcer_allowed_refused"),
  };
}

function enforcingOf(telemetry: Telemetry): "on" | "off" | undefined {
  const [sample] = samplesOf(telemetry, "packetwatch_enforcer_enforcing");
  if (sample === undefined) return undefined;
  return sample.value === 1 ? "on" : "off";
}

/** Each interface by the newest of the programs that counted for it. */
function interfacesOf(
  host: string,
  of: ByService,
  capture: Telemetry | undefined,
): readonly InterfaceStatus[] {
  const modes = capture === undefined ? [] : samplesOf(capture, "packetwatch_capture_xdp_mode");
  const modeOf = (name: string) =>
    modes.find(({ value, labels }) => value === 1 && labels["interface"] === name)?.labels["mode"];
  const kernels = new Map<string, Telemetry>();
  for (const { telemetry } of of("kernel")) {
    const [sample] = samplesOf(telemetry, "packetwatch_syn_reported_total");
    const name = sample?.labels["interface"];
    if (telemetry.host === host && name !== undefined && !kernels.has(name)) {
      kernels.set(name, telemetry);
    }
  }
  return [...kernels]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, telemetry]) => ({
      name,
      mode: modeOf(name),
      seen: sumOf(telemetry, "packetwatch_syn_seen_total"),
      dropped: sumOf(telemetry, "packetwatch_syn_dropped_total"),
      wouldDrop: sumOf(telemetry, "packetwatch_syn_would_drop_total"),
      lost:
        sumOf(telemetry, "packetwatch_syn_ring_full_total") +
        sumOf(telemetry, "packetwatch_syn_lost_total"),
      thinned: sumOf(telemetry, "packetwatch_syn_thinned_total"),
    }));
}

function detectorStatus(facts: InstanceFacts): DetectorStatus {
  const { telemetry } = facts;
  const lags = samplesOf(telemetry, "packetwatch_detector_shard_lag_messages");
  return {
    ...placedStatus(facts),
    shards: lags.map(({ labels }) => Number(labels["shard"])).toSorted((a, b) => a - b),
    lag: sumOf(telemetry, "packetwatch_detector_lag_messages"),
    trackedKeys: sumOf(telemetry, "packetwatch_detector_tracked_keys"),
  };
}

function placedStatus(facts: InstanceFacts): PlacedProcess {
  return { ...processStatus(facts), host: facts.telemetry.host };
}

function processStatus(facts: InstanceFacts): ProcessStatus {
  return {
    instance: facts.telemetry.instance,
    version: versionOf(facts.telemetry),
    isHeard: isHeard(facts),
    silentSeconds: Math.round(facts.silentSeconds),
  };
}

export function isHeard({ silentSeconds }: InstanceFacts): boolean {
  return silentSeconds <= SILENT_AFTER_SECONDS;
}

function versionOf(telemetry: Telemetry): string {
  return samplesOf(telemetry, "packetwatch_build_info")[0]?.labels["version"] ?? "";
}

function byInstance(a: DetectorStatus, b: DetectorStatus): number {
  return a.instance < b.instance ? -1 : 1;
}
