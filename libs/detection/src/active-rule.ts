import { DeadlineTable } from "./deadline-table.ts";
import { DistinctWindow } from "./distinct-window.ts";
import { type EventTuple, FLOOR, NAMED, SOURCE_HASH, TIME } from "./event-tuple.ts";
import { ruleLayouts, type RuleName, type RulesConfig } from "./rules.ts";

/** Sources of a rule that blocks whose alerts are held back while its blocks are. */
const HELD_SOURCES = 4096;

/** A rule that is on, and what it remembers. */
export type ActiveRule = {
  readonly name: RuleName;
  readonly action: "block" | "alert";
  readonly window: DistinctWindow;
  /** Until when the rule counts nothing of a source that it has alerted about. */
  readonly coolDowns: DeadlineTable;
  coolingDown: number;
};

export type ActiveRuleOptions = {
  readonly rules: RulesConfig;
  /** Keys to hold. */
  readonly capacity: number;
  /** Sources whose alerts are remembered. */
  readonly maxQuietSources: number;
};

export type KeyStats = {
  /** Keys that had to leave while they were still inside the window. */
  readonly evictedLive: number;
  readonly trackedKeys: number;
  /** Keys that the table has room for. */
  readonly keyLimit: number;
};

export type RuleStats = KeyStats & {
  /** Events that were older than their key's window. */
  readonly late: number;
  /** Events that the rule did not count because it had alerted about their source shortly before. */
  readonly coolingDown: number;
};

/** Whether the rule's last alert about the event's source lets it count; if so, what came before is forgotten. */
export function passesAlert(rule: ActiveRule, { words, times }: EventTuple): boolean {
  if (words[NAMED] === 0) return true;
  const known = rule.coolDowns.find(words);
  if (known < 0) return true;
  const deadlineUs = rule.coolDowns.deadlineUs(known);
  if (times[TIME]! < deadlineUs) {
    rule.coolingDown++;
    return false;
  }
  if (deadlineUs > times[FLOOR]!) times[FLOOR] = deadlineUs;
  return true;
}

/** Whether the rule remembers something of a source, as far as it can tell by the source alone. */
export function knowsSource({ name, window, coolDowns }: ActiveRule, words: Uint32Array): boolean {
  if (coolDowns.find(words) >= 0) return true;
  return ruleLayouts[name].hashAt === SOURCE_HASH && window.holds(words);
}

export function activateRule(name: RuleName, config: ActiveRuleOptions): ActiveRule[] {
  const { threshold, windowUs, action } = config.rules[name];
  if (action === "off") return [];
  const { capacity, maxQuietSources } = config;
  const window = new DistinctWindow({ capacity, threshold, windowUs, layout: ruleLayouts[name] });
  const room = action === "alert" ? maxQuietSources : Math.min(maxQuietSources, HELD_SOURCES);
  const coolDowns = new DeadlineTable(room);
  return [{ name, action, window, coolDowns, coolingDown: 0 }];
}

export function statsOf({ window, coolingDown }: ActiveRule): RuleStats {
  const { late, evictedLive, trackedKeys, capacity: keyLimit } = window;
  return { late, evictedLive, trackedKeys, keyLimit, coolingDown };
}
