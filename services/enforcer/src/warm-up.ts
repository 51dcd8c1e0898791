import {
  APPLIED_VERSION,
  decodeVerdictOn,
  encodeApplied,
  encodeVerdict,
  VERDICT_VERSION,
  type Verdict,
  verdictSubject,
  writeBlock,
  writeSourceKey,
} from "@packetwatch/contracts";
import { parsePrefix } from "@packetwatch/net";
import { DesiredBlocks } from "./desired-blocks.ts";

/** As many as V8 takes to compile what they go through. */
const VERDICTS = 50;

const verdict: Verdict = {
  version: VERDICT_VERSION,
  kind: "block",
  id: "warm-up",
  source: "192.0.2.1",
  rule: "vertical",
  decidedBy: "detector/warm-up",
  issuedUs: 1,
  expiresUs: null,
  evidence: {
    count: 3,
    windowSeconds: 60,
    destinations: ["192.0.2.2"],
    ports: [21, 22, 23],
    hosts: ["warm-up"],
    firstSeenUs: 1,
    lastSeenUs: 1,
  },
};

/**
 * Reads verdicts that never were, into a list of its own and into no map, so
 * that the first real one finds code that is compiled. Returns how many it took.
 */
export function warmUp(): number {
  const payload = encodeVerdict(verdict);
  const subject = verdictSubject(parsePrefix(verdict.source));
  const desired = new DesiredBlocks();
  let taken = 0;
  for (let sequence = 1; sequence <= VERDICTS; sequence++) {
    const change = desired.apply(subject, decodeVerdictOn(subject, payload), {
      sequence,
      nowUs: 1,
    });
    if (!change) continue;
    writeSourceKey(change.block.prefix.words);
    writeBlock({ expiresNs: 0n, dropped: 0n, firstDropNs: 0n });
    encodeApplied({
      version: APPLIED_VERSION,
      host: "warm-up",
      interfaces: [],
      verdictId: verdict.id,
      source: verdict.source,
      action: "blocked",
      streamSequence: sequence,
      appliedUs: 1,
      reactionUs: 1,
    });
    taken++;
  }
  return taken;
}
