import type { Escalation } from "./escalation.ts";
import type { RuleAction, RulesConfig } from "./rules.ts";

/** The variables of the rules, under the names that a Config has. */
export type RuleVariables = {
  readonly portThreshold: number;
  readonly windowSeconds: number;
  readonly verticalAction: RuleAction;
  readonly horizontalThreshold: number;
  readonly horizontalWindowSeconds: number;
  readonly horizontalAction: RuleAction;
  readonly spreadThreshold: number;
  readonly spreadWindowSeconds: number;
  readonly spreadAction: RuleAction;
};

export function rulesFromConfig(config: RuleVariables): RulesConfig {
  return {
    vertical: {
      threshold: config.portThreshold,
      windowUs: toUs(config.windowSeconds),
      action: config.verticalAction,
    },
    horizontal: {
      threshold: config.horizontalThreshold,
      windowUs: toUs(config.horizontalWindowSeconds),
      action: config.horizontalAction,
    },
    spread: {
      threshold: config.spreadThreshold,
      windowUs: toUs(config.spreadWindowSeconds),
      action: config.spreadAction,
    },
  };
}

/** The longest window of the rules that are on: how far back attempts matter. */
export function longestWindowSeconds(config: RuleVariables): number {
  const rules = Object.values(rulesFromConfig(config));
  const windowsUs = rules.filter(({ action }) => action !== "off").map(({ windowUs }) => windowUs);
  return Math.max(1, ...windowsUs) / 1e6;
}

/** The variables of blocks that grow, under the names that a Config has. */
export type EscalationVariables = {
  readonly blockTtlFactor: number;
  readonly blockTtlMaxSeconds: number;
  readonly blockMemorySeconds: number;
};

/** Undefined where every block is as long as the first. */
export function escalationFromConfig(config: EscalationVariables): Escalation | undefined {
  const { blockTtlFactor: factor, blockTtlMaxSeconds, blockMemorySeconds } = config;
  if (factor === 1) return undefined;
  return { factor, maxTtlUs: toUs(blockTtlMaxSeconds), memoryUs: toUs(blockMemorySeconds) };
}

function toUs(seconds: number): number {
  return Math.round(seconds * 1e6);
}
