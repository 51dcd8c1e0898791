export * from "./announce.ts";
export * from "./cut-to-source-key.ts";
export * from "./detector.ts";
export * from "./rules.ts";
export * from "./rules-config.ts";
export * from "./shard-assignment.ts";
export * from "./stream-sizes.ts";
export * from "./verdict-id.ts";
export type { VerdictMark } from "./verdict-marks.ts";
