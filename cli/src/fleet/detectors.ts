/** What the detectors of the fleet say of themselves in their telemetry. */
import type { Bus } from "@packetwatch/bus";
import type { Telemetry } from "@packetwatch/contracts";
import { type RuleAction, ruleNames, type RulesConfig } from "@packetwatch/detection";
import { readInstances } from "../status/fleet-facts.ts";
import { isHeard } from "../status/fleet-status.ts";
import { samplesOf, sumOf } from "../status/read-metric.ts";
import { Rejections } from "../tail/rejections.ts";

export type HeardDetector = {
  readonly instance: string;
  /** The shards that it reads. */
  readonly shards: readonly number[];
  /** undefined: it doesn't say. */
  readonly rules: DetectorRules | undefined;
  /** The last message of the verdict stream that it has taken in. */
  readonly sequence: number;
};

export type DetectorRules = { readonly rules: RulesConfig; readonly count: "all" | "closed" };

/** Those that are heard, by name. Throws BusError, CliError. */
export async function readDetectors(
  bus: Bus,
  timeoutMs: number,
): Promise<readonly HeardDetector[]> {
  const rejections = new Rejections();
  const instances = await readInstances({ bus, timeoutMs, service: "detector", rejections });
  return instances
    .filter(isHeard)
    .map(({ telemetry }) => detectorOf(telemetry))
    .toSorted((a, b) => (a.instance < b.instance ? -1 : 1));
}

export function detectorOf(telemetry: Telemetry): HeardDetector {
  const lags = samplesOf(telemetry, "packetwatch_detector_shard_lag_messages");
  return {
    instance: telemetry.instance,
    shards: lags.map(({ labels }) => Number(labels["shard"])),
    rules: rulesOf(telemetry),
    sequence: sumOf(telemetry, "packetwatch_detector_sequence"),
  };
}

function rulesOf(telemetry: Telemetry): DetectorRules | undefined {
  const thresholds = samplesOf(telemetry, "packetwatch_detector_rule_threshold");
  const entries = ruleNames.flatMap((rule) => {
    const told = thresholds.find(({ labels }) => labels["rule"] === rule);
    if (told === undefined) return [];
    const windowSeconds = sumOf(telemetry, "packetwatch_detector_rule_window_seconds", { rule });
    const action = told.labels["action"] as RuleAction;
    return [[rule, { threshold: told.value, windowUs: windowSeconds * 1e6, action }] as const];
  });
  if (entries.length < ruleNames.length) return undefined;
  const count = thresholds.some(({ labels }) => labels["count"] === "closed") ? "closed" : "all";
  return { rules: Object.fromEntries(entries) as RulesConfig, count };
}
