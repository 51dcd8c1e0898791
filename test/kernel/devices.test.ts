import { bootTimeNs, type XdpMode } from "@packetwatch/bpf";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ChildProgram, type TalkingChild } from "../support/child-program.ts";
import { Cleanup } from "../support/cleanup.ts";
import { waitUntil } from "../support/eventually.ts";
import { countersMoved } from "../support/loaded-packetwatch.ts";
import { PinnedPacketwatch } from "../support/pinned-packetwatch.ts";
import { type DeviceKind, type WatchedDevice, watchDevice } from "../support/watched-device.ts";

type Setting = {
  readonly name: string;
  readonly kind: DeviceKind;
  readonly mode: XdpMode;
  readonly client: string;
  readonly server: string;
  /** How a block of the client is keyed. */
  readonly clientKey: string;
  /** A command that sends an echo request from the client to the server, and what it prints on a reply. */
  readonly ping: readonly [string, readonly string[], RegExp];
};

const PORT = 7000;
const nmapPing = ["-n", "-sn", "-PE", "--disable-arp-ping", "--reason"];
const settings: readonly Setting[] = [
  {
    name: "a veth pair in native mode, over IPv4",
    kind: "veth",
    mode: "native",
    client: "198.18.0.1",
    server: "198.18.0.2",
    clientKey: "198.18.0.1",
    ping: ["nmap", [...nmapPing, "198.18.0.2"], /received echo-reply/],
  },
  {
    name: "a veth pair in native mode, over IPv6",
    kind: "veth",
    mode: "native",
    client: "fd00:1::1",
    server: "fd00:1::2",
    clientKey: "fd00:1::",
    ping: ["nmap", [...nmapPing, "-6", "fd00:1::2"], /received echo-reply/],
  },
  {
    name: "loopback in generic mode",
    kind: "lo",
    mode: "skb",
    client: "127.0.0.2",
    server: "127.0.0.1",
    clientKey: "127.0.0.2",
    ping: ["hping3", ["--icmp", "-c", "1", "-a", "127.0.0.2", "127.0.0.1"], /icmp_seq=0/],
  },
];

const echoServer = new ChildProgram("echo-server");
const talker = new ChildProgram("talker");
const blocker = new ChildProgram("block");

describe.each(settings)("on $name", ({ kind, mode, client, server, clientKey, ping }) => {
  const ofDevice = new Cleanup();
  const ofTest = new Cleanup();
  let device: WatchedDevice;
  let packetwatch: PinnedPacketwatch;
  let visitor: TalkingChild;

  beforeAll(async () => {
    device = watchDevice(kind, mode, ofDevice);
    ofDevice.own(await echoServer.start(device.server, [server, String(PORT)]));
  });
  afterAll(() => ofDevice.run());

  beforeEach(async () => {
    packetwatch = ofTest.own(new PinnedPacketwatch(device.pinFolder));
    packetwatch.maps.clear();
    packetwatch.readRecords();
    visitor = ofTest.own(await talker.start(device.client, [server, String(PORT), client]));
  });
  afterEach(() => ofTest.run());

  it("the program is attached in that mode", () => {
    const shown = device.server.ip("link", "show", device.serverInterface);
    expect(shown).toMatch(mode === "native" ? / xdp / : / xdpgeneric /);
  });

  it("a connection attempt is reported with the device's index, and reaches its server", async () => {
    const before = packetwatch.maps.counters();
    expect(await visitor.ask("connect")).toBe("connected");

    const ifindex = device.server.interfaceIndex(device.serverInterface);
    const seen = { source: client, destination: server, destinationPort: PORT, ifindex, flags: [] };
    expect(packetwatch.readRecords()).toMatchObject([seen]);
    const counted = countersMoved(before, packetwatch.maps.counters());
    expect(counted).toMatchObject({ reported: 1 });
  });

  it("a block stops new connections; the established one, UDP and ICMP go on", async () => {
    expect(await visitor.ask("open")).toBe("connected");
    expect(await visitor.ask("exchange")).toBe("echoed");
    packetwatch.readRecords();
    const before = packetwatch.maps.counters();

    packetwatch.maps.block(clientKey);
    for (let round = 0; round < 2; round++) {
      expect(await visitor.ask("attempt")).toBe("timed out");
      expect(await visitor.ask("exchange")).toBe("echoed");
      expect(await visitor.ask("udp")).toBe("echoed");
    }
    const [command, args, reply] = ping;
    expect(device.client.run(command, args)).toMatch(reply);

    expect(packetwatch.readRecords()).toEqual([]);
    const { dropped = 0 } = countersMoved(before, packetwatch.maps.counters());
    expect(dropped).toBeGreaterThanOrEqual(2);
    expect(packetwatch.maps.blockOf(clientKey)?.dropped).toBe(BigInt(dropped));

    packetwatch.maps.unblock(clientKey);
    expect(await visitor.ask("connect")).toBe("connected");
    expect(await visitor.ask("exchange")).toBe("echoed");
  });

  it("a block ends by itself, with no process of ours alive", async () => {
    // The program's loader has ended long ago; this closes what the test itself has opened.
    packetwatch.close();
    const pinPath = `${device.pinFolder}/blocked`;
    const expiresNs = BigInt(blocker.run(device.server, [pinPath, clientKey, "1.2"]));
    expect(await visitor.ask("attempt")).toBe("timed out");

    const isConnected = async () => (await visitor.ask("attempt")) === "connected";
    await waitUntil(isConnected, { timeoutMs: 10_000, what: "the block to expire" });
    expect(bootTimeNs()).toBeGreaterThan(expiresNs);
    expect(packetwatch.maps.blockOf(clientKey)).toMatchObject({ expiresNs });
  });
});
