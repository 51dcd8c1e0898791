import { setTimeout as delay } from "node:timers/promises";
import { type Bus, readLastMessages } from "@packetwatch/bus";
import {
  bucketStream,
  buckets,
  decodeHostState,
  everyKey,
  HOST_STATE_INTERVAL_MS,
  type HostState,
} from "@packetwatch/contracts";
import type { SilentHost } from "../fleet/host-roll.ts";
import { Rejections } from "../tail/rejections.ts";

/** A host that has missed two words and a half is not heard. */
const LIVE_MS = HOST_STATE_INTERVAL_MS * 3;
const POLL_MS = 1;

/** What a host last said, and when: performance.now(). */
type Heard = { readonly state: HostState; readonly heardMs: number };

export type Effect = {
  /** Hosts that have done it. */
  readonly hosts: readonly string[];
  /** Hosts that are heard and have not. */
  readonly missing: readonly string[];
  readonly silent: readonly SilentHost[];
  /** From the beginning to the last host's word. */
  readonly durationMs: number;
};

/** The hosts that have an enforcer, as they last spoke. Those of the last hour are remembered. */
export class HostWatch {
  readonly #rejections = new Rejections();
  readonly #heard = new Map<string, Heard>();
  readonly #subscription: { unsubscribe(): void };

  private constructor(bus: Bus) {
    this.#subscription = bus.connection.subscribe(everyKey(buckets.hosts), {
      callback: (error, message) => {
        if (!error) this.#hear(message.data, performance.now());
      },
    });
  }

  /** Knows nobody at first, and within a second everybody: hosts speak that often. */
  static follow(bus: Bus): HostWatch {
    return new HostWatch(bus);
  }

  /** Knows everybody when it resolves. Throws BusError. */
  static async open(bus: Bus, timeoutMs: number): Promise<HostWatch> {
    const watch = new HostWatch(bus);
    try {
      await bus.connection.flush();
      const stream = bucketStream(buckets.hosts);
      const filter = everyKey(buckets.hosts);
      for (const { payload, storedUs } of await readLastMessages(bus, {
        stream,
        filter,
        timeoutMs,
      })) {
        const ageMs = Math.max(0, Date.now() - storedUs / 1000);
        watch.#hear(payload, performance.now() - ageMs);
      }
      return watch;
    } catch (error) {
      watch.close();
      throw error;
    }
  }

  /** What the hosts that are heard last said, by name. */
  get live(): readonly HostState[] {
    const sinceMs = performance.now() - LIVE_MS;
    return this.#inOrder.filter(({ heardMs }) => heardMs >= sinceMs).map(({ state }) => state);
  }

  get silent(): readonly SilentHost[] {
    const nowMs = performance.now();
    return this.#inOrder
      .filter(({ heardMs }) => heardMs < nowMs - LIVE_MS)
      .map(({ state, heardMs }) => ({
        host: state.host,
        silentSeconds: Math.round((nowMs - heardMs) / 1000),
      }));
  }

  /** Waits until every host that is heard says so, or the time is over. */
  async until(
    isDone: (state: HostState) => boolean,
    { startMs, timeoutMs }: { readonly startMs: number; readonly timeoutMs: number },
  ): Promise<Effect> {
    const deadlineMs = startMs + timeoutMs;
    const isOpen = () => this.live.length === 0 || !this.live.every(isDone);
    while (performance.now() < deadlineMs && isOpen()) await delay(POLL_MS);
    const done = this.live.filter(isDone).map(({ host }) => host);
    const lastMs = Math.max(startMs, ...done.map((host) => this.#heard.get(host)?.heardMs ?? 0));
    return {
      hosts: done,
      missing: this.live.filter((state) => !isDone(state)).map(({ host }) => host),
      silent: this.silent,
      durationMs: Math.round(lastMs - startMs),
    };
  }

  close(): void {
    this.#subscription.unsubscribe();
  }

  get #inOrder(): readonly Heard[] {
    return [...this.#heard.values()].toSorted((a, b) => (a.state.host < b.state.host ? -1 : 1));
  }

  #hear(payload: Uint8Array, heardMs: number): void {
    if (payload.byteLength === 0) return;
    const state = this.#rejections.orCount(() => decodeHostState(payload));
    if (state === undefined) return;
    const known = this.#heard.get(state.host);
    if (known === undefined || known.heardMs <= heardMs)
      this.#heard.set(state.host, { state, heardMs });
  }
}
