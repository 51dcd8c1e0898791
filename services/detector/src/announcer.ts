import { type Bus, BusError, isOvertaken, publishAcknowledged } from "@packetwatch/bus";
import type { Config } from "@packetwatch/config";
import {
  type Alert,
  alertSubject,
  encodeAlert,
  encodeVerdict,
  verdictSubject,
  verdictTtlSeconds,
} from "@packetwatch/contracts";
import {
  announceOrder,
  createAlert,
  createVerdict,
  type Detection,
  type Detector,
  escalationFromConfig,
  longestWindowSeconds,
  type RulesConfig,
} from "@packetwatch/detection";
import { parsePrefix } from "@packetwatch/net";
import { type Logger, LossReporter } from "@packetwatch/runtime";
import { type Announcement, AnnouncementQueue, type LossReason } from "./announcement-queue.ts";
import type { BreakerControl } from "./breaker-control.ts";
import type { BatchOrigin } from "./shard-feed.ts";
import type { LastVerdicts } from "./last-verdicts.ts";
import type { DetectorTelemetry } from "./telemetry.ts";

/** So long a source is left alone whose verdict a full list has refused; then it is judged anew, and tried again. */
const REFUSED_QUIET_US = 10_000_000;

const lossMessages: Readonly<Record<LossReason, string>> = {
  stream_full: "the verdict list is full; verdicts were refused (PW_MAX_VERDICTS)",
  refused: "NATS refused verdicts or alerts for good",
  queue_full: "verdicts or alerts were given up: NATS takes them too slowly",
  ended:
    "blocks were over before they were decided: a sensor's clock is slow, or detectors lag (PW_BLOCK_TTL)",
};

export type AnnouncerOptions = {
  readonly bus: Bus;
  readonly config: Config<"detector">;
  readonly instance: string;
  readonly rules: RulesConfig;
  readonly detector: Pick<Detector, "applyVerdict">;
  readonly breaker: Pick<BreakerControl, "isOpen" | "noteHeld">;
  readonly lastVerdicts: LastVerdicts;
  readonly telemetry: DetectorTelemetry;
  readonly logger: Logger;
};

