/** How near a source came to each rule's threshold: the rules themselves answer, under lower thresholds. Pure. */
import type { SynEvent } from "@packetwatch/contracts";
import {
  createDetector,
  type Detection,
  type RuleAction,
  type RuleName,
  ruleNames,
  type RulesConfig,
  type VerdictMark,
} from "@packetwatch/detection";

export type RuleDistance = {
  readonly rule: RuleName;
  readonly action: RuleAction;
  readonly threshold: number;
  readonly windowSeconds: number;
  /** The most distinct items in any window; undefined where nothing counted. */
  readonly nearest: Detection["evidence"] | undefined;
};

export type RuleDistanceOptions = {
  /** All of one source, in the stream's order. */
  readonly attempts: readonly SynEvent[];
  readonly rules: RulesConfig;
  /** Keys that each rule may hold: see DetectorConfig. */
  readonly capacity: number;
  readonly count?: "all" | "closed";
  /** The last verdict on the source: what it tried before counts no more. */
  readonly mark: VerdictMark | undefined;
};

const MIN_CAPACITY = 1024;

export function ruleDistances(options: RuleDistanceOptions): readonly RuleDistance[] {
  return ruleNames.map((rule) => {
    const { action, threshold, windowUs } = options.rules[rule];
    const nearest = action === "off" ? undefined : nearestOf(rule, options);
    return { rule, action, threshold, windowSeconds: windowUs / 1e6, nearest };
  });
}

/** A rule fires under each threshold up to the most that it ever counted: that one is searched for. */
function nearestOf(
  rule: RuleName,
  options: RuleDistanceOptions,
): Detection["evidence"] | undefined {
  let nearest: Detection["evidence"] | undefined;
  let low = 1;
  let high = options.rules[rule].threshold;
  while (low <= high) {
    const threshold = Math.ceil((low + high) / 2);
    const evidence = firstEvidence({ rule, threshold }, options);
    if (evidence === undefined) high = threshold - 1;
    else {
      nearest = evidence;
      low = threshold + 1;
    }
  }
  return nearest;
}

type Attempt = { readonly rule: RuleName; readonly threshold: number };

function firstEvidence(
  { rule, threshold }: Attempt,
  { attempts, rules, capacity, count = "all", mark }: RuleDistanceOptions,
): Detection["evidence"] | undefined {
  const off = { threshold: 1, windowUs: 0, action: "off" } as const;
  const others = { vertical: off, horizontal: off, spread: off };
  const { windowUs } = rules[rule];
  const detector = createDetector({
    rules: { ...others, [rule]: { threshold, windowUs, action: "alert" } },
    capacity: Math.max(MIN_CAPACITY, Math.min(attempts.length, capacity)),
    maxQuietSources: 16,
    blockTtlUs: 0,
    count,
    seed: 1,
  });
  if (mark) detector.applyVerdict(mark);
  for (const attempt of attempts) {
    const [detection] = detector.observe(attempt) ?? [];
    if (detection) return detection.evidence;
  }
  return undefined;
}
