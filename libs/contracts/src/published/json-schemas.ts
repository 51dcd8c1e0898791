import { z } from "zod";
import { alertSchema } from "../alert.v1.ts";
import { allowEntrySchema } from "../allow-entry.v1.ts";
import { appliedSchema } from "../applied.v1.ts";
import { breakerSchema } from "../breaker.v1.ts";
import { enforcementSchema } from "../enforcement.v1.ts";
import { hostBlocksReplySchema, hostBlocksRequestSchema } from "../host-blocks.v1.ts";
import { hostStateSchema } from "../host-state.v1.ts";
import { telemetrySchema } from "../telemetry.v1.ts";
import { verdictSchema } from "../verdict.v1.ts";

/** The JSON messages by the name of their file in docs/schemas. */
export const jsonMessages = {
  "alert.v1": { title: "Alert, version 1", schema: alertSchema },
  "allow-entry.v1": { title: "Allow entry, version 1", schema: allowEntrySchema },
  "applied.v1": { title: "Applied, version 1", schema: appliedSchema },
  "breaker.v1": { title: "Breaker, version 1", schema: breakerSchema },
  "enforcement.v1": { title: "Enforcement, version 1", schema: enforcementSchema },
  "host-blocks-reply.v1": {
    title: "Host blocks reply, version 1",
    schema: hostBlocksReplySchema,
  },
  "host-blocks-request.v1": {
    title: "Host blocks request, version 1",
    schema: hostBlocksRequestSchema,
  },
  "host-state.v1": { title: "Host state, version 1", schema: hostStateSchema },
  "telemetry.v1": { title: "Telemetry, version 1", schema: telemetrySchema },
  "verdict.v1": { title: "Verdict, version 1", schema: verdictSchema },
} as const;
export type JsonMessageName = keyof typeof jsonMessages;

export const jsonMessageNames = Object.keys(jsonMessages) as JsonMessageName[];

/**
 * The JSON Schema of a message, as a file. Draft 7, because that is what AsyncAPI's own schemas are and what every
 * validator reads. As readers take messages in: members that a schema doesn't know are allowed, and ignored. That an
 * address is canonical is more than JSON Schema can say; the codec refuses others.
 */
export function renderJsonSchema(name: JsonMessageName): string {
  const { title, schema } = jsonMessages[name];
  const { $schema, ...rest } = z.toJSONSchema(schema, {
    target: "draft-7",
    io: "input",
    // What zod checks by a function of ours says itself, as metadata, what JSON Schema can.
    unrepresentable: "any",
  });
  return `${JSON.stringify({ $schema, title, ...rest }, null, 2)}\n`;
}
