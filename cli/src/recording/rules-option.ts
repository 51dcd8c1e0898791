/**
 * Rules on the command line:
 *
 *   rules  = rule ("," rule)*
 *   rule   = name "=" ("off" | threshold "/" window ":" action)
 *   name   = "vertical" | "horizontal" | "spread"
 *   window = a length of time: 60s, 5m, 1h; without a unit, seconds
 *   action = "block" | "alert" | "off"
 */
import { type Field, variables } from "@packetwatch/config";
import {
  type RuleConfig,
  type RuleName,
  ruleNames,
  type RulesConfig,
} from "@packetwatch/detection";
import { InvalidArgumentError } from "commander";
import { formatDuration, parseDuration } from "../duration.ts";
import { counted } from "../printable.ts";

/** What `--rules` says; rules that it doesn't name are missing. */
export type RuleChanges = Readonly<Partial<Record<RuleName, RuleChange>>>;
export type RuleChange = RuleConfig | { readonly action: "off" };

const EXAMPLE = "vertical=3/60s:block,horizontal=25/5m:alert,spread=off";

/** The ranges that the variables have. */
const fields = {
  vertical: { threshold: variables.portThreshold.field, window: variables.windowSeconds.field },
  horizontal: {
    threshold: variables.horizontalThreshold.field,
    window: variables.horizontalWindowSeconds.field,
  },
  spread: {
    threshold: variables.spreadThreshold.field,
    window: variables.spreadWindowSeconds.field,
  },
} as const satisfies Record<RuleName, { threshold: Field<number>; window: Field<number> }>;

/** What a rule counts. */
const items = {
  vertical: "port",
  horizontal: "address",
  spread: "target",
} as const satisfies Record<RuleName, string>;

/** For commander: says which part is wrong, and what it may hold. */
export function rulesArgument(text: string): RuleChanges {
  const changes: Partial<Record<RuleName, RuleChange>> = {};
  for (const part of text.split(",")) {
    const [nameText = "", setting, ...rest] = part.split("=").map((piece) => piece.trim());
    const name = ruleNames.find((known) => known === nameText);
    if (name === undefined) throw bad(part, `a rule is ${alternatives(ruleNames)}`);
    if (setting === undefined || rest.length > 0) throw bad(part, `it is ${name}=SETTING`);
    if (name in changes) throw bad(part, `${name} is there twice`);
    changes[name] = parseSetting(name, setting);
  }
  return changes;
}

/** The rules with what `--rules` changes. A rule that is switched off keeps its numbers. */
export function changeRules(rules: RulesConfig, changes: RuleChanges): RulesConfig {
  const changed = (name: RuleName): RuleConfig => ({ ...rules[name], ...changes[name] });
  return {
    vertical: changed("vertical"),
    horizontal: changed("horizontal"),
    spread: changed("spread"),
  };
}

/** `vertical 3 ports in 1m: block; horizontal off; spread off`. */
export function describeRules(rules: RulesConfig): string {
  const texts = ruleNames.map((name) => {
    const { threshold, windowUs, action } = rules[name];
    if (action === "off") return `${name} off`;
    return `${name} ${counted(threshold, items[name])} in ${formatDuration(windowUs / 1e6)}: ${action}`;
  });
  return texts.join("; ");
}

function parseSetting(name: RuleName, setting: string): RuleChange {
  const wrong = (why: string) => bad(`${name}=${setting}`, why);
  if (setting === "off") return { action: "off" };
  const match = /^([^/:]+)\/([^/:]+):([^/:]+)$/.exec(setting);
  if (match === null) throw wrong("a setting is off, or THRESHOLD/WINDOW:ACTION");
  const [, thresholdText = "", windowText = "", actionText = ""] = match.map((part) => part.trim());
  const threshold = fields[name].threshold.parse(thresholdText);
  if (threshold === undefined) {
    throw wrong(`the threshold is ${fields[name].threshold.expected}`);
  }
  const seconds = fields[name].window.parse(String(parseDuration(windowText)));
  if (seconds === undefined) {
    throw wrong(
      `the window is ${fields[name].window.expected}, or with a unit: 500ms, 60s, 5m, 1h`,
    );
  }
  const action = actions.find((known) => known === actionText);
  if (action === undefined) throw wrong(`the action is ${alternatives(actions)}`);
  return { threshold, windowUs: Math.round(seconds * 1e6), action };
}

const actions = ["block", "alert", "off"] as const;

function bad(part: string, why: string): InvalidArgumentError {
  return new InvalidArgumentError(`${JSON.stringify(part)}: ${why}. Example: ${EXAMPLE}`);
}

/** `a, b or c`. */
function alternatives(values: readonly string[]): string {
  return `${values.slice(0, -1).join(", ")} or ${values.at(-1)}`;
}
