/** What is known of one source, put together. Pure. */
import type { Alert, Applied, BlockVerdict, BreakerMessage, Verdict } from "@packetwatch/contracts";
import type { AllowedRow } from "../allow/allowed-rows.ts";
import type { BlockOnHost } from "../block-list/blocked-row.ts";
import type { SilentHost } from "../hosts/effect.ts";
import type { RuleDistance } from "./rule-distance.ts";
import type { AttemptSummary } from "./source-attempts.ts";
import type { SourceHistory } from "./source-history.ts";

/** `watched`: seen, and below what blocks. */
export type SourceState = "blocked" | "allowed" | "watched" | "unseen";

export type HostPart = BlockOnHost & {
  readonly isAllowed: boolean;
  /** From the deciding attempt to the map write; null: unknown, or an operator decided. */
  readonly reactionUs: number | null;
  readonly appliedUs: number | null;
};

/** One address of an IPv6 source, and what allows it alone or with others of them. */
export type ExplainedAddress = {
  readonly address: string;
  readonly allowedBy: readonly AllowedRow[];
  /** Hosts that are heard. */
  readonly hosts: number;
};

export type HistoryEntry =
  | { readonly kind: "verdict"; readonly timeUs: number; readonly verdict: Verdict }
  | { readonly kind: "alert"; readonly timeUs: number; readonly alert: Alert }
  | { readonly kind: "expired"; readonly timeUs: number; readonly verdict: BlockVerdict };

export type Explanation = {
  readonly source: string;
  /** Set where the question was of an address that is only a part of the source. */
  readonly address: ExplainedAddress | undefined;
  readonly nowUs: number;
  readonly state: SourceState;
  readonly block: BlockVerdict | undefined;
  readonly hosts: readonly HostPart[];
  readonly silent: readonly SilentHost[];
  readonly unanswered: readonly string[];
  readonly seen: AttemptSummary;
  /** How far back attempts are retained; undefined: none are. */
  readonly retainedSeconds: number | undefined;
  readonly rules: readonly RuleDistance[];
  /** The detector that has them; undefined: none is heard, and they are the command's own. */
  readonly rulesOf: string | undefined;
  /** What was last said of it; undefined: it was never open. */
  readonly breaker: BreakerMessage | undefined;
  /** Oldest first. */
  readonly history: readonly HistoryEntry[];
  readonly historySeconds: number | undefined;
  /** Whether all that hosts said since the block was looked through for their times. */
  readonly isAppliedComplete: boolean;
};

export type ExplanationParts = Omit<
  Explanation,
  "state" | "hosts" | "history" | "historySeconds" | "isAppliedComplete"
> & {
  readonly onHosts: readonly (BlockOnHost & { readonly isAllowed: boolean })[];
  readonly past: SourceHistory;
};

export function createExplanation({ onHosts, past, ...parts }: ExplanationParts): Explanation {
  const hosts = onHosts.map((host) => withReaction(host, past.applied));
  return {
    ...parts,
    state: stateOf(parts.block, hosts, parts.seen),
    hosts,
    history: historyOf(past, parts.nowUs),
    historySeconds: past.reachSeconds,
    isAppliedComplete: past.isComplete,
  };
}

function withReaction(
  host: ExplanationParts["onHosts"][number],
  applied: readonly Applied[],
): HostPart {
  const own = applied.find((each) => each.host === host.host);
  return { ...host, reactionUs: own?.reactionUs ?? null, appliedUs: own?.appliedUs ?? null };
}

function stateOf(
  block: BlockVerdict | undefined,
  hosts: readonly HostPart[],
  seen: AttemptSummary,
): SourceState {
  const isHeld = hosts.some(({ isAllowed }) => !isAllowed);
  if (block && (isHeld || hosts.length === 0)) return "blocked";
  if (hosts.some(({ isAllowed }) => isAllowed)) return "allowed";
  return seen.attempts === 0 ? "unseen" : "watched";
}

function historyOf({ verdicts, alerts }: SourceHistory, nowUs: number): readonly HistoryEntry[] {
  const entries: HistoryEntry[] = [
    ...verdicts.map((verdict) => ({ kind: "verdict" as const, timeUs: verdict.issuedUs, verdict })),
    ...alerts.map((alert) => ({ kind: "alert" as const, timeUs: alert.issuedUs, alert })),
    ...verdicts.flatMap((verdict, index) => expiryOf(verdict, verdicts[index + 1], nowUs)),
  ];
  return entries.toSorted((a, b) => a.timeUs - b.timeUs);
}

/** A block that ended by itself, before another verdict did it. */
function expiryOf(verdict: Verdict, next: Verdict | undefined, nowUs: number): HistoryEntry[] {
  if (verdict.kind === "unblock" || verdict.expiresUs === null) return [];
  const { expiresUs } = verdict;
  if (expiresUs > Math.min(nowUs, next?.issuedUs ?? nowUs)) return [];
  return [{ kind: "expired", timeUs: expiresUs, verdict }];
}
