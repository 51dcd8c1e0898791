import type { Logger } from "@packetwatch/runtime";
import type { Sensor } from "./open-sensor.ts";

const LOOK_INTERVAL_MS = 1000;

export type AttachmentKeeperOptions = {
  readonly sensors: readonly Pick<Sensor, "interfaceName" | "attachment">[];
  readonly logger: Logger;
  /** An interface can't be attached to: the service has to begin anew. */
  readonly onError: (error: unknown) => void;
};

/** Looks once a second whether each interface still is the one that the program was attached to. */
export class AttachmentKeeper {
  readonly #options: AttachmentKeeperOptions;
  readonly #gone = new Set<string>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: AttachmentKeeperOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), LOOK_INTERVAL_MS);
  }

  /** Why not every interface is watched; undefined: all are. */
  whyNotWatching(): string | undefined {
    return this.#gone.size === 0 ? undefined : `no interface ${[...this.#gone].join(", ")}`;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    try {
      for (const sensor of this.#options.sensors) this.#keep(sensor);
    } catch (error) {
      this.close();
      this.#options.onError(error);
    }
  }

  #keep({ interfaceName, attachment }: Pick<Sensor, "interfaceName" | "attachment">): void {
    const { logger } = this.#options;
    const outcome = attachment.keep();
    if (outcome === "gone") return this.#mentionGone(interfaceName);
    this.#gone.delete(interfaceName);
    if (outcome === "kept") return;
    const fields = { interface: interfaceName, mode: attachment.mode };
    logger.warn(fields, "the interface was made anew; the program is attached again");
  }

  #mentionGone(interfaceName: string): void {
    if (this.#gone.has(interfaceName)) return;
    this.#gone.add(interfaceName);
    const fields = { interface: interfaceName };
    this.#options.logger.warn(fields, "the interface has gone; waiting for it to come back");
  }
}
