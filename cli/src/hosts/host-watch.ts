import { setTimeout as delay } from "node:timers/promises";
import { type Bus, readStreamState } from "@packetwatch/bus";
import {
  bucketStream,
  buckets,
  decodeHostStateOn,
  everyKey,
  HOST_STATE_INTERVAL_MS,
  type HostState,
} from "@packetwatch/contracts";
import { readLastMessages } from "../fleet/read-snapshot.ts";
import { Rejections } from "../tail/rejections.ts";
import type { Effect, SilentHost } from "./effect.ts";

/** A host that has missed three words is silent. */
const SILENT_AFTER_MS = HOST_STATE_INTERVAL_MS * 3.5;
/** In a list that is older, everybody has spoken who is there, also who had to connect anew. */
const EVERYBODY_SPOKE_MS = HOST_STATE_INTERVAL_MS * 2.5;
const POLL_MS = 1;

/** What a host last said, and when: performance.now(). */
type Heard = { readonly state: HostState; readonly heardMs: number };

/** What a host did with a change; undefined: nothing yet. */
export type Settled = "done" | "full" | "idle" | undefined;

export type UntilOptions = {
  /** performance.now() of the change. */
  readonly startMs: number;
  readonly timeoutMs: number;
  /** One host that the change concerns; default: all. */
  readonly onlyHost?: string | undefined;
};

/** The hosts that have an enforcer, as they last spoke. Those of the last hour are remembered. */
export class HostWatch {
  readonly #rejections = new Rejections();
  /** By subject. */
  readonly #heard = new Map<string, Heard>();
  /** Hosts that were heard since the beginning: from them a word is to be expected, also where it comes late. */
  readonly #expected = new Set<string>();
  readonly #subscription: { unsubscribe(): void };

  private constructor(bus: Bus) {
    this.#subscription = bus.connection.subscribe(everyKey(buckets.hosts), {
      callback: (error, message) => {
        if (!error) this.#hear(message.subject, message.data, performance.now());
      },
    });
  }

  /** Knows nobody at first, and within a second everybody: hosts speak that often. */
  static follow(bus: Bus): HostWatch {
    return new HostWatch(bus);
  }

  /** Knows everybody when it resolves: whose enforcer is ready is in the list. Throws BusError, CliError. */
  static async open(bus: Bus, timeoutMs: number): Promise<HostWatch> {
    const watch = new HostWatch(bus);
    try {
      await bus.connection.flush();
      await watch.#recall(bus, timeoutMs);
      return watch;
    } catch (error) {
      watch.close();
      throw error;
    }
  }

  /** What the hosts that are heard last said, by name. */
  get live(): readonly HostState[] {
    const sinceMs = performance.now() - SILENT_AFTER_MS;
    return this.#inOrder.filter(({ heardMs }) => heardMs >= sinceMs).map(({ state }) => state);
  }

  get liveNames(): readonly string[] {
    return this.live.map(({ host }) => host);
  }

  get silent(): readonly SilentHost[] {
    const nowMs = performance.now();
    return this.#inOrder
      .filter(({ heardMs }) => heardMs < nowMs - SILENT_AFTER_MS)
      .map(({ state, heardMs }) => ({
        host: state.host,
        silentSeconds: Math.round((nowMs - heardMs) / 1000),
      }));
  }

  /** Hosts that are heard, or were since this watch began, by name. */
  get expected(): readonly string[] {
    return [...this.#expected].toSorted();
  }

  /** Waits until every host of whom a word is to be expected has settled the change, or the time is over. */
  async until(
    judge: (state: HostState) => Settled,
    { startMs, timeoutMs, onlyHost }: UntilOptions,
  ): Promise<Effect> {
    const isConcerned = (host: string) => onlyHost === undefined || host === onlyHost;
    const settled = new Map<string, { readonly as: Settled; readonly heardMs: number }>();
    const look = () => {
      for (const { state, heardMs } of this.#heard.values()) {
        const as = settled.has(state.host) ? undefined : judge(state);
        if (as !== undefined && isConcerned(state.host)) settled.set(state.host, { as, heardMs });
      }
      return this.expected.every((host) => settled.has(host) || !isConcerned(host));
    };
    while (!look() && performance.now() < startMs + timeoutMs) await delay(POLL_MS);
    const isOpen = (host: string) => isConcerned(host) && !settled.has(host);
    const hosts = (wanted: Settled) =>
      [...settled].flatMap(([host, { as }]) => (as === wanted ? [host] : [])).toSorted();
    const lastMs = Math.max(startMs, ...[...settled.values()].map(({ heardMs }) => heardMs));
    return {
      done: hosts("done"),
      spared: [],
      full: hosts("full"),
      idle: hosts("idle"),
      late: this.liveNames.filter(isOpen),
      silent: this.silent.filter(({ host }) => isOpen(host)),
      durationMs: Math.round(lastMs - startMs),
      waitedMs: timeoutMs,
    };
  }

  close(): void {
    this.#subscription.unsubscribe();
  }

  get #inOrder(): readonly Heard[] {
    return [...this.#heard.values()].toSorted((a, b) => (a.state.host < b.state.host ? -1 : 1));
  }

  /** What was said before. Ages are by the clock of the server, which has stamped the words. */
  async #recall(bus: Bus, timeoutMs: number): Promise<void> {
    const stream = bucketStream(buckets.hosts);
    const filter = everyKey(buckets.hosts);
    const words = await readLastMessages({ bus, stream, filter, timeoutMs });
    const state = await readStreamState(bus, stream, timeoutMs);
    const serverUs = state?.serverTimeUs ?? Date.now() * 1000;
    const nowMs = performance.now();
    for (const { subject, payload, storedUs } of words) {
      const ageMs = (serverUs - storedUs) / 1000;
      // Who has spoken since the subscription has said something newer.
      if (!this.#heard.has(subject)) this.#hear(subject, payload, nowMs - ageMs);
    }
    // The list is in memory: after a restart of NATS it is new, and those who are there speak again.
    const listAgeMs = (serverUs - (state?.createdUs ?? 0)) / 1000;
    if (listAgeMs < EVERYBODY_SPOKE_MS) await delay(EVERYBODY_SPOKE_MS - listAgeMs);
  }

  #hear(subject: string, payload: Uint8Array, heardMs: number): void {
    if (payload.byteLength === 0) return;
    const state = this.#rejections.orCount(() => decodeHostStateOn(subject, payload));
    if (state === undefined) return;
    this.#heard.set(subject, { state, heardMs });
    if (heardMs >= performance.now() - SILENT_AFTER_MS) this.#expected.add(state.host);
  }
}
