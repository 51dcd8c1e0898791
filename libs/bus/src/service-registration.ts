import { type Service, Svcm } from "@nats-io/services";
import type { Bus } from "./connect-bus.ts";
import type { Logger } from "./logger.ts";

/** What close() gives a server that doesn't answer. */
const STOP_TIMEOUT_MS = 500;
/** A value of the metadata is cut to so many characters: an answer stays far below NATS's 1 MiB. */
const MAX_METADATA_CHARACTERS = 4096;

/** A value as it is now, asked for whenever somebody asks for the service. */
export type MetadataValue = string | (() => string);

export type ServiceRegistrationOptions = {
  readonly bus: Bus;
  /** As `nats micro ls` shows it: letters, digits, `-` and `_`. */
  readonly name: string;
  /** Semantic. */
  readonly version: string;
  readonly description: string;
  readonly metadata: Readonly<Record<string, MetadataValue>>;
  readonly logger: Logger;
};

/**
 * Tells NATS's services framework (`$SRV.PING`, `.INFO`, `.STATS`) that this instance is there, until it is closed or
 * the bus is, through every reconnect. Nothing else of the service depends on it: where permissions refuse its
 * subjects the bus logs that, and the next connection asks for them again.
 */
export class ServiceRegistration {
  readonly #options: ServiceRegistrationOptions;
  readonly #service: Promise<Service | undefined>;
  #closing: Promise<void> | undefined;

  constructor(options: ServiceRegistrationOptions) {
    this.#options = options;
    this.#service = this.#register();
  }

  /** Ends it: `nats micro ls` doesn't show it any more. */
  close(): Promise<void> {
    this.#closing ??= this.#stop();
    return this.#closing;
  }

  async #register(): Promise<Service | undefined> {
    const { bus, name, version, description, metadata, logger } = this.#options;
    try {
      return await new Svcm(bus.connection).add({
        name,
        version,
        description,
        metadata: liveMetadata(metadata),
        // Each instance answers for itself: in a queue group one of them would answer for all.
        queue: "",
      });
    } catch (error) {
      logger.warn({ name, cause: (error as Error).message }, "the service could not be registered");
      return undefined;
    }
  }

  async #stop(): Promise<void> {
    const stopped = this.#service.then((service) => service?.stop());
    // Without a server there is nobody to tell, and the bus ends the subscriptions in any case.
    if (this.#options.bus.isConnected()) await withinMs(stopped, STOP_TIMEOUT_MS);
  }
}

// The client freezes the object and writes it with each answer: a getter is read anew each time.
function liveMetadata(metadata: Readonly<Record<string, MetadataValue>>): Record<string, string> {
  const live: Record<string, string> = {};
  for (const [key, value] of Object.entries(metadata)) {
    const read = typeof value === "string" ? () => value : value;
    Object.defineProperty(live, key, {
      enumerable: true,
      get: () => read().slice(0, MAX_METADATA_CHARACTERS),
    });
  }
  return live;
}

async function withinMs(promise: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([Promise.allSettled([promise]), late]);
  clearTimeout(timer);
}
