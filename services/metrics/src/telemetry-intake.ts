import type { Bus } from "@packetwatch/bus";
import {
  ContractError,
  type ContractErrorCode,
  decodeTelemetry,
  subjects,
  telemetrySubject,
} from "@packetwatch/contracts";
import type { TelemetryAggregator } from "./core/aggregator.ts";

/** How long a refused subscription waits for its next try. */
const RESUBSCRIBE_MS = 5000;
/** How long messages are gathered: to take them in together costs half of what it costs one by one, with cold caches. */
export const GATHER_MS = 250;
/** So many aren't waited for. */
export const MAX_GATHERED = 1024;

export type MessageRejection = ContractErrorCode | "unknown_service" | "no_room";

export type RejectedMessage = {
  readonly reason: MessageRejection;
  readonly subject: string;
  readonly detail: string;
};

export type TelemetryIntakeOptions = {
  readonly aggregator: TelemetryAggregator;
  readonly now: () => number;
  readonly onAccepted: () => void;
  readonly onRejected: (rejection: RejectedMessage) => void;
};

/** Takes telemetry messages in, and remembers when the last one came. */
export class TelemetryIntake {
  readonly #options: TelemetryIntakeOptions;
  #firstHeardMs: number | undefined;
  #heardMs: number | undefined;

  constructor(options: TelemetryIntakeOptions) {
    this.#options = options;
  }

  /** When the last message came, good or bad; undefined: none yet. */
  get heardMs(): number | undefined {
    return this.#heardMs;
  }

  /** When the first message came; undefined: none yet. */
  get firstHeardMs(): number | undefined {
    return this.#firstHeardMs;
  }

  take(subject: string, payload: Uint8Array): void {
    this.#heardMs = this.#options.now();
    this.#firstHeardMs ??= this.#heardMs;
    this.#takeAsOf(subject, payload, this.#heardMs);
  }

  /** Takes a message in that was published a while ago; oldest first, and before any that is new. */
  recall(subject: string, payload: Uint8Array, agoMs: number): void {
    this.#takeAsOf(subject, payload, this.#options.now() - agoMs);
  }

  #takeAsOf(subject: string, payload: Uint8Array, heardMs: number): void {
    const { onAccepted, onRejected } = this.#options;
    try {
      const rejection = this.#ingest(subject, payload, heardMs);
      if (rejection) onRejected(rejection);
      else onAccepted();
    } catch (error) {
      if (!(error instanceof ContractError)) throw error;
      onRejected({ reason: error.code, subject, detail: error.message });
    }
  }

  #ingest(subject: string, payload: Uint8Array, nowMs: number): RejectedMessage | undefined {
    const telemetry = decodeTelemetry(payload);
    // NATS permits subjects, so the subject is what the sender may speak for.
    if (telemetrySubject(telemetry.service, telemetry.instance) !== subject) {
      return { reason: "wrong_subject", subject, detail: "it claims to be of another instance" };
    }
    const outcome = this.#options.aggregator.ingest(telemetry, nowMs);
    return outcome === "accepted"
      ? undefined
      : { reason: outcome, subject, detail: details[outcome] };
  }
}

const details = {
  unknown_service: "it is of no service of this version",
  no_room: "too many instances",
} as const;

type Subscription = ReturnType<Bus["connection"]["subscribe"]>;

type Message = { readonly subject: string; readonly data: Uint8Array };

export type SubscribeOptions = {
  readonly bus: Bus;
  readonly intake: TelemetryIntake;
  /** NATS refused the subscription or ended it; it is tried again. */
  readonly onRefused: (error: Error) => void;
};

/** Feeds the intake from NATS until it is closed; a lost connection changes nothing about it. */
export class TelemetrySubscription {
  readonly #options: SubscribeOptions;
  readonly #gathered: Message[] = [];
  #subscription: Subscription;
  #delivery: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: SubscribeOptions) {
    this.#options = options;
    this.#subscription = this.#subscribe();
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#subscription.unsubscribe();
    this.#deliver();
  }

  #subscribe(): Subscription {
    return this.#options.bus.connection.subscribe(subjects.everyTelemetry, {
      callback: (error, message) => {
        if (error) this.#retryLater(error);
        else this.#gather(message);
      },
    });
  }

  #gather({ subject, data }: Message): void {
    this.#gathered.push({ subject, data });
    if (this.#gathered.length >= MAX_GATHERED) this.#deliver();
    else this.#delivery ??= setTimeout(() => this.#deliver(), GATHER_MS);
  }

  #deliver(): void {
    clearTimeout(this.#delivery);
    this.#delivery = undefined;
    for (const { subject, data } of this.#gathered.splice(0)) {
      this.#options.intake.take(subject, data);
    }
  }

  #retryLater(error: Error): void {
    this.#options.onRefused(error);
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#subscription = this.#subscribe();
    }, RESUBSCRIBE_MS);
  }
}
