import { createServer, type Server } from "node:net";
import { SensorTakenError } from "./capture-error.ts";

/**
 * Takes an interface for this process. The lock is an abstract socket: the
 * kernel frees it when the process ends, however that happens, and it is
 * local to the network namespace, as the interface is.
 */
export async function lockSensor(
  pinDir: string,
  interfaceName: string,
): Promise<{ close(): void }> {
  const server = createServer((connection) => connection.destroy());
  try {
    await listen(server, `\0packetwatch/capture${pinDir}/${interfaceName}`);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EADDRINUSE") throw cause;
    throw new SensorTakenError(interfaceName, { cause });
  }
  server.unref();
  return server;
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
}
