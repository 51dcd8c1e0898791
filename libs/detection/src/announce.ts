import {
  ALERT_VERSION,
  type Alert,
  type BlockVerdict,
  type Evidence,
  MAX_EVIDENCE_ENTRIES,
  VERDICT_VERSION,
} from "@packetwatch/contracts";
import { formatAddress, formatSourceKey } from "@packetwatch/net";
import type { Detection } from "./detector.ts";
import { verdictId } from "./verdict-id.ts";

/** What a detection alone does not know. */
export type AnnounceContext = {
  readonly decidedBy: string;
  /** The host whose sensor saw the deciding attempt. */
  readonly host: string;
  readonly ipv6SourceBits: number;
  readonly windowSeconds: number;
};

/**
 * The order in which the detections of one event are to be published: alerts first. A block makes every detector
 * quiet about its source, so an alert that were lost behind one would never be decided again.
 */
export function announceOrder(detections: readonly Detection[]): readonly Detection[] {
  const isBlock = ({ action }: Detection) => Number(action === "block");
  return detections.toSorted((left, right) => isBlock(left) - isBlock(right));
}

/** The verdict of a detection: a function of the events alone, so that a replay gives it again. */
export function createVerdict(detection: Detection, context: AnnounceContext): BlockVerdict {
  const { quietUntilUs, offence } = detection;
  return {
    version: VERDICT_VERSION,
    kind: "block",
    ...commonFields(detection, context),
    expiresUs: Number.isFinite(quietUntilUs) ? quietUntilUs : null,
    ...(offence === undefined ? {} : { offence }),
  };
}

export function createAlert(detection: Detection, context: AnnounceContext): Alert {
  return { version: ALERT_VERSION, ...commonFields(detection, context) };
}

function commonFields(detection: Detection, context: AnnounceContext) {
  return {
    id: verdictId(detection),
    source: formatSourceKey(detection.sourceKey, context.ipv6SourceBits),
    rule: detection.rule,
    decidedBy: context.decidedBy,
    issuedUs: detection.event.timeUs,
    evidence: createEvidence(detection, context),
  };
}

function createEvidence({ evidence }: Detection, context: AnnounceContext): Evidence {
  return {
    count: evidence.count,
    windowSeconds: context.windowSeconds,
    destinations: evidence.destinations.slice(0, MAX_EVIDENCE_ENTRIES).map(formatAddress),
    ports: evidence.ports.slice(0, MAX_EVIDENCE_ENTRIES),
    hosts: [context.host],
    firstSeenUs: evidence.firstSeenUs,
    lastSeenUs: evidence.lastSeenUs,
  };
}
