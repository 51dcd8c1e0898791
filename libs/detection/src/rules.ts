import {
  DESTINATION,
  HORIZONTAL_HASH,
  LEADING_PORT,
  PORT,
  type RuleLayout,
  SOURCE,
  sourceLayout,
  VERTICAL_HASH,
} from "./event-tuple.ts";

export const ruleNames = ["vertical", "horizontal", "spread"] as const;
export type RuleName = (typeof ruleNames)[number];

export type RuleAction = "block" | "alert" | "off";

export type RuleConfig = {
  /** Distinct items that make a scan, 1 to `MAX_THRESHOLD`. */
  readonly threshold: number;
  readonly windowUs: number;
  readonly action: RuleAction;
};

export type RulesConfig = Readonly<Record<RuleName, RuleConfig>>;

export const defaultRules: RulesConfig = {
  vertical: { threshold: 3, windowUs: 60_000_000, action: "block" },
  horizontal: { threshold: 25, windowUs: 300_000_000, action: "alert" },
  spread: { threshold: 25, windowUs: 300_000_000, action: "alert" },
};

/** What each rule counts, as parts of an event's tuple. */
export const ruleLayouts: Readonly<Record<RuleName, RuleLayout>> = {
  vertical: { keyStart: SOURCE, keyWords: 8, hashAt: VERTICAL_HASH, itemStart: PORT, itemWords: 1 },
  horizontal: {
    keyStart: LEADING_PORT,
    keyWords: 5,
    hashAt: HORIZONTAL_HASH,
    itemStart: DESTINATION,
    itemWords: 4,
  },
  spread: { ...sourceLayout, itemStart: DESTINATION, itemWords: 5 },
};
