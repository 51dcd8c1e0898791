/** Metrics publishes its own telemetry every second, so silence means that the subscription doesn't work. */
const SILENCE_MS = 5000;

export type ReadinessOptions = {
  /** When the last telemetry came; undefined: none yet. */
  readonly heardMs: () => number | undefined;
  readonly now: () => number;
};

export type Connection = {
  readonly isConnected: () => boolean;
};

/** Whether metrics can do its work: it is connected to NATS and hears telemetry. */
export class Readiness {
  readonly #options: ReadinessOptions;
  #connection: Connection | undefined;

  constructor(options: ReadinessOptions) {
    this.#options = options;
  }

  /** The first connection to NATS is made. */
  connected(connection: Connection): void {
    this.#connection = connection;
  }

  /** Why metrics isn't ready; undefined: it is. */
  whyNot(): string | undefined {
    if (!this.#connection) return "not connected to NATS yet (PW_NATS_URL)";
    if (!this.#connection.isConnected()) return "the connection to NATS is lost; reconnecting";
    const heardMs = this.#options.heardMs();
    if (heardMs === undefined) return "connected to NATS, no telemetry heard yet";
    const silentMs = this.#options.now() - heardMs;
    return silentMs > SILENCE_MS
      ? `no telemetry heard for ${Math.floor(silentMs / 1000)} s`
      : undefined;
  }
}
