import { BpfError, realTimeNs, sampleClockOffset } from "@packetwatch/bpf";
import {
  APPLIED_VERSION,
  type Applied,
  ContractError,
  type ContractErrorCode,
  decodeVerdict,
} from "@packetwatch/contracts";
import { type Prefix, prefixContains } from "@packetwatch/net";
import { type Change, type DesiredBlock, DesiredBlocks } from "./desired-blocks.ts";
import { HostMap, type Reconciled } from "./host-map.ts";

/** A message of the verdict stream. */
export type VerdictMessage = {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly sequence: number;
  readonly markerReason: string | undefined;
};

export type ReconcileReason = "start" | "new_maps";

/** What the enforcer tells its surroundings: counters, log lines, applied messages. */
export type EnforcerEvents = {
  readonly onApplied: (applied: Applied) => void;
  readonly onRejected: (reason: ContractErrorCode, error: ContractError) => void;
  readonly onMapFull: (interfaceName: string, refused: number) => void;
  readonly onReconciled: (
    interfaceName: string,
    reason: ReconcileReason,
    result: Reconciled,
  ) => void;
  readonly onWaiting: (interfaceName: string) => void;
  readonly onAllowChanged: (
    interfaceName: string,
    added: readonly Prefix[],
    removed: readonly Prefix[],
  ) => void;
};

export type EnforcerOptions = {
  readonly host: string;
  readonly interfaces: readonly string[];
  readonly pinDir: string;
  readonly allowed: () => readonly Prefix[];
  readonly events: EnforcerEvents;
};

/**
 * Keeps the block maps of a host equal to the verdicts in force. Until the
 * whole list has been read, nothing is lifted that an earlier enforcer set.
 */
export class Enforcer {
  readonly #options: EnforcerOptions;
  readonly #desired = new DesiredBlocks();
  readonly #maps = new Map<string, HostMap>();
  readonly #waitingFor = new Set<string>();
  #isListComplete = false;
  #sequence = 0;
  #allowed: readonly Prefix[] = [];

  constructor(options: EnforcerOptions) {
    this.#options = options;
  }

  get blocks(): number {
    return this.#desired.size;
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

  /** Interfaces whose maps are open. */
  get interfaces(): readonly string[] {
    return [...this.#maps.keys()];
  }

  take(message: VerdictMessage): void {
    const change = this.#change(message);
    this.#sequence = message.sequence;
    if (change && this.#isListComplete) this.#apply(change, message.sequence);
  }

  /**
   * The list has been read to its end: the maps become equal to it. A stream
   * that never held a verdict says nothing: NATS has lost its disk, or the
   * host was moved to another fleet. Then blocks stay until they expire or
   * are lifted one by one.
   */
  completeList(): void {
    if (this.#isListComplete) return;
    this.#isListComplete = true;
    if (this.#sequence === 0) return;
    for (const map of this.#maps.values()) this.#reconcile(map, "start");
  }

  /** The stream was made anew: its list has to be read again before anything is lifted. */
  restartList(): void {
    this.#desired.clear();
    this.#sequence = 0;
    this.#isListComplete = false;
  }

  /** Opens maps that have appeared or were made anew, follows the allow list, forgets what expired. Call it about once a second. */
  tend(): void {
    this.#allowed = this.#options.allowed();
    for (const name of this.#options.interfaces) this.#tendMap(name);
    if (!this.#isListComplete) return;
    for (const change of this.#desired.expire(wallUs())) this.#apply(change, this.#sequence);
  }

  close(): void {
    for (const map of this.#maps.values()) map.close();
    this.#maps.clear();
  }

  #change({ subject, payload, sequence, markerReason }: VerdictMessage): Change | undefined {
    if (markerReason !== undefined) return this.#desired.remove(subject);
    try {
      return this.#desired.apply(subject, decodeVerdict(payload), { sequence, nowUs: wallUs() });
    } catch (error) {
      if (!(error instanceof ContractError)) throw error;
      this.#options.events.onRejected(error.code, error);
      return undefined;
    }
  }

  #tendMap(name: string): void {
    const { pinDir } = this.#options;
    const held = this.#maps.get(name);
    if (held?.isCurrent(pinDir)) return this.#followAllowList(held);
    held?.close();
    this.#maps.delete(name);
    const map = HostMap.open(pinDir, name);
    if (!map) return this.#mentionWaiting(name);
    this.#waitingFor.delete(name);
    this.#maps.set(name, map);
    this.#followAllowList(map);
    if (this.#isListComplete && this.#sequence > 0) this.#reconcile(map, "new_maps");
  }

  #mentionWaiting(name: string): void {
    if (this.#waitingFor.has(name)) return;
    this.#waitingFor.add(name);
    this.#options.events.onWaiting(name);
  }

  #followAllowList(map: HostMap): void {
    const { added, removed } = map.allow(this.#allowed);
    if (added.length + removed.length === 0) return;
    this.#options.events.onAllowChanged(map.interfaceName, added, removed);
  }

  #reconcile(map: HostMap, reason: ReconcileReason): void {
    const { events } = this.#options;
    const result = map.reconcile(this.#desired.values(), createToBootNs());
    events.onReconciled(map.interfaceName, reason, result);
    if (result.refused > 0) events.onMapFull(map.interfaceName, result.refused);
  }

  #apply(change: Change, sequence: number): void {
    const toBootNs = createToBootNs();
    let action: Applied["action"] = change.kind === "lift" ? "lifted" : "blocked";
    for (const map of this.#maps.values()) {
      if (change.kind === "lift") map.lift(change.block);
      else if (!this.#block(map, change.block, toBootNs)) action = "failed";
    }
    if (action === "blocked" && this.#isAllowed(change.block)) action = "spared";
    this.#options.events.onApplied(this.#applied(change, action, sequence));
  }

  /** False where the map is full. */
  #block(map: HostMap, block: DesiredBlock, toBootNs: (wallUs: number) => bigint): boolean {
    try {
      map.block(block, toBootNs);
      return true;
    } catch (error) {
      if (!(error instanceof BpfError && error.code === "MAP_FULL")) throw error;
      this.#options.events.onMapFull(map.interfaceName, 1);
      return false;
    }
  }

  /** A block of an IPv6 prefix is spared where an address in it is allowed. */
  #isAllowed({ prefix }: DesiredBlock): boolean {
    return this.#allowed.some(
      (allowed) => prefixContains(allowed, prefix.words) || prefixContains(prefix, allowed.words),
    );
  }

  #applied(change: Change, action: Applied["action"], sequence: number): Applied {
    const { block } = change;
    const appliedUs = wallUs();
    const isReaction = change.kind === "block" && block.decidingUs !== undefined;
    return {
      version: APPLIED_VERSION,
      host: this.#options.host,
      interfaces: this.interfaces.slice(0, 64),
      verdictId: change.kind === "lift" ? change.verdictId : block.verdictId,
      source: block.source,
      action,
      streamSequence: sequence,
      appliedUs,
      reactionUs: isReaction ? appliedUs - (block.decidingUs ?? 0) : null,
    };
  }
}

function wallUs(): number {
  return Number(realTimeNs() / 1000n);
}

function createToBootNs(): (wallUs: number) => bigint {
  const { offsetNs } = sampleClockOffset(1);
  return (wallUs) => BigInt(wallUs) * 1000n - offsetNs;
}
