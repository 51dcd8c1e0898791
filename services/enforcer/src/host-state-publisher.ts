import type { Bus } from "@packetwatch/bus";
import {
  bucketSubject,
  buckets,
  encodeHostState,
  HOST_STATE_INTERVAL_MS,
  hostKey,
  type HostState,
} from "@packetwatch/contracts";

/** Tells the fleet once a second, and at every change, what this host holds in its kernel. */
export class HostStatePublisher {
  readonly #bus: Bus;
  readonly #read: () => HostState;
  readonly #timer: NodeJS.Timeout;

  constructor(bus: Bus, read: () => HostState) {
    this.#bus = bus;
    this.#read = read;
    this.#timer = setInterval(() => this.publish(), HOST_STATE_INTERVAL_MS);
  }

  /** Without acknowledgement: the next word comes in a second. */
  publish(): void {
    if (!this.#bus.isConnected()) return;
    const state = this.#read();
    this.#bus.connection.publish(
      bucketSubject(buckets.hosts, hostKey(state.host)),
      encodeHostState(state),
    );
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
