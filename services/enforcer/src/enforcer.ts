import { type BpfError, bootTimeNs, realTimeNs, sampleClockOffset } from "@packetwatch/bpf";
import {
  APPLIED_VERSION,
  type Applied,
  ContractError,
  type ContractErrorCode,
  decodeVerdictOn,
  type HostBlock,
  type HostState,
  HOST_STATE_VERSION,
  isEnforcing,
  MAX_HOST_ALLOWED,
  verdictSubject,
} from "@packetwatch/contracts";
import { formatAddress, formatPrefix, isIpv4, parsePrefix, type Prefix } from "@packetwatch/net";
import { AllowList, type HostEntry } from "./allow-list.ts";
import { type Change, type DesiredBlock, DesiredBlocks } from "./desired-blocks.ts";
import { hostBlockOf } from "./host-block.ts";
import { type AllowChange, HostMap, type Reconciled } from "./host-map.ts";
import { leftoversOf } from "./leftovers.ts";
import {
  allowedByOperators,
  decideEnforcement,
  type EnforcementDecision,
  type OperatorSettings,
} from "./operator-settings.ts";

/** A message of the verdict stream. */
export type VerdictMessage = {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly sequence: number;
  readonly markerReason: string | undefined;
};

/** `room`: there may be room now for blocks that a map had refused. */
export type ReconcileReason = "start" | "new_maps" | "room";

/**
 * Changes of one reconcile that are announced one by one, the newest: what came
 * while the enforcer was away. A host that boots with 100,000 blocks changes nothing
 * for those who read the history.
 */
export const MAX_ANNOUNCED_CHANGES = 1000;

/** What the enforcer tells its surroundings: counters, log lines, applied messages. */
export type EnforcerEvents = {
  readonly onApplied: (applied: Applied) => void;
  /** What a reconcile has applied; its reaction times are those of an enforcer that was away. */
  readonly onCaughtUp: (applied: Applied) => void;
  readonly onRejected: (reason: ContractErrorCode, error: ContractError) => void;
  /** The kernel refused to write blocks: the map is full, or memory is short. */
  readonly onRefused: (interfaceName: string, refused: number, refusal: BpfError) => void;
  readonly onReconciled: (
    interfaceName: string,
    reason: ReconcileReason,
    result: Reconciled,
  ) => void;
  /** The list of these blocks was lost: they hold until they expire or are lifted one by one. */
  readonly onLeftovers: (blocks: readonly DesiredBlock[]) => void;
  readonly onWaiting: (interfaceName: string) => void;
  readonly onAllowChanged: (interfaceName: string, change: AllowChange) => void;
  readonly onEnforcementSet: (interfaceName: string, decision: EnforcementDecision) => void;
};

/** What has to be read to its end before anything in the kernel is taken back. */
const lists = ["verdicts", "allowlist", "enforcement"] as const;
export type List = (typeof lists)[number];

export type EnforcerOptions = {
  readonly host: string;
  readonly interfaces: readonly string[];
  readonly pinDir: string;
  /** The length of the prefixes that the kernel looks IPv6 sources up by. */
  readonly ipv6SourceBits: number;
  /** What is allowed on this host besides what operators allow everywhere. */
  readonly hostAllowed: () => readonly HostEntry[];
  readonly settings: OperatorSettings;
  readonly events: EnforcerEvents;
};

/** What came of a change. */
type Outcome = { readonly change: Change; readonly action: Applied["action"] };

/**
 * Keeps the maps of a host equal to the verdicts in force and to what operators
 * have set. Until all of that has been read, nothing is lifted that an earlier
 * enforcer set, and nothing is blocked that may be allowed.
 */
