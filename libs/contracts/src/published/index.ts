/** The contract as documents: what `make docs` writes into docs/. Services don't need it. */
export * from "./asyncapi.ts";
export * from "./example-messages.ts";
export * from "./json-schemas.ts";
export * from "./leading-comment.ts";
