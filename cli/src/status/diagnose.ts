/** What is amiss in a fleet, in words: reasons make it degraded, notes don't. Pure. */
import type { StreamState } from "@packetwatch/bus";
import { streamNames } from "@packetwatch/contracts";
import { describeLeftovers } from "../fleet/leftovers.ts";
import { listNames } from "../hosts/effect.ts";
import { describeBreaker } from "../breaker/breaker-text.ts";
import { formatDuration } from "../duration.ts";
import { counted, printable } from "../printable.ts";
import type { FleetFacts } from "./fleet-facts.ts";
import type { FleetStatus, HostStatus, ProcessStatus } from "./fleet-status.ts";

/** A list that is filled so far has to be looked at. */
const NEARLY_FULL = 0.9;
/** Messages: less is what a moment leaves. */
const MUCH_BEHIND = 1000;

export type Diagnosis = { readonly reasons: readonly string[]; readonly notes: readonly string[] };

export function diagnose(facts: FleetFacts, status: FleetStatus): Diagnosis {
  return {
    reasons: [
      ...missingStreams(facts),
      ...status.hosts.flatMap(hostReasons),
      ...(status.hosts.length === 0 ? ["no host is heard: is capture running anywhere?"] : []),
      ...detectorReasons(status),
      ...breakerReasons(facts),
      ...[...facts.streams.values()].flatMap((stream) => (stream ? streamReasons(stream) : [])),
    ],
    notes: notesOf(facts, status),
  };
}

function missingStreams({ streams }: FleetFacts): readonly string[] {
  const missing = [...streams].filter(([, state]) => state === undefined).map(([name]) => name);
  if (missing.length === 0) return [];
  return [`${missing.join(", ")} missing: a detector makes the streams when it starts`];
}

function hostReasons(status: HostStatus): readonly string[] {
  const { capture, enforcer, blocks, blockCapacity, behind, waitingInterfaces, allowedRefused } =
    status;
  const host = printable(status.host);
  if (isAway(capture) && isAway(enforcer)) return [`${host} ${silence(capture ?? enforcer)}`];
  const isFull = blockCapacity > 0 && blocks >= blockCapacity * NEARLY_FULL;
  const percent = Math.round((blocks / blockCapacity) * 100);
  const reasons: readonly (readonly [isThere: boolean, text: string])[] = [
    [isAway(capture), `capture on ${host} ${silence(capture)}: its attempts are not reported`],
    [isAway(enforcer), `enforcer on ${host} ${silence(enforcer)}: it takes no new verdicts`],
    [
      waitingInterfaces > 0,
      `${host}: nothing is enforced on ${counted(waitingInterfaces, "interface")}: is capture running?`,
    ],
    [behind > MUCH_BEHIND, `${host}: ${counted(behind, "verdict")} behind`],
    [
      allowedRefused > 0,
      `${host}: the allow map is full and lacks ${allowedRefused} (PW_ALLOWED_ENTRIES)`,
    ],
    [isFull, `${host}: the block map is ${percent}% full (PW_BLOCKED_ENTRIES)`],
  ];
  return reasons.filter(([isThere]) => isThere).map(([, text]) => text);
}

function isAway(process: ProcessStatus | undefined): boolean {
  return process?.isHeard !== true;
}

function silence(process: ProcessStatus | undefined): string {
  return process === undefined
    ? "was never heard"
    : `not heard for ${formatDuration(process.silentSeconds)}`;
}

function detectorReasons({ detectors, unread }: FleetStatus): readonly string[] {
  const live = detectors.filter(({ isHeard }) => isHeard);
  if (live.length === 0) {
    return ["no detector is heard: blocks hold, but nobody new is judged"];
  }
  const lag = live.reduce((sum, detector) => sum + detector.lag, 0);
  const noun = unread.length === 1 ? "shard" : "shards";
  return [
    ...(unread.length > 0 ? [`no detector reads ${noun} ${ranges(unread)}`] : []),
    ...(lag > MUCH_BEHIND ? [`detectors are ${lag} batches behind: start another one`] : []),
  ];
}

