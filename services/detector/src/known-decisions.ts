import {
  type Bus,
  type StreamMessage,
  StreamReader,
  type StreamReaderOptions,
} from "@packetwatch/bus";
import {
  type Alert,
  alertLookBackSeconds,
  ContractError,
  type ContractErrorCode,
  decodeAlert,
  decodeVerdictOn,
  streamNames,
  subjects,
  type Verdict,
} from "@packetwatch/contracts";
import type { AlertMark, Detector, VerdictMark } from "@packetwatch/detection";
import { parsePrefix } from "@packetwatch/net";
import type { BreakerControl } from "./breaker-control.ts";
import type { LastVerdicts } from "./last-verdicts.ts";
import type { Logger } from "@packetwatch/runtime";

const PREFETCH = 1000;
const EVERYTHING = ">";

export type KnownDecisionsOptions = {
  readonly bus: Bus;
  readonly detector: Pick<Detector, "applyVerdict" | "applyAlert">;
  readonly breaker: Pick<BreakerControl, "follow" | "count" | "completeList" | "restartList">;
  readonly lastVerdicts: Pick<LastVerdicts, "take" | "clear">;
  readonly longestWindowSeconds: number;
  readonly onRejected: (reason: ContractErrorCode, error: ContractError) => void;
  readonly logger: Logger;
};

/**
 * Keeps the detector informed of what all detectors and operators have decided: verdicts, and the alerts that may still
 * hold back others. They are to be known before anything is judged: a replay then comes to what was decided, and no more.
 */
export class KnownDecisions {
  /** Resolves when what was decided so far is known. */
  readonly caughtUp: Promise<void>;
  readonly #options: KnownDecisionsOptions;
  readonly #readers: StreamReader[] = [];
  #sequence = 0;

  constructor(options: KnownDecisionsOptions) {
    this.#options = options;
    const { breaker, detector, lastVerdicts, longestWindowSeconds } = options;
    const lookBackMs = alertLookBackSeconds(longestWindowSeconds) * 1000;
    const read = [
      this.#read({
        stream: streamNames.verdict,
        // Verdicts, and the breaker's state among them.
        filter: EVERYTHING,
        start: { kind: "last_per_subject" },
        take: (message) => this.#takeVerdict(message),
        onCaughtUp: () => breaker.completeList(),
        onStreamLost: () => {
          this.#sequence = 0;
          lastVerdicts.clear();
          breaker.restartList();
        },
      }),
      this.#read({
        stream: streamNames.history,
        filter: subjects.everyAlert,
        start: { kind: "since", time: () => new Date(Date.now() - lookBackMs) },
        // The mark of an alert that is gone changes nothing: what it said is known.
        take: ({ payload, markerReason }) => {
          if (markerReason === undefined)
            detector.applyAlert(createAlertMark(decodeAlert(payload)));
        },
      }),
    ];
    this.caughtUp = Promise.all(read).then(() => undefined);
  }

  /** The last message of the verdict stream that was taken in. */
  get sequence(): number {
    return this.#sequence;
  }

  async close(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.close()));
  }

  #takeVerdict(message: StreamMessage): void {
    const { breaker, detector, lastVerdicts } = this.#options;
    const { subject, payload, sequence, markerReason } = message;
    this.#sequence = sequence;
    lastVerdicts.take(message);
    if (subject === subjects.breaker) return breaker.follow(message);
    // Once: that is most of what a verdict costs.
    const verdict = markerReason === undefined ? decodeVerdictOn(subject, payload) : undefined;
    breaker.count(message, verdict);
    if (verdict) detector.applyVerdict(createVerdictMark(verdict));
  }

  #read({ take, onCaughtUp, ...reading }: Reading): Promise<void> {
    const { bus, logger } = this.#options;
    return new Promise((resolve) => {
      const reader = new StreamReader({
        bus,
        ...reading,
        prefetch: PREFETCH,
        onMessage: (message) => this.#orReject(() => take(message)),
        onCaughtUp: () => {
          onCaughtUp?.();
          resolve();
        },
        logger,
      });
      this.#readers.push(reader);
    });
  }

  #orReject(take: () => void): void {
    try {
      take();
    } catch (error) {
      if (!(error instanceof ContractError)) throw error;
      this.#options.onRejected(error.code, error);
    }
  }
}

type Reading = Pick<StreamReaderOptions, "stream" | "filter" | "start" | "onStreamLost"> & {
  readonly take: (message: StreamMessage) => void;
  readonly onCaughtUp?: () => void;
};

/** The part of a verdict that a detector has to remember. */
export function createVerdictMark(verdict: Verdict): VerdictMark {
  const sourceKey = parsePrefix(verdict.source).words;
  const { issuedUs } = verdict;
  if (verdict.kind === "unblock") return { kind: "unblock", sourceKey, issuedUs };
  // An operator's block is no offence of its source.
  const offence = verdict.rule === "operator" ? 0 : (verdict.offence ?? 1);
  return { kind: "block", sourceKey, issuedUs, expiresUs: verdict.expiresUs ?? undefined, offence };
}

function createAlertMark({ rule, source, issuedUs }: Alert): AlertMark {
  return { rule, sourceKey: parsePrefix(source).words, issuedUs };
}
