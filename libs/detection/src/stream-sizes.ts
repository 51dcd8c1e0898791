import type { StreamSizes } from "@packetwatch/contracts";
import { longestWindowSeconds, type RuleVariables } from "./rules-config.ts";

/** The variables that size the streams, under the names that a Config has. */
export type StreamVariables = RuleVariables & {
  readonly synStorage: "memory" | "file";
  readonly synStreamBytes: number;
  readonly maxVerdicts: number;
  readonly historySeconds: number;
  readonly historyBytes: number;
  readonly streamReplicas: number;
};

export function streamSizes(config: StreamVariables): StreamSizes {
  return {
    longestWindowSeconds: longestWindowSeconds(config),
    synStorage: config.synStorage,
    synBytes: config.synStreamBytes,
    verdictMessages: config.maxVerdicts,
    historySeconds: config.historySeconds,
    historyBytes: config.historyBytes,
    replicas: config.streamReplicas,
  };
}
