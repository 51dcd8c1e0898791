import type { Bus } from "@packetwatch/bus";
import { type Applied, decodeAppliedOn, subjects } from "@packetwatch/contracts";
import { Rejections } from "../tail/rejections.ts";

/** What a host did with a verdict. `idle`: no interface is watched there yet, so it changed nothing. */
export type EffectKind = "done" | "spared" | "failed" | "idle";
const kinds = ["done", "spared", "failed", "idle"] as const;

/** What one host did with all verdicts. */
export type HostEffect = {
  readonly host: string;
  readonly counts: Readonly<Record<EffectKind, number>>;
  /** performance.now() of its last word. */
  readonly lastMs: number;
};

/** Follows what hosts do with some verdicts. Takes a byte for each verdict and host. */
export class EffectWatch {
  readonly #indexes: ReadonlyMap<string, number>;
  readonly #rejections = new Rejections();
  readonly #hosts = new Map<string, { seen: Uint8Array; effect: MutableEffect }>();
  readonly #close: () => void;

  constructor(bus: Pick<Bus, "connection">, verdictIds: readonly string[]) {
    this.#indexes = new Map(verdictIds.map((id, index) => [id, index]));
    const subscription = bus.connection.subscribe(subjects.everyApplied, {
      callback: (error, message) => {
        if (!error) this.#take(message.subject, message.data, performance.now());
      },
    });
    this.#close = () => subscription.unsubscribe();
  }

  get hosts(): readonly HostEffect[] {
    return [...this.#hosts.values()].map(({ effect }) => effect);
  }

  /** Whether the host has said what it did with each verdict. */
  isComplete(host: string): boolean {
    const counts = this.#hosts.get(host)?.effect.counts;
    return counts !== undefined && sumOf(counts) === this.#indexes.size;
  }

  close(): void {
    this.#close();
  }

  #take(subject: string, payload: Uint8Array, nowMs: number): void {
    const applied = this.#rejections.orCount(() => decodeAppliedOn(subject, payload));
    const index = applied && this.#indexes.get(applied.verdictId);
    if (applied === undefined || index === undefined) return;
    const { seen, effect } = this.#of(applied.host);
    if (seen[index] === 1) return;
    seen[index] = 1;
    effect.counts[kindOf(applied)]++;
    effect.lastMs = nowMs;
  }

  #of(host: string) {
    const known = this.#hosts.get(host);
    if (known) return known;
    const counts = { done: 0, spared: 0, failed: 0, idle: 0 };
    const created = {
      seen: new Uint8Array(this.#indexes.size),
      effect: { host, counts, lastMs: 0 },
    };
    this.#hosts.set(host, created);
    return created;
  }
}

type MutableEffect = {
  readonly host: string;
  readonly counts: Record<EffectKind, number>;
  lastMs: number;
};

function kindOf({ action, interfaces }: Applied): EffectKind {
  if (action === "failed" || action === "spared") return action;
  return interfaces.length === 0 ? "idle" : "done";
}

function sumOf(counts: Readonly<Record<EffectKind, number>>): number {
  return kinds.reduce((sum, kind) => sum + counts[kind], 0);
}
