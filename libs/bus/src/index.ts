export * from "./bus-error.ts";
export * from "./connect-bus.ts";
export * from "./group-membership.ts";
export * from "./keep-streams.ts";
export * from "./provision-streams.ts";
export * from "./publish.ts";
export * from "./stream-reader.ts";
export * from "./telemetry-publisher.ts";
