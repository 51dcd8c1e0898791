import type { z } from "zod";
import { ContractError } from "./contract-error.ts";

/** The largest JSON payload that is parsed, in bytes. */
export const MAX_JSON_BYTES = 1024 * 1024;

/** Of what is wrong with a message, so much is said. */
const MAX_ISSUES_SHOWN = 4;
const MAX_ISSUE_CHARACTERS = 128;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Decodes and validates a JSON payload; throws ContractError. Unknown members are dropped. */
export function parseJson<T>(contract: string, schema: z.ZodType<T>, payload: Uint8Array): T {
  if (payload.byteLength > MAX_JSON_BYTES) {
    throw new ContractError("too_long", contract, `${payload.byteLength} bytes`);
  }
  const result = schema.safeParse(decode(contract, payload));
  if (!result.success) {
    throw new ContractError("bad_schema", contract, describeIssues(result.error));
  }
  return result.data;
}

export function encodeJson(message: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(message));
}

function decode(contract: string, payload: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(payload));
  } catch (cause) {
    throw new ContractError("bad_json", contract, "it is no JSON text", { cause });
  }
}

function describeIssues(error: z.ZodError): string {
  return error.issues.slice(0, MAX_ISSUES_SHOWN).map(describeIssue).join("; ");
}

/** A path holds names that the sender chose, so it is cut too. */
function describeIssue({ path, message }: z.core.$ZodIssue): string {
  const place = path.join(".") || "message";
  return `${place.slice(0, MAX_ISSUE_CHARACTERS)}: ${message.slice(0, MAX_ISSUE_CHARACTERS)}`;
}
