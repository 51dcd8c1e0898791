/**
 * Usage: talker HOST PORT LOCAL_ADDRESS. A client of echo-server that does what each line asks for
 * and answers with one line:
 *   open      opens the connection that `exchange` uses
 *   exchange  sends bytes over it and waits until they have come back
 *   connect   opens another connection and closes it
 *   attempt   the same, but gives up before a SYN is sent again
 *   udp       sends a datagram and waits for it to come back
 */
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, isIPv6, type Socket } from "node:net";
import { createInterface } from "node:readline";

/** What should succeed may take long on a busy machine. */
const TIMEOUT_MS = 5000;
/** A SYN is sent again after a second. */
const ATTEMPT_TIMEOUT_MS = 500;
const EXCHANGE_BYTES = 10_000;

const [host = "", portText = "", localAddress = ""] = process.argv.slice(2);
const port = Number(portText);
let opened: Socket | undefined;

const commands: Readonly<Record<string, () => Promise<string>>> = {
  open: async () => {
    opened = connect({ host, port, localAddress });
    await once(opened, "connect", { signal: AbortSignal.timeout(TIMEOUT_MS) });
    return "connected";
  },
  exchange: async () => {
    if (opened === undefined) return "nothing is open";
    const sent = randomBytes(EXCHANGE_BYTES);
    opened.write(sent);
    const received = await readBytes(opened, sent.length);
    return received.equals(sent) ? "echoed" : "damaged";
  },
  connect: () => connectAndClose(TIMEOUT_MS),
  attempt: () => connectAndClose(ATTEMPT_TIMEOUT_MS),
  udp: async () => {
    const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
    try {
      socket.bind({ address: localAddress });
      socket.send("ping", port, host);
      await once(socket, "message", { signal: AbortSignal.timeout(TIMEOUT_MS) });
      return "echoed";
    } finally {
      socket.close();
    }
  },
};

async function connectAndClose(timeoutMs: number): Promise<string> {
  const socket = connect({ host, port, localAddress });
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(timeoutMs) });
    return "connected";
  } finally {
    socket.destroy();
  }
}

async function readBytes(socket: Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  for (let missing = length; missing > 0;) {
    const [chunk] = (await once(socket, "data", { signal })) as [Buffer];
    chunks.push(chunk);
    missing -= chunk.length;
  }
  return Buffer.concat(chunks);
}

function failureOf(error: unknown): string {
  const { name, code } = error as NodeJS.ErrnoException;
  return name === "AbortError" || name === "TimeoutError" ? "timed out" : (code ?? String(error));
}

console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  const command = commands[line];
  console.log(command === undefined ? "unknown" : await command().catch(failureOf));
}
process.exit();
