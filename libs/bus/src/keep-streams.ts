import type { StreamSpec } from "@packetwatch/contracts";
import type { Bus } from "./connect-bus.ts";
import type { Logger } from "./logger.ts";
import { provisionStreams } from "./provision-streams.ts";

export type KeepStreamsOptions = {
  readonly bus: Bus;
  readonly specs: readonly StreamSpec[];
  readonly logger: Logger;
  readonly signal?: AbortSignal;
};

/**
 * Provisions the streams now, which may wait for JetStream and throws BusError
 * where it refuses, and after every reconnect until it is closed: a server that
 * was restarted has no memory streams.
 */
export async function keepStreams(options: KeepStreamsOptions): Promise<{ close(): void }> {
  const { bus, specs, logger, signal } = options;
  await provisionStreams(bus, specs, { logger, ...(signal ? { signal } : {}) });
  let abort = new AbortController();
  const provisionAgain = async (signal: AbortSignal) => {
    try {
      await provisionStreams(bus, specs, { logger, signal });
    } catch (error) {
      // Nobody waits for them after close(), and another reconnect begins anew.
      if (signal.aborted) return;
      logger.error({ cause: (error as Error).message }, "the streams were not provisioned");
    }
  };
  const unsubscribe = bus.onReconnect(() => {
    abort.abort();
    abort = new AbortController();
    void provisionAgain(abort.signal);
  });
  return {
    close: () => {
      unsubscribe();
      abort.abort();
    },
  };
}
