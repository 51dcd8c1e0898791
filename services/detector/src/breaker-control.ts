import type { StreamMessage } from "@packetwatch/bus";
import {
  ALERT_VERSION,
  alertSubject,
  type BlockVerdict,
  BREAKER_VERSION,
  type BreakerMessage,
  closedBreaker,
  decodeBreaker,
  encodeAlert,
  encodeBreaker,
  encodeVerdict,
  MAX_BREAKER_PERIODS,
  subjects,
  type UnblockVerdict,
  type Verdict,
  VERDICT_VERSION,
  verdictSubject,
} from "@packetwatch/contracts";
import { Breaker, type BreakerLimits, type Excess, type HoldPeriod } from "@packetwatch/detection";
import { parsePrefix } from "@packetwatch/net";
import type { Announcement } from "./announcement-queue.ts";

/** Attempts from before it opened may be judged after it: other shards lag. */
const HOLD_MARGIN_US = 10_000_000;
/** An open breaker's message is renewed so many times in a quiet time, while blocks are held back. */
const RENEWALS_PER_QUIET = 4;

export type BreakerControlOptions = {
  readonly limits: BreakerLimits;
  readonly quietUs: number;
  readonly instance: string;
  readonly publish: (announcement: Announcement) => void;
  /** Attempts within these times decide no block. */
  readonly onHold: (periods: readonly HoldPeriod[]) => void;
  readonly onChanged: (message: BreakerMessage) => void;
  readonly onHeld: () => void;
};

/**
 * Follows the breaker in the verdict stream, opens it when there is one block too many, withdraws the blocks
 * that came after, and closes it after a quiet time. Every detector does, and all come to the same: what two of
 * them publish has one message id, or expects a last message that the first has replaced.
 */
export class BreakerControl {
  readonly #options: BreakerControlOptions;
  readonly #breaker: Breaker;
  /** Detectors' blocks that were read with the list, which an open breaker may have to withdraw. */
  #listed: { readonly verdict: BlockVerdict; readonly message: StreamMessage }[] = [];
  #isListRead = false;
  #last: { readonly message: BreakerMessage; readonly sequence: number } | undefined;
  #heldUs = 0;

  constructor(options: BreakerControlOptions) {
    this.#options = options;
    this.#breaker = new Breaker(options.limits);
  }

  get isOpen(): boolean {
    return this.#breaker.isOpen;
  }

  /** Takes the breaker's own message; throws ContractError. */
  follow({ payload, sequence, markerReason }: StreamMessage): void {
    if (markerReason !== undefined) return;
    const message = decodeBreaker(payload);
    const before = this.#last?.message.state ?? "closed";
    this.#last = { message, sequence };
    this.#breaker.set(message.state);
    this.#options.onHold(message.periods);
    if (before !== message.state) this.#options.onChanged(message);
  }

