import {
  ContractError,
  type ContractErrorCode,
  decodeVerdict,
  type Verdict,
} from "@packetwatch/contracts";
import type { VerdictMark } from "@packetwatch/detection";
import { parsePrefix } from "@packetwatch/net";

/** The part of a verdict that a detector has to remember. */
export function createVerdictMark(verdict: Verdict): VerdictMark {
  const sourceKey = parsePrefix(verdict.source).words;
  const { issuedUs } = verdict;
  if (verdict.kind === "unblock") return { kind: "unblock", sourceKey, issuedUs };
  return { kind: "block", sourceKey, issuedUs, expiresUs: verdict.expiresUs ?? undefined };
}

export type VerdictListOptions = {
  readonly onVerdict: (mark: VerdictMark) => void;
  readonly onRejected: (reason: ContractErrorCode, error: ContractError) => void;
};

/** Takes a message of the verdict stream. The mark of an expired one changes nothing: the verdict said when. */
export function takeVerdict(
  message: { readonly payload: Uint8Array; readonly markerReason: string | undefined },
  { onVerdict, onRejected }: VerdictListOptions,
): void {
  if (message.markerReason !== undefined) return;
  try {
    onVerdict(createVerdictMark(decodeVerdict(message.payload)));
  } catch (error) {
    if (!(error instanceof ContractError)) throw error;
    onRejected(error.code, error);
  }
}