function breakerReasons({ breaker }: FleetFacts): readonly string[] {
  if (breaker?.state !== "open") return [];
  const text = describeBreaker(breaker);
  return [`the breaker is ${text}; detectors block nobody ('packetwatch breaker close')`];
}

function streamReasons(stream: StreamState): readonly string[] {
  const { name, maxMessages, messages, cluster } = stream;
  const share = maxMessages > 0 ? messages / maxMessages : 0;
  const laggards = cluster?.laggards ?? [];
  return [
    ...(name === streamNames.verdict && share >= NEARLY_FULL
      ? [
          `${name} is ${Math.round(share * 100)}% full: a full list refuses verdicts (PW_MAX_VERDICTS)`,
        ]
      : []),
    ...(name === streamNames.syn ? shortReplay(stream) : []),
    ...(laggards.length > 0 ? [`${name} has no current copy on ${laggards.join(", ")}`] : []),
  ];
}

/** A detector that takes a shard would see less than its windows. */
function shortReplay({ name, bytes, maxBytes, maxAgeSeconds, oldestSeconds }: StreamState) {
  if (oldestSeconds === undefined || maxBytes <= 0 || bytes < maxBytes * NEARLY_FULL) return [];
  if (oldestSeconds > maxAgeSeconds * NEARLY_FULL) return [];
  const reach = `${formatDuration(oldestSeconds)} of ${formatDuration(maxAgeSeconds)}`;
  return [`${name} is full and reaches back ${reach} (PW_SYN_STREAM_BYTES)`];
}

function notesOf({ rejected }: FleetFacts, status: FleetStatus): readonly string[] {
  const { versions, hosts, readTwice, metrics, detectors } = status;
  const silent = detectors.filter(({ isHeard }) => !isHeard);
  const slow = hosts.flatMap(({ host, interfaces }) =>
    interfaces.filter(({ mode }) => mode === "skb").map(({ name }) => `${name} on ${host}`),
  );
  const lost = hosts
    .flatMap(({ interfaces }) => interfaces)
    .reduce((sum, { lost }) => sum + lost, 0);
  const leftovers = describeLeftovers(hosts);
  const dry = hosts.filter(({ enforcing }) => enforcing === "off").map(({ host }) => host);
  const notes: readonly (readonly [isThere: boolean, text: string])[] = [
    [
      dry.length > 0,
      `dry run, nothing is dropped on ${listNames(dry)} ('packetwatch enforce show')`,
    ],
    [
      leftovers !== undefined,
      `of a list that was lost, blocked still: ${leftovers}; 'packetwatch unblock ADDRESS' lifts one, and the log of its enforcer names them`,
    ],
    [versions.length > 1, `versions differ: ${versions.join(", ")}`],
    [slow.length > 0, `in skb mode, which is slower: ${slow.map(printable).join(", ")}`],
    [
      lost > 0,
      `${counted(lost, "attempt")} seen and lost to detection since their programs were loaded`,
    ],
    [readTwice.length > 0, `read by two detectors at the moment: shards ${ranges(readTwice)}`],
    [
      silent.length > 0,
      `${counted(silent.length, "detector")} of the last day not heard; others have its shards`,
    ],
    [!metrics.some(({ isHeard }) => isHeard), "metrics is not heard: Prometheus finds nothing"],
    [rejected !== undefined, `telemetry: ${rejected}`],
  ];
  return notes.filter(([isThere]) => isThere).map(([, text]) => text);
}

/** `0-3,7`. */
export function ranges(numbers: readonly number[]): string {
  const parts: { from: number; to: number }[] = [];
  for (const number of numbers) {
    const last = parts.at(-1);
    if (last && number === last.to + 1) last.to = number;
    else parts.push({ from: number, to: number });
  }
  return parts.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(",");
}