  /** Takes a verdict; undefined: the mark of one that has left. */
  count(message: StreamMessage, verdict: Verdict | undefined): void {
    const { subject, sequence, storedUs } = message;
    const isBlock = verdict?.kind === "block";
    const decidedBy = isBlock && verdict.rule === "operator" ? "operator" : "detector";
    const block = isBlock
      ? ({ decidedBy, expiresUs: verdict.expiresUs ?? Infinity } as const)
      : undefined;
    const outcome = this.#breaker.take({ subject, sequence, storedUs, block });
    if (!isBlock || decidedBy === "operator") return;
    if (!this.#isListRead) this.#listed.push({ verdict, message });
    if (outcome.kind === "opens") this.#open(message, outcome.reason);
    if (outcome.kind !== "counted") this.#withdraw(verdict, sequence);
  }

  /**
   * The stream was made anew or has gone back, and is read from its beginning. The last word on the breaker holds, and
   * that it is open is told again, unless the stream has a word on it.
   */
  restartList(): void {
    this.#isListRead = false;
    this.#breaker.restartList();
    const message = this.#last?.message;
    this.#breaker.set(message?.state ?? "closed");
    this.#options.onHold(message?.periods ?? []);
    if (message === undefined) return;
    this.#last = { message, sequence: 0 };
    if (message.state === "open") this.#publish(message);
  }

  completeList(): void {
    if (this.#isListRead) return;
    this.#isListRead = true;
    this.#breaker.completeList();
    const from = this.#last?.message.fromSequence ?? Infinity;
    const late = this.#listed.filter(({ message }) => this.isOpen && message.sequence >= from);
    for (const { verdict, message } of late) this.#withdraw(verdict, message.sequence);
    this.#listed = [];
  }

  /** A block was held back here, or would have been. */
  noteHeld(nowUs: number): void {
    this.#heldUs = Math.max(this.#heldUs, nowUs);
    this.#options.onHeld();
  }

  /** Closes it after a quiet time, and tells the others that it isn't quiet yet. Call it about once a second. */
  tend(nowUs: number): void {
    const { quietUs, instance } = this.#options;
    const message = this.#last?.message;
    if (message?.state !== "open" || !this.#isListRead) return;
    const changedBy = `detector/${instance}`;
    const heldUs = Math.max(message.lastHeldUs, this.#heldUs);
    if (nowUs - heldUs > quietUs) {
      const change = { reason: "quiet", changedBy, changedUs: nowUs } as const;
      this.#publish(closedBreaker(message, change));
    } else if (heldUs - message.lastHeldUs > quietUs / RENEWALS_PER_QUIET) {
      this.#publish({ ...message, lastHeldUs: heldUs });
    }
  }

  /** Open here at once; the message makes it so for all, and for those who come later. */
  #open({ sequence, storedUs }: StreamMessage, reason: Excess): void {
    const before = this.#last?.message.periods ?? [];
    const period = { fromUs: Math.max(0, storedUs - HOLD_MARGIN_US), untilUs: null };
    const message: BreakerMessage = {
      version: BREAKER_VERSION,
      state: "open",
      reason,
      changedBy: `detector/${this.#options.instance}`,
      changedUs: storedUs,
      fromSequence: sequence,
      lastHeldUs: storedUs,
      periods: [...before, period].slice(-MAX_BREAKER_PERIODS),
    };
    this.#options.onHold(message.periods);
    this.#publish(message);
  }

  #alertInstead({ id, source, rule, decidedBy, issuedUs, evidence }: BlockVerdict): void {
    if (rule === "operator" || evidence === null) return;
    const alert = {
      version: ALERT_VERSION,
      id,
      source,
      rule,
      decidedBy,
      issuedUs,
      evidence,
    } as const;
    this.#options.publish({
      subject: alertSubject(rule, parsePrefix(source)),
      payload: encodeAlert(alert),
      messageId: id,
      ttlSeconds: 0,
      onStored: () => undefined,
      onRefused: () => undefined,
    });
  }

  #publish(message: BreakerMessage): void {
    const { state, fromSequence, lastHeldUs } = message;
    this.#options.publish({
      subject: subjects.breaker,
      payload: encodeBreaker(message),
      messageId: `breaker-${state}-${fromSequence}-${state === "open" ? lastHeldUs : "end"}`,
      ttlSeconds: 0,
      lastSubjectSequence: this.#last?.sequence ?? 0,
      onStored: () => undefined,
      onRefused: () => undefined,
    });
  }

  /** The source is unblocked as if nothing had been decided, unless something was decided since. */
  #withdraw(block: BlockVerdict, sequence: number): void {
    const { id, source, issuedUs } = block;
    this.#alertInstead(block);
    const verdict: UnblockVerdict = {
      version: VERDICT_VERSION,
      kind: "unblock",
      id: `withdrawn-${id}`.slice(0, 255),
      source,
      decidedBy: `detector/${this.#options.instance}`,
      issuedUs,
      reason: "the breaker is open: too many blocks",
    };
    this.#options.onHeld();
    this.#options.publish({
      subject: verdictSubject(parsePrefix(source)),
      payload: encodeVerdict(verdict),
      messageId: verdict.id,
      ttlSeconds: 0,
      lastSubjectSequence: sequence,
      onStored: () => undefined,
      onRefused: () => undefined,
    });
  }
}
