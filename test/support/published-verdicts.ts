import { randomUUID } from "node:crypto";
import { type Bus, publishAcknowledged } from "@packetwatch/bus";
import {
  type BlockVerdict,
  encodeVerdict,
  type UnblockVerdict,
  type Verdict,
  verdictSubject,
} from "@packetwatch/contracts";
import { parsePrefix } from "@packetwatch/net";
import { waitUntil } from "./eventually.ts";

/** Publishes under way at once, where there are many. */
const IN_FLIGHT = 500;
const PUBLISH_TIMEOUT_MS = 10_000;

/** A detector's block, decided now. */
export function blockVerdict(source: string, members: Partial<BlockVerdict> = {}): BlockVerdict {
  return {
    version: 1,
    kind: "block",
    id: randomUUID(),
    source,
    rule: "vertical",
    decidedBy: "detector/test",
    issuedUs: Date.now() * 1000,
    expiresUs: null,
    evidence: null,
    ...members,
  };
}

/** A block that ends so many seconds from now. */
export function timedBlockVerdict(source: string, seconds: number): BlockVerdict {
  return blockVerdict(source, { expiresUs: (Date.now() + seconds * 1000) * 1000 });
}

export function unblockVerdict(source: string): UnblockVerdict {
  return {
    version: 1,
    kind: "unblock",
    id: randomUUID(),
    source,
    decidedBy: "operator/test",
    issuedUs: Date.now() * 1000,
  };
}

/** As detectors and the operator publish. */
export async function publishVerdict(bus: Bus, verdict: Verdict): Promise<void> {
  const expiresUs = verdict.kind === "block" ? verdict.expiresUs : null;
  const ttlSeconds = expiresUs === null ? 0 : Math.ceil(expiresUs / 1e6 - Date.now() / 1000);
  const subject = verdictSubject(parsePrefix(verdict.source));
  const options = { messageId: verdict.id, ttlSeconds };
  await publishAcknowledged(bus, subject, encodeVerdict(verdict), options);
}

/** A stall of the server costs time and nothing else: what is published again has the same id, and is stored once. */
export async function publishVerdicts(bus: Bus, verdicts: readonly Verdict[]): Promise<void> {
  for (let first = 0; first < verdicts.length; first += IN_FLIGHT) {
    const some = verdicts.slice(first, first + IN_FLIGHT);
    const publish = async (verdict: Verdict) => {
      await publishVerdict(bus, verdict);
      return true;
    };
    const options = { timeoutMs: PUBLISH_TIMEOUT_MS, what: "verdicts to be stored" };
    await Promise.all(some.map((verdict) => waitUntil(() => publish(verdict), options)));
  }
}
