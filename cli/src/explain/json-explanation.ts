import { rowJson } from "../allow/allow-text.ts";
import { JsonFormat } from "../tail/json-format.ts";
import { IsoTime } from "../tail/time-text.ts";
import type { ExplainedAddress, Explanation, HistoryEntry } from "./explanation.ts";
import { isReached } from "./render-explanation.ts";
import type { RuleDistance } from "./rule-distance.ts";

/** The explanation for scripts: times are ISO 8601, blocks and alerts are as tail prints them. */
export function jsonExplanation(explanation: Explanation): object {
  const { source, state, block, hosts, silent, unanswered, seen } = explanation;
  const iso = isoOrNull();
  const { firstUs, lastUs, ...attempts } = seen;
  return {
    source,
    address: explanation.address ? addressJson(explanation.address) : null,
    state,
    block: block ? parse(new JsonFormat().block(block)) : null,
    hosts: hosts.map((host) => hostJson(host, iso)),
    silent,
    unanswered,
    seen: {
      ...attempts,
      first: iso(firstUs),
      last: iso(lastUs),
      retainedSeconds: explanation.retainedSeconds ?? null,
    },
    rules: explanation.rules.map((rule) => ruleJson(rule, iso)),
    rulesOf: explanation.rulesOf ?? null,
    breaker: explanation.breaker ?? { state: "closed" },
    history: explanation.history.map((entry) => entryJson(entry, iso)),
  };
}

/** As 'allow check --json' has it. */
function addressJson({ address, allowedBy }: ExplainedAddress): object {
  return { address, entries: allowedBy.map(rowJson) };
}

type IsoOrNull = (timeUs: number | null) => string | null;

function isoOrNull(): IsoOrNull {
  const time = new IsoTime();
  return (timeUs) => (timeUs === null ? null : time.format(timeUs));
}

function hostJson(host: Explanation["hosts"][number], iso: IsoOrNull): object {
  const { firstDropUs, appliedUs, reactionUs, isAllowed, ...rest } = host;
  return {
    ...rest,
    allowed: isAllowed,
    firstDrop: iso(firstDropUs),
    applied: iso(appliedUs),
    reactionMs: reactionUs === null ? null : reactionUs / 1000,
  };
}

function ruleJson(distance: RuleDistance, iso: IsoOrNull): object {
  const { rule, action, threshold, windowSeconds, nearest } = distance;
  return {
    rule,
    action,
    threshold,
    windowSeconds,
    nearest: nearest?.count ?? 0,
    reached: isReached(distance),
    last: iso(nearest?.lastSeenUs ?? null),
  };
}

function entryJson(entry: HistoryEntry, iso: IsoOrNull): object {
  const format = new JsonFormat();
  if (entry.kind === "alert") return parse(format.alert(entry.alert));
  if (entry.kind === "expired") {
    return { kind: "expired", time: iso(entry.timeUs), id: entry.verdict.id };
  }
  const { verdict } = entry;
  if (verdict.kind === "block") return parse(format.block(verdict));
  const { id, source, decidedBy, issuedUs, reason = null } = verdict;
  return parse(format.unblock({ source, timeUs: issuedUs, verdictId: id, decidedBy, reason }));
}

function parse(line: string): object {
  return JSON.parse(line) as object;
}
