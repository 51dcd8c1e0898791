import { randomUUID } from "node:crypto";
import type { Config, Environment } from "@packetwatch/config";
import type { BlockVerdict, UnblockVerdict } from "@packetwatch/contracts";
import { operatorName } from "../operator-name.ts";

/** What all verdicts of one command have in common. */
export type Decision = {
  readonly decidedBy: string;
  readonly issuedUs: number;
  readonly reason?: string;
};

const MAX_REASON_CHARACTERS = 512;

export type DecideOptions = {
  readonly config: Pick<Config<"cli">, "host">;
  readonly from: Environment;
  readonly reason: string | undefined;
};

/** Who decides, now, and why. */
export function decide({ config, from, reason }: DecideOptions): Decision {
  return {
    decidedBy: operatorName(config.host, from),
    issuedUs: Date.now() * 1000,
    ...(reason === undefined ? {} : { reason: reason.slice(0, MAX_REASON_CHARACTERS) }),
  };
}

/** `ttlSeconds`: undefined until it is lifted. */
export function createBlock(
  source: string,
  decision: Decision,
  ttlSeconds: number | undefined,
): BlockVerdict {
  return {
    version: 1,
    kind: "block",
    id: randomUUID(),
    source,
    rule: "operator",
    ...decision,
    expiresUs: ttlSeconds === undefined ? null : decision.issuedUs + Math.round(ttlSeconds * 1e6),
    evidence: null,
  };
}

export function createUnblock(source: string, decision: Decision): UnblockVerdict {
  return { version: 1, kind: "unblock", id: randomUUID(), source, ...decision };
}
