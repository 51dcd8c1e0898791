export * from "./catalogue.ts";
export * from "./instance.ts";
export * from "./kernel-metrics.ts";
export * from "./metric-definition.ts";
export * from "./metrics-page.ts";
export * from "./series-bound.ts";
export * from "./service-metrics.ts";
export * from "./version.ts";
