/**
 * Host blocks, version 1, JSON, request and reply on `packetwatch.v1.host.<host>.blocks`: what the
 * kernel of one host holds of some sources. An enforcer answers from its block maps, not from the
 * verdict stream. A request that breaks its contract is counted, and not answered.
 */
import { z } from "zod";
import { name, sourcePrefix, timestampUs } from "./fields.ts";
import { encodeJson, parseJson } from "./json.ts";

export const HOST_BLOCKS_VERSION = 1;

/** Sources in one request; who wants more asks again. */
export const MAX_ASKED_SOURCES = 512;

export const hostBlocksRequestSchema = z.object({
  version: z.literal(HOST_BLOCKS_VERSION),
  sources: z.array(sourcePrefix).min(1).max(MAX_ASKED_SOURCES),
});
export type HostBlocksRequest = z.infer<typeof hostBlocksRequestSchema>;

const hostBlock = z.object({
  source: sourcePrefix,
  interfaces: z
    .number()
    .int()
    .nonnegative()
    .describe("Interfaces whose map holds a block of the source that is not over"),
  dropped: z
    .number()
    .int()
    .nonnegative()
    .max(Number.MAX_SAFE_INTEGER)
    .describe("Attempts dropped under this block, over all interfaces"),
  firstDropUs: timestampUs
    .nullable()
    .describe("When the first one was dropped, by this host's clock; null: none yet"),
  allowed: z
    .boolean()
    .describe("The source is allow-listed on this host: nothing of it is dropped"),
});
export type HostBlock = z.infer<typeof hostBlock>;

export const hostBlocksReplySchema = z.object({
  version: z.literal(HOST_BLOCKS_VERSION),
  host: name,
  interfaces: z.array(name).max(64).describe("Interfaces whose maps the enforcer has open"),
  blocks: z
    .array(hostBlock)
    .max(MAX_ASKED_SOURCES)
    .describe("One for each source that was asked for, in that order"),
});
export type HostBlocksReply = z.infer<typeof hostBlocksReplySchema>;

export function encodeHostBlocksRequest(request: HostBlocksRequest): Uint8Array {
  return encodeJson(request);
}

/** Throws ContractError. */
export function decodeHostBlocksRequest(payload: Uint8Array): HostBlocksRequest {
  return parseJson("host blocks request v1", hostBlocksRequestSchema, payload);
}

export function encodeHostBlocksReply(reply: HostBlocksReply): Uint8Array {
  return encodeJson(reply);
}

/** Throws ContractError. */
export function decodeHostBlocksReply(payload: Uint8Array): HostBlocksReply {
  return parseJson("host blocks reply v1", hostBlocksReplySchema, payload);
}
