/** Real payloads for the tests of this folder. */
import {
  type Alert,
  type BlockVerdict,
  encodeAlert,
  encodeVerdict,
  type Evidence,
  SYN_RECORD_BYTES,
  type SynBatchHeader,
  SynBatchWriter,
  synRecordLayout as layout,
  type UnblockVerdict,
} from "@packetwatch/contracts";
import { parseAddress, writeAddress } from "@packetwatch/net";

/** 2021-04-28T13:28:05.123456Z. */
export const TIME_US = 1_619_616_485_123_456;

export type Attempt = {
  readonly timeUs?: number;
  readonly source?: string;
  readonly destination?: string;
  readonly sourcePort?: number;
  readonly port?: number;
  readonly flags?: number;
};

/** A batch of one family; the addresses must be of it. */
export function synBatch(
  attempts: readonly Attempt[],
  header: Partial<SynBatchHeader> = {},
): Uint8Array {
  const writer = new SynBatchWriter({
    family: 4,
    host: "host-a",
    interfaceName: "eth0",
    ipv6SourceBits: 64,
    ...header,
  });
  for (const attempt of attempts) {
    writer.append(attempt.timeUs ?? TIME_US, kernelRecord(attempt), 0);
  }
  return writer.take();
}

function kernelRecord(attempt: Attempt): DataView {
  const record = new DataView(new ArrayBuffer(SYN_RECORD_BYTES));
  writeAddress(parseAddress(attempt.source ?? "192.0.2.56"), record, layout.source);
  writeAddress(parseAddress(attempt.destination ?? "10.0.0.5"), record, layout.destination);
  record.setUint16(layout.source_port, attempt.sourcePort ?? 5973);
  record.setUint16(layout.destination_port, attempt.port ?? 80);
  record.setUint8(layout.flags, attempt.flags ?? 0);
  return record;
}

export const verticalEvidence: Evidence = {
  count: 4,
  windowSeconds: 60,
  destinations: ["10.0.0.5"],
  ports: [80, 81, 82, 83],
  hosts: ["host-a"],
  firstSeenUs: TIME_US - 1_000_000,
  lastSeenUs: TIME_US,
};

export const horizontalEvidence: Evidence = {
  ...verticalEvidence,
  count: 2,
  windowSeconds: 300,
  destinations: ["10.0.0.5", "10.0.0.6"],
  ports: [22],
};

export function blockOf(members: Partial<BlockVerdict> = {}): BlockVerdict {
  return {
    version: 1,
    kind: "block",
    id: "block-1",
    source: "192.0.2.56",
    rule: "vertical",
    decidedBy: "detector/d1",
    issuedUs: TIME_US,
    expiresUs: null,
    evidence: verticalEvidence,
    ...members,
  };
}

export function unblockOf(members: Partial<UnblockVerdict> = {}): UnblockVerdict {
  return {
    version: 1,
    kind: "unblock",
    id: "unblock-1",
    source: "192.0.2.56",
    decidedBy: "operator/alice",
    issuedUs: TIME_US,
    ...members,
  };
}

export function alertOf(members: Partial<Alert> = {}): Alert {
  return {
    version: 1,
    id: "alert-1",
    source: "192.0.2.56",
    rule: "horizontal",
    decidedBy: "detector/d1",
    issuedUs: TIME_US,
    evidence: horizontalEvidence,
    ...members,
  };
}

export const blockPayload = (members?: Partial<BlockVerdict>) => encodeVerdict(blockOf(members));
export const unblockPayload = (members?: Partial<UnblockVerdict>) =>
  encodeVerdict(unblockOf(members));
export const alertPayload = (members?: Partial<Alert>) => encodeAlert(alertOf(members));
