import { type Bus, BusError, publishAcknowledged } from "@packetwatch/bus";
import {
  bucketSubject,
  buckets,
  encodeHostState,
  HOST_STATE_INTERVAL_MS,
  hostKey,
  type HostState,
} from "@packetwatch/contracts";
import type { Logger } from "@packetwatch/runtime";

export type HostStatePublisherOptions = {
  readonly bus: Bus;
  readonly read: () => HostState;
  readonly logger: Logger;
};

/** Tells the fleet once a second, at every change, and when NATS is back, what this host holds in its kernel. */
export class HostStatePublisher {
  readonly #options: HostStatePublisherOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #unsubscribe: () => void;

  constructor(options: HostStatePublisherOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.publish(), HOST_STATE_INTERVAL_MS);
    this.#unsubscribe = options.bus.onReconnect(() => this.publish());
  }

  /** Without acknowledgement: the next word comes in a second. */
  publish(): void {
    const { bus } = this.#options;
    if (!bus.isConnected()) return;
    const { subject, payload } = this.#word();
    bus.connection.publish(subject, payload);
  }

  /**
   * Resolves when the word is stored: from then on every command knows this host. Where it can't be, because nobody
   * has made the list yet or NATS is away again, the host works all the same, and its next word follows.
   */
  async announce(): Promise<void> {
    const { bus, logger } = this.#options;
    const { subject, payload } = this.#word();
    try {
      await publishAcknowledged(bus, subject, payload);
    } catch (error) {
      if (!(error instanceof BusError)) throw error;
      logger.warn({ cause: error.message }, "the host is not in the fleet's list yet");
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#unsubscribe();
  }

  #word() {
    const state = this.#options.read();
    const subject = bucketSubject(buckets.hosts, hostKey(state.host));
    return { subject, payload: encodeHostState(state) };
  }
}
