import type { StreamState } from "@packetwatch/bus";
import { describeBreaker } from "../breaker/breaker-text.ts";
import { formatDuration } from "../duration.ts";
import { counted, printable } from "../printable.ts";
import { renderTable } from "../render-table.ts";
import { ranges, type Diagnosis } from "./diagnose.ts";
import type { FleetFacts, NatsFacts } from "./fleet-facts.ts";
import type { DetectorStatus, FleetStatus, HostStatus, ProcessStatus } from "./fleet-status.ts";

export type StatusReport = {
  readonly facts: FleetFacts;
  readonly status: FleetStatus;
  readonly diagnosis: Diagnosis;
};

/** Colours for the verdict on the whole. */
export type StatusPaint = {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
};

/** What is amiss first, then all that is known. */
export function renderStatus(
  { facts, status, diagnosis }: StatusReport,
  paint: StatusPaint,
): string {
  const sections = [
    renderDiagnosis(diagnosis, paint),
    renderHosts(status.hosts),
    renderDetectors(status.detectors),
    renderStreams([...facts.streams.values()]),
    renderRest(facts, status),
  ];
  return sections.filter((section) => section !== "").join("\n\n");
}

function renderDiagnosis({ reasons, notes }: Diagnosis, { good, bad }: StatusPaint): string {
  const head = reasons.length === 0 ? good("healthy") : bad("degraded");
  const lines = [
    ...reasons.map((reason) => `  - ${printable(reason)}`),
    ...notes.map((note) => `  note: ${printable(note)}`),
  ];
  return [head, ...lines].join("\n");
}

function renderHosts(hosts: readonly HostStatus[]): string {
  if (hosts.length === 0) return "";
  const header = [
    "HOST",
    "CAPTURE",
    "ENFORCER",
    "INTERFACES",
    "SEEN",
    "DROPPED",
    "LOST",
    "THINNED",
    "BLOCKS",
    "BEHIND",
  ];
  const rows = hosts.map(({ host, capture, enforcer, interfaces, blocks, behind }) => {
    const sum = (name: "seen" | "dropped" | "lost" | "thinned") =>
      String(interfaces.reduce((total, each) => total + each[name], 0));
    const names = interfaces.map(({ name, mode }) => `${name} ${mode ?? "?"}`);
    return [
      printable(host),
      describeProcess(capture),
      describeProcess(enforcer),
      printable(names.join(", ")) || "-",
      sum("seen"),
      sum("dropped"),
      sum("lost"),
      sum("thinned"),
      String(blocks),
      String(behind),
    ];
  });
  return renderTable([header, ...rows]);
}

function describeProcess(process: ProcessStatus | undefined): string {
  if (process === undefined) return "-";
  if (process.isHeard) return printable(process.version) || "heard";
  return `silent ${formatDuration(process.silentSeconds)}`;
}

function renderDetectors(detectors: readonly DetectorStatus[]): string {
  if (detectors.length === 0) return "";
  const rows = detectors.map((detector) => [
    printable(detector.instance),
    describeProcess(detector),
    detector.isHeard ? shardsText(detector.shards) : "-",
    detector.isHeard ? String(detector.lag) : "-",
    detector.isHeard ? String(detector.trackedKeys) : "-",
  ]);
  return renderTable([["DETECTOR", "VERSION", "SHARDS", "LAG", "KEYS"], ...rows]);
}

/** `64: 0-63`, `none`. */
function shardsText(shards: readonly number[]): string {
  return shards.length === 0 ? "none" : `${shards.length}: ${ranges(shards)}`;
}

function renderStreams(streams: readonly (StreamState | undefined)[]): string {
  const rows = streams.flatMap((stream) => (stream ? [streamRow(stream)] : []));
  if (rows.length === 0) return "";
  return renderTable([
    ["STREAM", "MESSAGES", "BYTES", "LIMITS", "REACHES BACK", "COPIES"],
    ...rows,
  ]);
}

function streamRow(stream: StreamState): string[] {
  const { name, messages, bytes, maxMessages, maxBytes, maxAgeSeconds, oldestSeconds } = stream;
  const limits = [
    ...(maxMessages > 0 ? [counted(maxMessages, "message")] : []),
    ...(maxBytes > 0 ? [sizeText(maxBytes)] : []),
    ...(maxAgeSeconds > 0 ? [formatDuration(maxAgeSeconds)] : []),
  ];
  const { storage, replicas, cluster } = stream;
  const leader = cluster?.leader === undefined ? "" : `, led by ${printable(cluster.leader)}`;
  return [
    name,
    String(messages),
    sizeText(bytes),
    limits.join(", ") || "none",
    oldestSeconds === undefined ? "-" : formatDuration(oldestSeconds),
    `${replicas} in ${storage === "file" ? "files" : "memory"}${leader}`,
  ];
}

/** `1.5 MiB`: of one decimal, for people. */
export function sizeText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = bytes;
  let unit = 0;
  for (; size >= 1024 && unit < units.length - 1; unit++) size /= 1024;
  return `${Number(size.toFixed(1))} ${units[unit]}`;
}

function renderRest({ nats, breaker }: FleetFacts, status: FleetStatus): string {
  const { metrics, versions, hosts } = status;
  const live = metrics.filter(({ isHeard }) => isHeard).map(({ host }) => printable(host));
  const blocks = Math.max(0, ...hosts.map(({ blocks }) => blocks));
  return [
    `nats      ${describeNats(nats)}`,
    `metrics   ${live.length === 0 ? "not heard" : `on ${live.join(", ")}`}`,
    `blocks    ${blocks} in force; 'packetwatch blocked' lists them`,
    `breaker   ${describeBreaker(breaker)}`,
    `version   ${versions.map(printable).join(", ") || "-"}`,
  ].join("\n");
}

function describeNats({
  name,
  version,
  address,
  cluster,
  servers,
  roundTripMs,
}: NatsFacts): string {
  const where = `${printable(name)} ${printable(version)} at ${address}`;
  const others = servers.length > 1 ? `, servers ${servers.join(", ")}` : "";
  const group = cluster === null ? "" : `, cluster ${printable(cluster)}${others}`;
  return `${where}${group}; answers in ${Number(roundTripMs.toFixed(1))} ms`;
}

/** One object with the same facts. */
export function statusJson({ facts, status, diagnosis }: StatusReport): object {
  const isHealthy = diagnosis.reasons.length === 0;
  return {
    status: isHealthy ? "healthy" : "degraded",
    ...diagnosis,
    ...status,
    streams: [...facts.streams].map(([name, state]) =>
      state === undefined ? { name, missing: true } : withoutServerTime(state),
    ),
    breaker: facts.breaker ?? { state: "closed" },
    nats: facts.nats,
  };
}

function withoutServerTime(state: StreamState): object {
  return { ...state, serverTimeUs: undefined };
}
