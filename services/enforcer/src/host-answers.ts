import type { Bus } from "@packetwatch/bus";
import {
  ContractError,
  decodeHostBlocksRequest,
  encodeHostBlocksReply,
  HOST_BLOCKS_VERSION,
  hostBlocksSubject,
} from "@packetwatch/contracts";
import type { Enforcer } from "./enforcer.ts";
import type { EnforcerTelemetry } from "./telemetry.ts";

export type HostAnswersOptions = {
  readonly bus: Bus;
  readonly host: string;
  readonly enforcer: Pick<Enforcer, "inspect" | "interfaces">;
  readonly onRequest: EnforcerTelemetry["onRequest"];
};

/** Answers what this host's block maps hold, until it is closed. */
export class HostAnswers {
  readonly #options: HostAnswersOptions;
  readonly #close: () => void;

  constructor(options: HostAnswersOptions) {
    this.#options = options;
    const subscription = options.bus.connection.subscribe(hostBlocksSubject(options.host), {
      callback: (error, message) => {
        if (error) options.onRequest("failed", error);
        else this.#answer(message);
      },
    });
    this.#close = () => subscription.unsubscribe();
  }

  close(): void {
    this.#close();
  }

  // What a subscription's callback throws would make the connection deaf.
  #answer(message: Question): void {
    const { onRequest } = this.#options;
    try {
      message.respond(this.#reply(message.data));
      onRequest("answered");
    } catch (error) {
      onRequest(error instanceof ContractError ? "rejected" : "failed", error as Error);
    }
  }

  #reply(payload: Uint8Array): Uint8Array {
    const { host, enforcer } = this.#options;
    const { sources } = decodeHostBlocksRequest(payload);
    const blocks = sources.map((source) => enforcer.inspect(source));
    const interfaces = enforcer.interfaces.slice(0, 64);
    return encodeHostBlocksReply({ version: HOST_BLOCKS_VERSION, host, interfaces, blocks });
  }
}

type Question = { readonly data: Uint8Array; respond(payload: Uint8Array): boolean };
