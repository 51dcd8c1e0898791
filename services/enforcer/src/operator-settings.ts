import {
  type AllowEntry,
  ContractError,
  type ContractErrorCode,
  decodeAllowEntry,
  decodeEnforcement,
  type Enforcement,
} from "@packetwatch/contracts";
import { parsePrefix, type Prefix } from "@packetwatch/net";

/** A message of a bucket. */
export type SettingMessage = {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly sequence: number;
  readonly markerReason: string | undefined;
};

export type SettingRejected = (reason: ContractErrorCode, error: ContractError) => void;

type Held<T> = {
  readonly values: Map<string, { readonly value: T; readonly sequence: number }>;
  sequence: number;
};

/** The last value of each key of a bucket; bounded by the bucket. */
export class BucketValues<T> {
  readonly #decode: (payload: Uint8Array) => T;
  readonly #onRejected: SettingRejected;
  #held = createHeld<T>();
  /** What has come since a restart. */
  #fresh: Held<T> | undefined;

  constructor(decode: (payload: Uint8Array) => T, onRejected: SettingRejected) {
    this.#decode = decode;
    this.#onRejected = onRejected;
  }

  /** The last change that was taken in; 0 before the first, and while all is read again. */
  get sequence(): number {
    return this.#fresh === undefined ? this.#held.sequence : 0;
  }

  values(): Iterable<{ readonly value: T; readonly sequence: number }> {
    return this.#held.values.values();
  }

  take({ subject, payload, sequence, markerReason }: SettingMessage): void {
    const held = this.#fresh ?? this.#held;
    held.sequence = sequence;
    if (markerReason !== undefined) {
      held.values.delete(subject);
      return;
    }
    const value = this.#decodeOrReject(payload);
    // A key that was set to nonsense holds nothing, and not what it held before.
    if (value === undefined) held.values.delete(subject);
    else held.values.set(subject, { value, sequence });
  }

  /** All that the bucket holds comes again: until finish(), what was held goes on to hold. */
  restart(): void {
    this.#fresh = createHeld();
  }

  /** All has come: what didn't come again is no longer held. */
  finish(): void {
    this.#held = this.#fresh ?? this.#held;
    this.#fresh = undefined;
  }

  #decodeOrReject(payload: Uint8Array): T | undefined {
    try {
      return this.#decode(payload);
    } catch (error) {
      if (!(error instanceof ContractError)) throw error;
      this.#onRejected(error.code, error);
      return undefined;
    }
  }
}

function createHeld<T>(): Held<T> {
  return { values: new Map(), sequence: 0 };
}

export type OperatorSettings = {
  readonly allowlist: BucketValues<AllowEntry>;
  readonly enforcement: BucketValues<Enforcement>;
};

export function createOperatorSettings(onRejected: SettingRejected): OperatorSettings {
  return {
    allowlist: new BucketValues(decodeAllowEntry, onRejected),
    enforcement: new BucketValues(decodeEnforcement, onRejected),
  };
}

/** What operators allow at a time. */
export function allowedByOperators(
  { allowlist }: OperatorSettings,
  nowUs: number,
): readonly Prefix[] {
  return Array.from(allowlist.values())
    .filter(({ value }) => value.expiresUs === null || value.expiresUs > nowUs)
    .map(({ value }) => parsePrefix(value.prefix));
}

export type EnforcementDecision = {
  /** undefined: what PW_ENFORCE says. */
  readonly set: "on" | "off" | undefined;
  readonly setBy: "variable" | "host" | "fleet";
  /** When the trial that holds now ends by itself, and what holds then. */
  readonly untilUs: number | undefined;
  readonly setAfter: "on" | "off" | undefined;
};

/** Of all settings that concern the host and are not over, the one that was stored last holds. */
export function decideEnforcement(
  { enforcement }: Pick<OperatorSettings, "enforcement">,
  { host, nowUs }: { readonly host: string; readonly nowUs: number },
): EnforcementDecision {
  const newestFirst = Array.from(enforcement.values())
    .filter(({ value }) => value.host === null || value.host === host)
    .toSorted((a, b) => b.sequence - a.sequence)
    .map(({ value }) => value);
  const now = newestFirst.find(({ untilUs }) => untilUs === null || untilUs > nowUs);
  const untilUs = now?.untilUs ?? undefined;
  const isAfter = (setting: Enforcement) =>
    setting.untilUs === null || setting.untilUs > (untilUs ?? nowUs);
  return {
    set: settingOf(now),
    setBy: now === undefined || now.enforce === "default" ? "variable" : scopeOf(now),
    untilUs,
    setAfter: settingOf(newestFirst.find(isAfter)),
  };
}

function settingOf(setting: Enforcement | undefined): "on" | "off" | undefined {
  return setting === undefined || setting.enforce === "default" ? undefined : setting.enforce;
}

function scopeOf({ host }: Enforcement): "host" | "fleet" {
  return host === null ? "fleet" : "host";
}
