import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { waitUntil } from "./eventually.ts";

const TIMEOUT_MS = 20_000;

/**
 * A subscription in NATS's own words over TCP, as any client sends them:
 * CONNECT, SUB, and then MSG lines. It shows that a subject needs no client
 * library, and stands in for the `nats` command, which tests don't have.
 */
export class RawSubscription {
  readonly #socket: Socket;
  #received = "";

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#received += chunk.toString("latin1");
      // The server gives up on those who don't answer.
      if (chunk.includes("PING\r\n")) socket.write("PONG\r\n");
    });
  }

  /** Resolves when the server has taken the subscription. */
  static async open(url: string, subject: string): Promise<RawSubscription> {
    const { hostname, port } = new URL(url);
    const socket = createConnection({ host: hostname, port: Number(port) });
    await once(socket, "connect");
    const subscription = new RawSubscription(socket);
    socket.write(`CONNECT {"verbose":false}\r\nSUB ${subject} 1\r\nPING\r\n`);
    await subscription.received(/^PONG\r$/m);
    return subscription;
  }

  /** The subjects of the messages that came, in order. */
  get subjects(): readonly string[] {
    return [...this.#received.matchAll(/^MSG (\S+) 1 /gm)].map(([, subject = ""]) => subject);
  }

  received(pattern: RegExp): Promise<unknown> {
    return waitUntil(() => this.#received.match(pattern), {
      timeoutMs: TIMEOUT_MS,
      what: `${pattern} in ${JSON.stringify(this.#received.slice(-1000))}`,
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}
