import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { createSocket } from "node:dgram";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type LoadedPacketwatch, loadPacketwatch } from "../support/loaded-packetwatch.ts";
import { ethernet, ipv4, ipv6 } from "../support/packets.ts";
import { tcp } from "../support/segments.ts";

let packetwatch: LoadedPacketwatch;
beforeAll(() => {
  packetwatch = loadPacketwatch({ listenerLookup: "on" });
});
afterAll(() => packetwatch.close());

const closers: (() => unknown)[] = [];
afterEach(async () => {
  while (closers.length > 0) await closers.pop()?.();
});

async function listen(host: string): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => socket.on("error", () => socket.destroy()));
  server.listen(0, host);
  await once(server, "listening");
  closers.push(() => close(server));
  return { server, port: (server.address() as AddressInfo).port };
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return;
  server.close();
  await once(server, "close");
}

/** A port that was free a moment ago. */
async function closedPort(host: string): Promise<number> {
  const { server, port } = await listen(host);
  await close(server);
  return port;
}

async function connectTo(host: string, port: number): Promise<Socket> {
  const socket = connect(port, host);
  closers.push(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

function flagsOfSyn(destination: string, destinationPort: number, sourcePort = 40_000) {
  const segment = tcp({ sourcePort, destinationPort });
  const addresses = { source: destination, destination };
  const datagram = destination.includes(":") ? ipv6(segment, addresses) : ipv4(segment, addresses);
  return packetwatch.send(ethernet(datagram)).records[0]?.flags;
}

const OPEN = ["listener", "listenerKnown"];
const CLOSED = ["listenerKnown"];

describe.each(["127.0.0.1", "::1"])("with the listener lookup on, a SYN to %s", (host) => {
  const anyAddress = host === "::1" ? "::" : "0.0.0.0";

  it("and a port that somebody listens on is reported so", async () => {
    const { port } = await listen(host);
    expect(flagsOfSyn(host, port)).toEqual(OPEN);
  });

  it("and a port that is listened on for every address is reported so", async () => {
    const { port } = await listen(anyAddress);
    expect(flagsOfSyn(host, port)).toEqual(OPEN);
  });

  it("and a closed port is reported as known to have no listener", async () => {
    expect(flagsOfSyn(host, await closedPort(host))).toEqual(CLOSED);
  });

  it("is to an open port when the same connection exists already", async () => {
    const { port } = await listen(host);
    const { localPort } = await connectTo(host, port);
    expect(flagsOfSyn(host, port, localPort)).toEqual(OPEN);
  });

  it("and the own port of an outgoing connection has no listener", async () => {
    const { port } = await listen(host);
    const { localPort = 0 } = await connectTo(host, port);
    expect(flagsOfSyn(host, localPort, port)).toEqual(CLOSED);
    expect(flagsOfSyn(host, localPort)).toEqual(CLOSED);
  });

  it("and a port that only UDP is bound to has no listener", async () => {
    const socket = createSocket(host === "::1" ? "udp6" : "udp4");
    closers.push(() => socket.close());
    socket.bind(0, host);
    await once(socket, "listening");
    expect(flagsOfSyn(host, socket.address().port)).toEqual(CLOSED);
  });
});

describe("the listener lookup", () => {
  it("finds a listener of both families for IPv4 too", async () => {
    const { port } = await listen("::");
    expect(flagsOfSyn("127.0.0.1", port)).toEqual(OPEN);
  });

  it("asks for the address too: another one's listener does not count", async () => {
    const { port } = await listen("127.0.0.2");
    expect(flagsOfSyn("127.0.0.1", port)).toEqual(CLOSED);
    expect(flagsOfSyn("127.0.0.2", port)).toEqual(OPEN);
  });

  it("that is off leaves both flags away", async () => {
    const { port } = await listen("127.0.0.1");
    const off = loadPacketwatch({ listenerLookup: "off" });
    try {
      const syn = tcp({ destinationPort: port });
      const frame = ethernet(ipv4(syn, { destination: "127.0.0.1" }));
      expect(off.send(frame).records).toMatchObject([{ flags: [] }]);
    } finally {
      off.close();
    }
  });
});
