import { type Service, ServiceError, type ServiceMsg, Svcm } from "@nats-io/services";
import type { Bus } from "./connect-bus.ts";
import type { Logger } from "./logger.ts";

/** What close() gives a server that doesn't answer. */
const STOP_TIMEOUT_MS = 500;
/** A value of the metadata is cut to so many characters: an answer stays far below NATS's 1 MiB. */
const MAX_METADATA_CHARACTERS = 4096;

/** A value as it is now, asked for whenever somebody asks for the service. */
export type MetadataValue = string | (() => string);

/**
 * A request that the service answers. `handle` is synchronous: it reads what the service has in memory or in its
 * maps, and must not wait. What it throws becomes the error headers of the answer, and counts as the endpoint's error.
 */
export type ServiceEndpoint = {
  /** Letters, digits, `-` and `_`. */
  readonly name: string;
  readonly subject: string;
  /** Takes the request's payload, gives the answer's; both are bytes of NATS messages, 1 MiB at most. */
  readonly handle: (payload: Uint8Array) => Uint8Array;
};

export type ServiceRegistrationOptions = {
  readonly bus: Bus;
  /** As `nats micro ls` shows it: letters, digits, `-` and `_`. */
  readonly name: string;
  /** Semantic. */
  readonly version: string;
  readonly description: string;
  readonly metadata: Readonly<Record<string, MetadataValue>>;
  readonly endpoints?: readonly ServiceEndpoint[];
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
    const { bus, name, version, description, metadata, endpoints = [], logger } = this.#options;
    try {
      const service = await new Svcm(bus.connection).add({
        name,
        version,
        description,
        metadata: liveMetadata(metadata),
        // Each instance answers for itself: in a queue group one of them would answer for all.
        queue: "",
      });
      for (const endpoint of endpoints) addEndpoint(service, endpoint);
      return service;
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

function addEndpoint(service: Service, { name, subject, handle }: ServiceEndpoint): void {
  service.addEndpoint(name, {
    subject,
    queue: "",
    handler: (error, message) => {
      // The client closes the service for such an error, and that is logged.
      if (error === null) answer(message, handle);
    },
  });
}

/** The client counts what is thrown here, and answers with it. */
function answer(message: ServiceMsg, handle: ServiceEndpoint["handle"]): void {
  let payload: Uint8Array;
  try {
    payload = handle(message.data);
  } catch (cause) {
    throw new ServiceError(500, (cause as Error).message);
  }
  message.respond(payload);
}

async function withinMs(promise: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([Promise.allSettled([promise]), late]);
  clearTimeout(timer);
}
