import type { ContractErrorCode } from "@packetwatch/contracts";

export const perHost = { host: "any" } as const;

/** Every code, so that each series is there, at zero, before its first rejection. */
export const contractReasons = [
  "too_short",
  "too_long",
  "bad_version",
  "bad_family",
  "bad_length",
  "bad_value",
  "bad_json",
  "bad_schema",
  "wrong_subject",
  "wrong_prefix",
] as const satisfies readonly ContractErrorCode[];

export const reactionBucketsSeconds = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
] as const;
