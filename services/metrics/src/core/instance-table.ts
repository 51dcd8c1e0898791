import { createHash } from "node:crypto";
import type { MetricService } from "@packetwatch/telemetry";
import type { Series } from "./read-series.ts";
import type { CountedSeries } from "./totals.ts";

/** An instance that has been silent for this long has departed. */
export const DEPARTED_AFTER_MS = 10_000;

/** Bytes of a merged instance's name that are kept: enough that two names never meet. */
const DIGEST_BYTES = 16;

export type GaugeSeries = Series & { readonly name: string };

/** What one instance has counted when last heard, and its gauges. */
export type Instance = {
  readonly service: MetricService;
  readonly host: string;
  /** By series key. */
  readonly counters: Map<string, CountedSeries>;
  gauges: ReadonlyMap<string, GaugeSeries>;
  heardMs: number;
  /** Was merged, and has come back: the counts of its first message are in the totals already. */
  isReturning: boolean;
};

export type InstanceTableLimits = {
  readonly maxInstances: number;
  readonly maxMergedNames: number;
};

/**
 * The instances that are told apart, in the order in which they were last
 * heard. One that must make room is merged: its counts stay in the totals,
 * and only a digest of its name is kept, so that it can't be counted twice.
 */
export class InstanceTable {
  readonly #limits: InstanceTableLimits;
  readonly #instances = new Map<string, Instance>();
  readonly #merged = new Set<string>();
  /** Instances merged so far, and merged ones whose name was given up. */
  merged = 0;
  forgotten = 0;

  constructor(limits: InstanceTableLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#instances.size;
  }

  values(): Iterable<Instance> {
    return this.#instances.values();
  }

  get(id: string): Instance | undefined {
    return this.#instances.get(id);
  }

  get isFull(): boolean {
    return this.#instances.size >= this.#limits.maxInstances;
  }

  add(id: string, origin: Pick<Instance, "service" | "host">, nowMs: number): Instance {
    const instance = {
      ...origin,
      counters: new Map(),
      gauges: new Map(),
      heardMs: nowMs,
      isReturning: this.#merged.delete(digest(id)),
    };
    this.#instances.set(id, instance);
    return instance;
  }

  /** Makes it the one that was heard last. */
  touch(id: string, instance: Instance, nowMs: number): void {
    this.#instances.delete(id);
    this.#instances.set(id, instance);
    instance.heardMs = nowMs;
  }

  /** Gives up the instance that departed first, and returns it; undefined where none has departed. */
  mergeOldest(nowMs: number): Instance | undefined {
    const [oldest] = this.#instances;
    if (!oldest || isLive(oldest[1], nowMs)) return undefined;
    const [id, instance] = oldest;
    this.#instances.delete(id);
    this.#merged.add(digest(id));
    this.merged++;
    this.#forgetNames();
    return instance;
  }

  #forgetNames(): void {
    if (this.#merged.size <= this.#limits.maxMergedNames) return;
    const [oldest] = this.#merged;
    if (oldest !== undefined) this.#merged.delete(oldest);
    this.forgotten++;
  }
}

export function isLive(instance: Instance, nowMs: number): boolean {
  return nowMs - instance.heardMs <= DEPARTED_AFTER_MS;
}

function digest(id: string): string {
  return createHash("sha256")
    .update(id)
    .digest("base64url")
    .slice(0, (DIGEST_BYTES * 4) / 3);
}
