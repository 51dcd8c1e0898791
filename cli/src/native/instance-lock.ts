import { createHash } from "node:crypto";
import { createServer } from "node:net";

export type InstanceLock = { close(): void };

/**
 * Undefined when another process holds it. The lock is a name in the abstract
 * socket namespace: the kernel lets it go when its holder dies, however it dies.
 */
export function acquireInstanceLock(runDir: string): Promise<InstanceLock | undefined> {
  // Abstract names are at most 107 bytes, and a path may be longer.
  const digest = createHash("sha256").update(runDir).digest("hex");
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" ? resolve(undefined) : reject(error),
    );
    server.listen(`\0packetwatch-${digest}`, () => resolve({ close: () => void server.close() }));
  });
}
