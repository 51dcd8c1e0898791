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

/** The last value of each key of a bucket; bounded by the bucket. */
export class BucketValues<T> {
  readonly #decode: (payload: Uint8Array) => T;
  readonly #onRejected: SettingRejected;
  readonly #values = new Map<string, { readonly value: T; readonly sequence: number }>();
  #sequence = 0;
  #isStale = false;

  constructor(decode: (payload: Uint8Array) => T, onRejected: SettingRejected) {
    this.#decode = decode;
    this.#onRejected = onRejected;
  }

  /** The last change that was taken in; 0 before the first. */
  get sequence(): number {
    return this.#sequence;
  }

  values(): Iterable<{ readonly value: T; readonly sequence: number }> {
    return this.#values.values();
  }

  take({ subject, payload, sequence, markerReason }: SettingMessage): void {
    if (this.#isStale) this.#values.clear();
    this.#isStale = false;
    this.#sequence = sequence;
    if (markerReason !== undefined) {
      this.#values.delete(subject);
      return;
    }
    const value = this.#decodeOrReject(payload);
    // A key that was set to nonsense holds nothing, and not what it held before.
    if (value === undefined) this.#values.delete(subject);
    else this.#values.set(subject, { value, sequence });
  }

  /**
   * The bucket was made anew: what is held goes with the first message. One that
   * never held anything says nothing, as NATS's that has lost its disk.
   */
  restart(): void {
    this.#isStale = true;
    this.#sequence = 0;
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