export class Enforcer {
  readonly #options: EnforcerOptions;
  readonly #desired = new DesiredBlocks();
  readonly #maps = new Map<string, HostMap>();
  /** Interfaces of which it was said that they have no maps. */
  readonly #mentioned = new Set<string>();
  /** Interfaces whose map has refused blocks that are in force. */
  readonly #refusing = new Set<string>();
  /** Unblocks that were read with the list, by address: who lifted what a reconcile removes. */
  readonly #lifts = new Map<string, Change>();
  readonly #unread = new Set<List>(lists);
  /** Whether a map that has refused blocks may take them now. */
  #mayHaveRoom = false;
  #sequence = 0;
  /** When the verdict list was made that is read; 0 until that is known. */
  #listUs = 0;
  #allowed = new AllowList([], []);
  #refusedAllowed = 0;
  #decision: EnforcementDecision = undecided;
  /** The last changes of the settings that are in the maps, by their sequences. */
  #followed = { allowlist: 0, enforcement: 0 };

  constructor(options: EnforcerOptions) {
    this.#options = options;
  }

  get blocks(): number {
    return this.#desired.size;
  }

  /** Those of them that no list names any more. */
  get leftovers(): number {
    return this.#desired.leftovers;
  }

  /** Blocks that the smallest map can hold; 0 while none is open. */
  get capacity(): number {
    const capacities = [...this.#maps.values()].map((map) => map.capacity);
    return capacities.length === 0 ? 0 : Math.min(...capacities);
  }

  /** The last verdict that was taken in, by its sequence in the stream. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Interfaces on which nothing is enforced: capture has not pinned their maps, or no program is attached. */
  get waitingFor(): readonly string[] {
    return this.#options.interfaces.filter((name) => !this.#maps.get(name)?.isAttached);
  }

  /** Interfaces whose maps are open. */
  get interfaces(): readonly string[] {
    return [...this.#maps.keys()];
  }

  /** Why blocks aren't kept equal to the verdicts; undefined: they are. */
  whyNotEnforcing(): string | undefined {
    const { waitingFor } = this;
    if (waitingFor.length > 0) return `waiting for capture on ${waitingFor.join(", ")}`;
    return this.#areListsRead ? undefined : `not read yet: ${[...this.#unread].join(", ")}`;
  }

  take(message: VerdictMessage): void {
    const change = this.#change(message);
    this.#sequence = message.sequence;
    if (!change) return;
    if (this.#areListsRead) this.#apply(change, message.sequence);
    else if (change.kind === "lift")
      this.#lifts.set(formatAddress(change.block.prefix.words), change);
  }

  /**
   * A list has been read to its end. With the last of them the maps become
   * equal to the verdicts. A verdict stream that never held one says nothing:
   * NATS has lost its disk, or the host was moved to another fleet. Then blocks
   * stay until they expire or are lifted one by one. Of verdicts, the stream's
   * last sequence tells: what it held may have expired.
   */
  completeList(list: List, verdictSequence = 0): void {
    if (list === "verdicts") this.#desired.finish();
    this.#sequence = Math.max(this.#sequence, verdictSequence);
    if (!this.#unread.delete(list) || !this.#areListsRead) return;
    this.followSettings();
    if (this.#sequence > 0) this.#reconcile([...this.#maps.values()], "start");
    this.#lifts.clear();
    this.#rememberList();
  }

  /**
   * A verdict list is read from here on, of which is known when it was made. A map that was last equal to another one
   * holds what nobody has lifted: that list was lost while no enforcer ran.
   */
  followList(createdUs: number): void {
    this.#listUs = createdUs;
    for (const map of this.#maps.values()) this.#adoptLeftovers(map);
  }

  /** Too much of the verdict stream was missed: its list has to be read before anything is lifted. */
  restartList(): void {
    this.#desired.restart();
    this.#awaitList();
  }

  /**
   * The verdict stream was made anew, or has gone back: NATS has lost its disk, or a part of it. What is missing from
   * the list was not lifted by anybody. What is blocked goes on to hold until it expires or is lifted one by one.
   */
  keepList(): void {
    const maps = [...this.#maps.values()];
    const isHeld = ({ prefix }: DesiredBlock) => maps.some((map) => map.blockOf(prefix));
    this.#tellLeftovers(this.#desired.keep(isHeld));
    this.#awaitList();
  }

  /** Opens maps that have appeared or were made anew, follows the settings, forgets what expired. Call it about once a second. */
  tend(): void {
    this.followSettings();
    for (const name of this.#options.interfaces) this.#tendMap(name);
    if (!this.#areListsRead) return;
    for (const change of this.#desired.expire(wallUs())) this.#apply(change, this.#sequence);
    this.#fillRoom();
    this.#rememberList();
  }

  /** What the kernel of this host holds of a source. */
  inspect(source: string): HostBlock {
    const prefix = parsePrefix(source);
    const { offsetNs } = sampleClockOffset(1);
    const maps = this.#isSource(prefix) ? [...this.#maps.values()] : [];
    const held = maps.flatMap((map) => map.blockOf(prefix) ?? []);
    const allowed = this.#allowed.covers(prefix);
    return hostBlockOf({ source, held, allowed }, { nowNs: realTimeNs() - offsetNs, offsetNs });
  }

  /** Brings what is allowed, and whether anything is dropped, into the maps that are open. */
  followSettings(): void {
    const { settings, hostAllowed, host } = this.#options;
    const nowUs = wallUs();
    const before = this.#allowed;
    this.#allowed = new AllowList(hostAllowed(), allowedByOperators(settings, nowUs));
    if (!this.#unread.has("enforcement")) {
      this.#decision = decideEnforcement(settings, { host, nowUs });
    }
    this.#refusedAllowed = 0;
    for (const map of this.#maps.values()) this.#followOn(map, before);
    this.#followed = {
      allowlist: settings.allowlist.sequence,
      enforcement: settings.enforcement.sequence,
    };
  }

  /** What is in the kernel now, and why. */
  state(): HostState {
    const { host } = this.#options;
    const allowed = this.#allowed.hostAllowed;
    return {
      version: HOST_STATE_VERSION,
      host,
      sentUs: wallUs(),
      interfaces: this.interfaces.slice(0, 64),
      enforcing: this.#readEnforcing(),
      enforcedBy: this.#decision.setBy,
      trialUntilUs: this.#decision.untilUs ?? null,
      allowlistSequence: this.#followed.allowlist,
      enforcementSequence: this.#followed.enforcement,
      allowed: allowed.slice(0, MAX_HOST_ALLOWED),
      omitted: Math.max(0, allowed.length - MAX_HOST_ALLOWED),
      refused: this.#refusedAllowed,
    };
  }

  close(): void {
    for (const map of this.#maps.values()) map.close();
    this.#maps.clear();
  }

  #awaitList(): void {
    this.#lifts.clear();
    this.#sequence = 0;
    this.#unread.add("verdicts");
  }

  #change({ subject, payload, sequence, markerReason }: VerdictMessage): Change | undefined {
    if (markerReason !== undefined) return this.#desired.remove(subject);
    try {
      const verdict = decodeVerdictOn(subject, payload);
      this.#requireSource(verdict.source);
      return this.#desired.apply(subject, verdict, { sequence, nowUs: wallUs() });
    } catch (error) {
      if (!(error instanceof ContractError)) throw error;
      this.#options.events.onRejected(error.code, error);
      return undefined;
    }
  }

  /**
   * A map's keys have no length: under that of another prefix, a block would reach further than
   * its verdict or nowhere, and an unblock would lift what it doesn't name.
   */
  #requireSource(source: string): void {
    if (this.#isSource(parsePrefix(source))) return;
    const { ipv6SourceBits } = this.#options;
    const detail = `${source} is no source on this host, which knows IPv6 by /${ipv6SourceBits} (PW_IPV6_PREFIX)`;
    throw new ContractError("wrong_prefix", "verdict v1", detail);
  }

  #isSource({ words, bits }: Prefix): boolean {
    return bits === (isIpv4(words) ? 128 : this.#options.ipv6SourceBits);
  }

  get #areListsRead(): boolean {
    return this.#unread.size === 0;
  }

  #tendMap(name: string): void {
    const { pinDir } = this.#options;
    const held = this.#maps.get(name);
    if (held?.isCurrent(pinDir)) return;
    held?.close();
    this.#maps.delete(name);
    this.#refusing.delete(name);
    const map = HostMap.open(pinDir, name);
    if (!map) return this.#mentionWaiting(name);
    this.#mentioned.delete(name);
    this.#maps.set(name, map);
    this.#followOn(map, this.#allowed);
    this.#adoptLeftovers(map);
    if (this.#areListsRead && this.#sequence > 0) this.#reconcile([map], "new_maps");
  }

  #adoptLeftovers(map: HostMap): void {
    const { listUs } = map;
    if (listUs === 0 || this.#listUs === 0 || listUs === this.#listUs) return;
    const { ipv6SourceBits } = this.#options;
    const held = [...leftoversOf(map, ipv6SourceBits)];
    const isNew = (block: DesiredBlock) => this.#desired.adopt(verdictSubject(block.prefix), block);
    this.#tellLeftovers(held.filter(isNew));
  }

  #tellLeftovers(blocks: readonly DesiredBlock[]): void {
    if (blocks.length > 0) this.#options.events.onLeftovers(blocks);
  }

  /** Not while there are leftovers: the next enforcer has to know them, too. */
  #rememberList(): void {
    if (!this.#areListsRead || this.#sequence === 0 || this.#desired.leftovers > 0) return;
    for (const map of this.#maps.values()) map.rememberList(this.#listUs);
  }

  #followOn(map: HostMap, before: AllowList): void {
    const { events } = this.#options;
    // What nobody here has put there may be the operators', whose list isn't read yet.
    const isUnread = this.#unread.has("allowlist");
    const mayRemove = (prefix: Prefix) => !isUnread || before.has(formatPrefix(prefix));
    const change = map.allow(this.#allowed.prefixes, mayRemove);
    const { added, removed, refused } = change;
    this.#refusedAllowed = Math.max(this.#refusedAllowed, refused.length);
    if (added.length + removed.length > 0) events.onAllowChanged(map.interfaceName, change);
    if (this.#unread.has("enforcement")) return;
    const { set, setAfter, untilUs } = this.#decision;
    const untilNs = untilUs === undefined ? 0n : createToBootNs()(untilUs);
    if (map.set({ set, setAfter, untilNs })) {
      events.onEnforcementSet(map.interfaceName, this.#decision);
    }
  }

  /** A host that drops on one of its interfaces enforces. */
  #readEnforcing(): HostState["enforcing"] {
    const maps = [...this.#maps.values()].filter(({ isAttached }) => isAttached);
    if (maps.length === 0) return null;
    return maps.some((map) => isEnforcing(map.readLive(), bootTimeNs())) ? "on" : "off";
  }

  #mentionWaiting(name: string): void {
    if (this.#mentioned.has(name)) return;
    this.#mentioned.add(name);
    this.#options.events.onWaiting(name);
  }

  #reconcile(maps: readonly HostMap[], reason: ReconcileReason): void {
    const toBootNs = createToBootNs();
    const outcomes = new Map<string, Outcome>();
    for (const map of maps) {
      const result = map.reconcile(this.#desired.values(), toBootNs);
      this.#options.events.onReconciled(map.interfaceName, reason, result);
      this.#noteRefused(map, reason, result);
      for (const outcome of this.#outcomesOf(result, reason)) {
        const id = verdictIdOf(outcome.change);
        // What failed on one of several interfaces has failed.
        if (outcomes.get(id)?.action !== "failed") outcomes.set(id, outcome);
      }
    }
    this.#announce([...outcomes.values()]);
  }

  #noteRefused(map: HostMap, reason: ReconcileReason, { refused, refusal }: Reconciled): void {
    if (refusal === undefined) return void this.#refusing.delete(map.interfaceName);
    this.#noteRefusal(map, refusal);
    // Those that still find no room were counted before.
    if (reason === "room") return;
    this.#options.events.onRefused(map.interfaceName, refused.length, refusal);
  }

  #noteRefusal({ interfaceName }: HostMap, refusal: BpfError): void {
    this.#refusing.add(interfaceName);
    // Room comes with a lift; of all else nobody tells when it is over.
    if (refusal.code !== "MAP_FULL") this.#mayHaveRoom = true;
  }

  #outcomesOf(result: Reconciled, reason: ReconcileReason): readonly Outcome[] {
    const { added, refreshed, removed, refused } = result;
    const toOutcome = (action: Applied["action"]) => (block: DesiredBlock) =>
      ({ change: { kind: "block", block }, action }) satisfies Outcome;
    const lifts = removed.map((address) => this.#lifts.get(address));
    return [
      ...[...added, ...refreshed].map(toOutcome("blocked")),
      ...(reason === "room" ? [] : refused.map(toOutcome("failed"))),
      ...lifts.flatMap((change) => (change ? [{ change, action: "lifted" as const }] : [])),
    ];
  }

  #announce(outcomes: readonly Outcome[]): void {
    const newest = outcomes.toSorted((a, b) => b.change.block.sequence - a.change.block.sequence);
    for (const { change, action } of newest.slice(0, MAX_ANNOUNCED_CHANGES)) {
      this.#options.events.onCaughtUp(this.#applied(change, action, change.block.sequence));
    }
  }

  /** Lifts have made room for what full maps had refused, or memory may be there again. */
  #fillRoom(): void {
    if (!this.#mayHaveRoom) return;
    this.#mayHaveRoom = false;
    const maps = [...this.#maps.values()].filter((map) => this.#refusing.has(map.interfaceName));
    if (maps.length > 0) this.#reconcile(maps, "room");
  }

  #apply(change: Change, sequence: number): void {
    const toBootNs = createToBootNs();
    let action: Applied["action"] = change.kind === "lift" ? "lifted" : "blocked";
    for (const map of this.#maps.values()) {
      const { block } = change;
      const refusal = change.kind === "lift" ? map.lift(block) : map.block(block, toBootNs);
      if (refusal === undefined) continue;
      action = "failed";
      this.#noteRefusal(map, refusal);
      this.#options.events.onRefused(map.interfaceName, 1, refusal);
    }
    if (change.kind === "lift") this.#mayHaveRoom = true;
    this.#options.events.onApplied(this.#applied(change, action, sequence));
  }

  #applied(change: Change, action: Applied["action"], sequence: number): Applied {
    const { block } = change;
    const appliedUs = wallUs();
    const isSpared = action === "blocked" && this.#allowed.covers(block.prefix);
    const isReaction = change.kind === "block" && block.decidingUs !== undefined;
    return {
      version: APPLIED_VERSION,
      host: this.#options.host,
      interfaces: this.interfaces.slice(0, 64),
      verdictId: verdictIdOf(change),
      source: block.source,
      action: isSpared ? "spared" : action,
      streamSequence: sequence,
      appliedUs,
      reactionUs: isReaction ? appliedUs - (block.decidingUs ?? 0) : null,
    };
  }
}

const undecided: EnforcementDecision = {
  set: undefined,
  setBy: "variable",
  untilUs: undefined,
  setAfter: undefined,
};

function verdictIdOf(change: Change): string {
  return change.kind === "lift" ? change.verdictId : change.block.verdictId;
}

function wallUs(): number {
  return Number(realTimeNs() / 1000n);
}

/** The clocks are compared when it is first called: most blocks have no end. */
function createToBootNs(): (wallUs: number) => bigint {
  let offsetNs: bigint | undefined;
  return (wallUs) => {
    offsetNs ??= sampleClockOffset(1).offsetNs;
    return BigInt(wallUs) * 1000n - offsetNs;
  };
}
