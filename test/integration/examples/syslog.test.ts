import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { type Bus, publishAcknowledged } from "@packetwatch/bus";
import { alertSubject, encodeAlert, type Verdict } from "@packetwatch/contracts";
import { exampleMessages } from "@packetwatch/contracts/published";
import { parsePrefix } from "@packetwatch/net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import type { ExampleProcess, ExamplesCopy } from "../../support/example-process.ts";
import { startExampleSite } from "../../support/example-site.ts";
import { freePort, type NatsServer } from "../../support/nats.ts";
import { blockVerdict, publishVerdict, unblockVerdict } from "../../support/published-verdicts.ts";

const TIMEOUT_MS = 40_000;
const RFC_5424 = /^<(\d{1,3})>1 (\S+) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) - (.*)$/s;
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

/** A message of RFC 5424, taken apart, and the CEF line in it. */
function parseSyslog(message: string) {
  const [, priority, time, host, app, pid, id, text = ""] = RFC_5424.exec(message) ?? [];
  return { priority, time, host, app, pid, id, ...parseCef(text) };
}

/** By the rules of the format: `|` ends a header field, ` key=` begins an extension, `\` escapes. */
function parseCef(line: string) {
  const parts = line.split(/(?<=(?<!\\)(?:\\\\)*)\|/);
  const header = parts.slice(0, 7).map((part) => part.replaceAll(/\\(.)/g, "$1"));
  const fields: Record<string, string> = {};
  const extension = parts.slice(7).join("|");
  for (const [, key = "", value = ""] of extension.matchAll(
    /(?:^| )(\w+)=((?:\\.|[^\\=])*)(?= \w+=|$)/gs,
  )) {
    fields[key] = value.replaceAll(/\\(.)/g, (_, escaped: string) => unescaped(escaped));
  }
  return { header, fields };
}

function unescaped(character: string): string {
  if (character === "n") return "\n";
  return character === "r" ? "\r" : character;
}

/** Octet counting: `<length> <message>`, one behind the other. */
function splitFrames(bytes: Buffer): string[] {
  const space = bytes.indexOf(" ");
  if (space < 0) return [];
  const end = space + 1 + Number(bytes.subarray(0, space).toString());
  if (bytes.length < end) return [];
  return [bytes.subarray(space + 1, end).toString(), ...splitFrames(bytes.subarray(end))];
}

const cleanup = new Cleanup();
let nats: NatsServer;
let bus: Bus;
let examples: ExamplesCopy;

beforeEach(async () => {
  ({ nats, bus, examples } = await startExampleSite(cleanup));
});
afterEach(() => cleanup.run());

async function startRelay(syslogUrl: string): Promise<ExampleProcess> {
  const environment = { NATS_URL: nats.url, SYSLOG_URL: syslogUrl };
  const relay = cleanup.own(examples.start(["node", "syslog-cef/relay.mjs"], environment));
  const subject = "$JS.API.CONSUMER.INFO.PACKETWATCH_HISTORY.syslog-relay";
  const isThere = async () =>
    (await bus.connection.request(subject)).json<{ error?: unknown }>().error === undefined;
  await waitUntil(isThere, { timeoutMs: TIMEOUT_MS, what: "the relay's consumer" });
  return relay;
}

/** A syslog server on UDP, and what it got. */
async function udpServer() {
  const messages: string[] = [];
  const socket = createSocket("udp4", (message) => void messages.push(message.toString()));
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  cleanup.defer(() => socket.close());
  return { url: `udp://127.0.0.1:${socket.address().port}`, messages };
}

/** The same on TCP; it can be closed with all of its connections. */
async function tcpServer(port = 0) {
  const received: Buffer[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const index = received.push(Buffer.alloc(0)) - 1;
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => {
      received[index] = Buffer.concat([received[index] ?? Buffer.alloc(0), chunk]);
    });
  }).listen(port, "127.0.0.1");
  await once(server, "listening");
  const close = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  cleanup.defer(close);
  const { port: bound } = server.address() as AddressInfo;
  return { port: bound, close, messages: () => received.flatMap(splitFrames) };
}

function arrived(messages: () => readonly string[], count: number): Promise<unknown> {
  return waitUntil(() => messages().length >= count, {
    timeoutMs: TIMEOUT_MS,
    what: `${count} syslog messages`,
  });
}

