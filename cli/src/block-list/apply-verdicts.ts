import { setTimeout as delay } from "node:timers/promises";
import { type Bus, publishAcknowledged } from "@packetwatch/bus";
import {
  encodeVerdict,
  type Verdict,
  verdictSubject,
  verdictTtlSeconds,
} from "@packetwatch/contracts";
import { parsePrefix } from "@packetwatch/net";
import type { Effect } from "../hosts/effect.ts";
import type { HostWatch } from "../hosts/host-watch.ts";
import { inParallel } from "../in-parallel.ts";
import { EffectWatch, type HostEffect } from "./effect-watch.ts";

/** Verdicts that wait for their acknowledgement at the same time. */
const MAX_IN_FLIGHT = 64;
const POLL_MS = 2;

export type ApplyVerdictsOptions = {
  readonly bus: Bus;
  /** All of one kind. */
  readonly verdicts: readonly Verdict[];
  /** Of the fleet's rules: how long detectors have to know a block that has ended. */
  readonly longestWindowSeconds: number;
  readonly hosts: HostWatch;
  /** How long hosts may take to confirm; 0: nobody waits for them. */
  readonly waitMs: number;
};

/** Publishes verdicts, and waits until every host that is heard has carried them out. Throws BusError, CliError. */
export async function applyVerdicts(options: ApplyVerdictsOptions): Promise<Effect> {
  const { bus, verdicts, hosts, waitMs, longestWindowSeconds } = options;
  const ids = verdicts.map(({ id }) => id);
  const watch = new EffectWatch(bus, ids);
  try {
    await bus.connection.flush();
    const startMs = performance.now();
    const publish = (verdict: Verdict) => {
      const nowUs = verdict.issuedUs;
      const ttlSeconds = verdictTtlSeconds(verdict, { nowUs, longestWindowSeconds });
      return publishVerdict(bus, verdict, ttlSeconds);
    };
    await inParallel(verdicts, MAX_IN_FLIGHT, publish);
    const deadlineMs = performance.now() + waitMs;
    while (performance.now() < deadlineMs && !isSettled(hosts, watch)) await delay(POLL_MS);
    return effectOf(options, watch, startMs);
  } finally {
    watch.close();
  }
}

async function publishVerdict(bus: Bus, verdict: Verdict, ttlSeconds: number): Promise<void> {
  const subject = verdictSubject(parsePrefix(verdict.source));
  const options = { messageId: verdict.id, ttlSeconds };
  await publishAcknowledged(bus, subject, encodeVerdict(verdict), options);
}

/** Hosts that were silent from the beginning are not waited for. */
function isSettled(hosts: HostWatch, watch: EffectWatch): boolean {
  return hosts.expected.every((host) => watch.isComplete(host));
}

function effectOf(options: ApplyVerdictsOptions, watch: EffectWatch, startMs: number): Effect {
  const { verdicts, hosts, waitMs } = options;
  const complete = watch.hosts.filter(({ host }) => watch.isComplete(host));
  const names = (isWanted: (effect: HostEffect) => boolean) =>
    complete
      .filter(isWanted)
      .map(({ host }) => host)
      .sort();
  const isMissing = (host: string) => !watch.isComplete(host);
  const lastMs = Math.max(startMs, ...watch.hosts.map(({ lastMs }) => lastMs));
  return {
    done: names(({ counts }) => counts.done === verdicts.length),
    full: names(({ counts }) => counts.failed > 0),
    idle: names(({ counts }) => counts.failed === 0 && counts.idle > 0),
    spared: names(({ counts }) => counts.failed + counts.idle === 0 && counts.spared > 0),
    late: hosts.liveNames.filter(isMissing),
    silent: hosts.silent.filter(({ host }) => isMissing(host)),
    durationMs: Math.round(lastMs - startMs),
    waitedMs: waitMs,
  };
}
