export * from "./address.ts";
export * from "./prefix.ts";
export * from "./source-key.ts";
