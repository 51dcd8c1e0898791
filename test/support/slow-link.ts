import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

export type SlowLink = {
  /** To connect to instead of the server's. */
  readonly url: string;
  /** Cuts what is connected. */
  readonly close: () => Promise<void>;
};

/** A way to a server on which what clients send arrives so much later; answers come at once. */
export async function startSlowLink(serverUrl: string, delayMs: number): Promise<SlowLink> {
  const { hostname, port, protocol } = new URL(serverUrl);
  const sockets = new Set<Socket>();
  const link = createServer((client) => {
    const server = connect(Number(port), hostname);
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      socket.on("error", () => client.destroy());
    }
    client.on("data", (chunk) => void delay(delayMs).then(() => server.write(chunk)));
    client.once("close", () => server.destroy());
    server.pipe(client);
  }).listen(0, "127.0.0.1");
  await once(link, "listening");
  const close = async () => {
    for (const socket of sockets) socket.destroy();
    link.close();
    await once(link, "close");
  };
  return { url: `${protocol}//127.0.0.1:${(link.address() as AddressInfo).port}`, close };
}
