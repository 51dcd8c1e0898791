/** Metrics publishes its own telemetry every second, so silence means that the subscription doesn't work. */
const SILENCE_MS = 5000;

/** Everybody publishes once a second: after two, each instance that lives has been heard. */
export const FIRST_ROUND_MS = 2000;

/** When the first and the last telemetry came; undefined: none yet. */
export type Heard = {
  readonly firstHeardMs: number | undefined;
  readonly heardMs: number | undefined;
};

export type ReadinessOptions = {
  readonly heard: Heard;
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

  /**
   * Everybody has had time to be heard. Before, a sum over those who were would be less than
   * before a restart of metrics, and Prometheus would take its way up for growth.
   */
  get isComplete(): boolean {
    const { firstHeardMs } = this.#options.heard;
    return firstHeardMs !== undefined && this.#options.now() - firstHeardMs >= FIRST_ROUND_MS;
  }

  /** Why metrics isn't ready; undefined: it is. */
  whyNot(): string | undefined {
    if (!this.#connection) return "not connected to NATS yet (PW_NATS_URL)";
    if (!this.#connection.isConnected()) return "the connection to NATS is lost; reconnecting";
    const { heardMs } = this.#options.heard;
    if (heardMs === undefined) return "connected to NATS, no telemetry heard yet";
    const silentMs = this.#options.now() - heardMs;
    if (silentMs > SILENCE_MS) return `no telemetry heard for ${Math.floor(silentMs / 1000)} s`;
    return this.isComplete ? undefined : "hearing the fleet for the first time";
  }
}
