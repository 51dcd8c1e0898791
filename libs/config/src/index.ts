export * from "./config-error.ts";
export { bytes, type Field, formatBytes } from "./fields.ts";
export * from "./load-config.ts";
export * from "./nats-access.ts";
export * from "./unknown-variables.ts";
export * from "./variables.ts";
export * from "./variables-page.ts";
