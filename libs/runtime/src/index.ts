export * from "./health.ts";
export * from "./health-file-error.ts";
export * from "./logger.ts";
export * from "./loss-reporter.ts";
export * from "./run-service.ts";
export * from "./scope.ts";
export * from "./own-addresses.ts";