it("a block is one RFC 5424 datagram with a CEF line", async () => {
  const { url, messages } = await udpServer();
  await startRelay(url);
  const { block } = exampleMessages;
  await publishVerdict(bus, block);
  await arrived(() => messages, 1);
  const { priority, time, app, id, header, fields } = parseSyslog(messages[0] ?? "");
  expect({ priority, app, id }).toEqual({ priority: "132", app: "packetwatch", id: "block" });
  expect(time).toMatch(RFC_3339);
  expect(time).toBe("2021-04-28T15:28:05.000250Z");
  expect(header).toEqual([
    "CEF:0",
    "Packetwatch",
    "Packetwatch",
    "1",
    "block:vertical",
    "Source blocked",
    "7",
  ]);
  expect(fields).toEqual({
    src: "203.0.113.9",
    act: "block",
    externalId: "vertical-3f2a9c",
    rt: "1619623685000",
    suser: "detector/web-1-77-0c9f2e6b1a3d",
    cs1: "vertical",
    cs1Label: "rule",
    cs2: "80,81,82",
    cs2Label: "ports",
    cs3: "10.0.0.5",
    cs3Label: "destinations",
    cs4: "web-1",
    cs4Label: "sensors",
    cn1: "3",
    cn1Label: "distinct",
  });
});

it("what an operator writes can't break out of its field or its line", async () => {
  const { url, messages } = await udpServer();
  await startRelay(url);
  const reason = "a|b=c\\d\r\n<13>1 - evil evil - - - CEF:0|x src=1.2.3.4 é";
  await publishVerdict(bus, blockVerdict("2001:db8:0:1::/64", { rule: "operator", reason }));
  await arrived(() => messages, 1);
  expect(messages[0]).not.toMatch(/[\r\n]/);
  const { fields } = parseSyslog(messages[0] ?? "");
  expect(fields).toMatchObject({
    reason,
    c6a2: "2001:db8:0:1::",
    c6a2Label: "Source IPv6 Address",
    cn2: "64",
    cn2Label: "prefix bits",
  });
  expect(fields["src"]).toBeUndefined();
});

it("the longest verdict makes a line that fits into a datagram", async () => {
  const { url, messages } = await udpServer();
  await startRelay(url);
  const many = <T>(of: (index: number) => T) => Array.from({ length: 64 }, (_, index) => of(index));
  const evidence: Verdict & { kind: "block" } = blockVerdict("203.0.113.9", {
    reason: "r".repeat(512),
    evidence: {
      count: 64,
      windowSeconds: 60,
      destinations: many(
        (index) => `2001:db8:ffff:ffff:ffff:ffff:ffff:${(index + 1).toString(16)}`,
      ),
      ports: many((index) => 65_000 + index),
      hosts: many((index) => `${"h".repeat(250)}${index}`),
      firstSeenUs: 0,
      lastSeenUs: 0,
    },
  });
  await publishVerdict(bus, evidence);
  await arrived(() => messages, 1);
  expect(Buffer.byteLength(messages[0] ?? "")).toBeLessThan(2048);
  expect(parseSyslog(messages[0] ?? "").fields["cs2"]?.split(",")).toHaveLength(16);
});

it("over TCP each message says its length, none is lost while nobody listens, and a broken connection is made anew", async () => {
  const port = await freePort();
  const relay = await startRelay(`tcp://127.0.0.1:${port}`);
  await publishVerdict(bus, blockVerdict("203.0.113.1"));
  await relay.printed(/ECONNREFUSED.*trying again/);
  const first = await tcpServer(port);
  await arrived(first.messages, 1);
  await publishVerdict(bus, unblockVerdict("203.0.113.1"));
  const { alert } = exampleMessages;
  const subject = alertSubject(alert.rule, parsePrefix(alert.source));
  await publishAcknowledged(bus, subject, encodeAlert(alert));
  await arrived(first.messages, 3);
  expect(new Set(first.messages().map((message) => parseSyslog(message).id))).toEqual(
    new Set(["block", "unblock", "alert"]),
  );
  first.close();
  const second = await tcpServer(port);
  // What the kernel had taken when the connection broke is lost: syslog has no acknowledgement.
  await waitUntil(
    async () => {
      await publishVerdict(bus, blockVerdict("203.0.113.2"));
      return second.messages().length > 0;
    },
    { timeoutMs: TIMEOUT_MS, what: "the relay to connect anew" },
  );
  expect(parseSyslog(second.messages()[0] ?? "").fields["src"]).toBe("203.0.113.2");
  expect(await relay.stop("SIGTERM")).toBe(0);
});