/** Makes verdicts and alerts of detections, and publishes each until it is stored or refused. */
export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #longestWindowSeconds: number;
  /** How long after its end a block makes the next one longer. */
  readonly #memorySeconds: number;
  readonly #queue: AnnouncementQueue;
  /** Tries of them went without an answer, and may have been stored. */
  readonly #unanswered = new WeakSet<Announcement>();
  readonly #losses: Readonly<Record<LossReason, LossReporter>>;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
    this.#longestWindowSeconds = longestWindowSeconds(options.config);
    this.#memorySeconds = (escalationFromConfig(options.config)?.memoryUs ?? 0) / 1e6;
    this.#queue = this.#createQueue();
    this.#losses = {
      stream_full: this.#createReporter("stream_full"),
      refused: this.#createReporter("refused"),
      queue_full: this.#createReporter("queue_full"),
      ended: this.#createReporter("ended"),
    };
  }

  announce(detections: readonly Detection[], origin: BatchOrigin): void {
    for (const detection of announceOrder(detections)) {
      const announcement = this.#create(detection, origin);
      if (announcement) this.#queue.push(announcement);
    }
  }

  push(announcement: Announcement): void {
    this.#queue.push(announcement);
  }

  /** Resolves when all is stored; the caller bounds the wait. */
  close(): Promise<void> {
    return this.#queue.close();
  }

  /** Undefined for a block that has ended already: a replay of old attempts, a slow clock or a lag can decide one. */
  #create(detection: Detection, origin: BatchOrigin): Announcement | undefined {
    const { instance, telemetry, rules } = this.#options;
    const { rule, action, quietUntilUs } = detection;
    const windowSeconds = rules[rule].windowUs / 1e6;
    const context = { ...origin, decidedBy: `detector/${instance}`, windowSeconds };
    let held: Announcement | undefined;
    const onStored = () =>
      telemetry.announced(held ? { ...detection, action: "alert" } : detection);
    const createOfAlert = () => createAlertAnnouncement(createAlert(detection, context), onStored);
    if (action === "alert") {
      if (rules[rule].action === "block") this.#options.breaker.noteHeld(Date.now() * 1000);
      return createOfAlert();
    }
    const nowUs = Date.now() * 1000;
    if (quietUntilUs < nowUs) {
      this.#lose("ended");
      return undefined;
    }
    const verdict = createVerdict(detection, context);
    const subject = verdictSubject(parsePrefix(verdict.source));
    return {
      subject,
      decidedAfter: this.#options.lastVerdicts.sequenceOf(subject),
      payload: encodeVerdict(verdict),
      messageId: verdict.id,
      ttlSeconds: verdictTtlSeconds(verdict, {
        nowUs,
        longestWindowSeconds: this.#longestWindowSeconds,
        memorySeconds: this.#memorySeconds,
      }),
      onStored,
      onRefused: () => this.#forget(detection),
      whenHeld: () => {
        if (held || !this.#options.breaker.isOpen) return held;
        this.#hold(detection);
        held = createOfAlert();
        return held;
      },
    };
  }

  /** A block that is held back must not keep its source quiet; here, its next one counts as the first. */
  #hold({ sourceKey, event }: Detection): void {
    const { detector, breaker } = this.#options;
    detector.applyVerdict({ kind: "unblock", sourceKey, issuedUs: event.timeUs });
    breaker.noteHeld(Date.now() * 1000);
  }

  /** True where it is stored by this, false where somebody else was first. */
  async #store(announcement: Announcement): Promise<boolean> {
    const chosen = announcement.whenHeld?.() ?? announcement;
    if (chosen.decidedAfter !== undefined) return this.#storeBlock(chosen, chosen.decidedAfter);
    try {
      return await this.#publish(chosen, chosen.lastSubjectSequence);
    } catch (error) {
      // Another detector, or an operator, was first.
      if (!isOvertaken(error)) throw error;
      return false;
    }
  }

  /**
   * A detector that was frozen, or lags, may not have read yet that its source was unblocked meanwhile, and nobody drops
   * a verdict that nobody has stored before. So a block takes no other place than the one that was known; what came in
   * between is read soon, and then this one is tried again, or not needed any more.
   */
  async #storeBlock(block: Announcement, decidedAfter: number): Promise<boolean> {
    const { lastVerdicts } = this.#options;
    if (lastVerdicts.isDecidedSince(block.subject, decidedAfter)) return false;
    try {
      return await this.#publish(block, lastVerdicts.sequenceOf(block.subject));
    } catch (error) {
      if (!isOvertaken(error)) throw error;
      // Also where a verdict or its mark has left the list without a word.
      return this.#publish(block, 0);
    }
  }

  async #publish(announcement: Announcement, lastSubjectSequence?: number): Promise<boolean> {
    const { subject, payload, messageId, ttlSeconds } = announcement;
    const expected = lastSubjectSequence === undefined ? {} : { lastSubjectSequence };
    const options = { messageId, ttlSeconds, ...expected };
    const { duplicate } = await publishAcknowledged(this.#options.bus, subject, payload, options);
    return !duplicate;
  }

  /** Nobody blocks the source: after a while it counts anew. */
  #forget({ sourceKey, event }: Detection): void {
    const issuedUs = event.timeUs + REFUSED_QUIET_US;
    this.#options.detector.applyVerdict({ kind: "unblock", sourceKey, issuedUs });
  }

  #createQueue(): AnnouncementQueue {
    const { bus, telemetry, logger } = this.#options;
    return new AnnouncementQueue({
      // Who was first, where a try went unanswered, is most likely that try.
      publish: async (announcement) =>
        (await this.#store(announcement)) || this.#unanswered.has(announcement),
      judge: (error) => {
        // A bus that was closed takes nothing any more.
        if (!(error instanceof BusError) || bus.connection.isClosed()) return "refused";
        if (error.code === "STREAM_FULL") return "stream_full";
        return error.retryable || isOvertaken(error) ? "again" : "refused";
      },
      onFailed: (announcement, error) => {
        if (!isOvertaken(error)) {
          telemetry.failed();
          this.#unanswered.add(announcement);
        }
        logger.debug(
          { subject: announcement.subject, cause: (error as Error).message },
          "publishing failed; trying again",
        );
      },
      onDropped: ({ onRefused }, reason) => {
        this.#lose(reason);
        onRefused();
      },
    });
  }

  #lose(reason: LossReason): void {
    this.#options.telemetry.dropped(reason);
    this.#losses[reason].add(1);
  }

  #createReporter(reason: LossReason): LossReporter {
    const { logger } = this.#options;
    return new LossReporter({
      warn: (fields, message) => logger.error(fields, message),
      message: lossMessages[reason],
      unit: "announcements",
      now: Date.now,
    });
  }
}

function createAlertAnnouncement(alert: Alert, onStored: () => void): Announcement {
  return {
    subject: alertSubject(alert.rule, parsePrefix(alert.source)),
    payload: encodeAlert(alert),
    messageId: alert.id,
    ttlSeconds: 0,
    onStored,
    onRefused: () => undefined,
  };
}
