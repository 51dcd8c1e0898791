/** Alert, version 1, JSON on `packetwatch.v1.alert.<rule>.<address>`: a rule whose action is `alert` fired. */
import { z } from "zod";
import { name, sourcePrefix, timestampUs } from "./fields.ts";
import { encodeJson, parseJson } from "./json.ts";
import { evidence, ruleName } from "./verdict.v1.ts";

export const ALERT_VERSION = 1;

export const alertSchema = z.object({
  version: z.literal(ALERT_VERSION),
  id: name,
  source: sourcePrefix,
  rule: ruleName,
  decidedBy: name,
  issuedUs: timestampUs,
  evidence,
});
export type Alert = z.infer<typeof alertSchema>;

export function encodeAlert(alert: Alert): Uint8Array {
  return encodeJson(alert);
}

/** Throws ContractError. */
export function decodeAlert(payload: Uint8Array): Alert {
  return parseJson("alert v1", alertSchema, payload);
}
