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

/** Publishes under way at once, where there are many. */
const IN_FLIGHT = 500;

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

export async function publishVerdicts(bus: Bus, verdicts: readonly Verdict[]): Promise<void> {
  for (let first = 0; first < verdicts.length; first += IN_FLIGHT) {
    const some = verdicts.slice(first, first + IN_FLIGHT);
    await Promise.all(some.map((verdict) => publishVerdict(bus, verdict)));
  }
}
