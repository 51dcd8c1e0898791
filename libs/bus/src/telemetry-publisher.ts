import { encodeTelemetry, telemetrySubject, type TelemetryMetric } from "@packetwatch/contracts";
import type { Registry } from "prom-client";
import type { Bus } from "./connect-bus.ts";
import type { Logger } from "./logger.ts";

export const TELEMETRY_INTERVAL_MS = 1000;

export type TelemetryPublisherOptions = {
  readonly bus: Bus;
  readonly service: string;
  readonly instance: string;
  readonly host: string;
  readonly registry: Registry;
  readonly logger: Logger;
};

/** Publishes a registry once a second, and a last time when it is closed. */
export class TelemetryPublisher {
  readonly #options: TelemetryPublisherOptions;
  readonly #timer: NodeJS.Timeout;
  #publishing: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: TelemetryPublisherOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#publishUnlessBusy(), TELEMETRY_INTERVAL_MS);
    this.#publishUnlessBusy();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#publishing;
    await this.#publish();
  }

  // Where metrics take longer than the interval to collect, the next interval does.
  #publishUnlessBusy(): void {
    this.#publishing ??= this.#publish().finally(() => {
      this.#publishing = undefined;
    });
  }

  async #publish(): Promise<void> {
    const { bus, service, instance, host, registry, logger } = this.#options;
    // What was published while NATS was away would be stale by its return.
    if (!bus.isConnected()) return;
    try {
      const metrics = (await registry.getMetricsAsJSON()) as unknown as TelemetryMetric[];
      const sentUs = Date.now() * 1000;
      const message = { version: 1, service, instance, host, sentUs, metrics } as const;
      bus.connection.publish(telemetrySubject(service, instance), encodeTelemetry(message));
    } catch (error) {
      logger.error({ cause: (error as Error).message }, "telemetry was not published");
    }
  }
}
