import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Bus, publishAcknowledged } from "@packetwatch/bus";
import { alertSubject, encodeAlert } from "@packetwatch/contracts";
import { exampleMessages } from "@packetwatch/contracts/published";
import { parsePrefix } from "@packetwatch/net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import type { ExampleProcess, ExamplesCopy } from "../../support/example-process.ts";
import { startExampleSite } from "../../support/example-site.ts";
import { freePort, type NatsServer } from "../../support/nats.ts";
import {
  blockVerdict,
  publishVerdict,
  timedBlockVerdict,
  unblockVerdict,
} from "../../support/published-verdicts.ts";

const TIMEOUT_MS = 40_000;

type Post = { readonly text: string; readonly key: string; readonly body: Record<string, unknown> };

/** A webhook that answers as it is told, and keeps what it took. */
class Webhook {
  readonly taken: Post[] = [];
  readonly refused: Post[] = [];
  /** What it answers before it takes anything again: a status, or the connection's end, or silence. */
  readonly troubles: (number | "reset")[] = [];
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      void this.#answer(request, response);
    });
  }

  static async start(port = 0): Promise<Webhook> {
    const server = createServer().listen(port, "127.0.0.1");
    await once(server, "listening");
    return new Webhook(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The texts, each once, in the order in which they came first. */
  get texts(): readonly string[] {
    return [...new Set(this.taken.map(({ text }) => text))];
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks = await request.toArray();
    const body = JSON.parse(Buffer.concat(chunks as Buffer[]).toString()) as Post["body"];
    const key = String(request.headers["idempotency-key"]);
    const post = { text: String(body["text"]), key, body };
    const trouble = this.troubles.shift();
    (trouble === undefined ? this.taken : this.refused).push(post);
    if (trouble === "reset") request.socket.destroy();
    else response.writeHead(trouble ?? 204).end();
  }
}

const cleanup = new Cleanup();
let nats: NatsServer;
let bus: Bus;
let examples: ExamplesCopy;
let webhook: Webhook;

beforeEach(async () => {
  ({ nats, bus, examples } = await startExampleSite(cleanup));
  webhook = cleanup.own(await Webhook.start());
});
afterEach(() => cleanup.run());

function startRelay(environment: Readonly<Record<string, string>> = {}): ExampleProcess {
  const url = `http://127.0.0.1:${webhook.port}/hook`;
  const command = ["node", "webhook/relay.mjs"];
  return cleanup.own(
    examples.start(command, { NATS_URL: nats.url, WEBHOOK_URL: url, ...environment }),
  );
}

/** It delivers what comes after its first start. */
async function consumerIsThere(): Promise<void> {
  await waitUntil(
    async () => {
      const subject = "$JS.API.CONSUMER.INFO.PACKETWATCH_HISTORY.webhook-relay";
      return (
        (await bus.connection.request(subject)).json<{ error?: unknown }>().error === undefined
      );
    },
    { timeoutMs: TIMEOUT_MS, what: "the relay's consumer" },
  );
}

async function block(...sources: readonly string[]): Promise<void> {
  for (const source of sources) await publishVerdict(bus, blockVerdict(source));
}

const blockText = (source: string) => `${source} is blocked (vertical) by detector/test`;

function texts(expected: readonly string[]): Promise<unknown> {
  return waitUntil(
    () => {
      expect(webhook.texts).toEqual(expected);
      return true;
    },
    { timeoutMs: TIMEOUT_MS, what: `the webhook to take ${JSON.stringify(expected)}` },
  );
}

it("posts blocks, unblocks, alerts and ends, in order, with the event", async () => {
  startRelay();
  await consumerIsThere();
  await publishVerdict(bus, timedBlockVerdict("203.0.113.1", 2));
  await texts([
    blockText("203.0.113.1"),
    "203.0.113.1 is not blocked any more: the block has ended",
  ]);
  await block("2001:db8:0:1::/64");
  await publishVerdict(bus, unblockVerdict("2001:db8:0:1::/64"));
  const { alert } = exampleMessages;
  const subject = alertSubject(alert.rule, parsePrefix(alert.source));
  await publishAcknowledged(bus, subject, encodeAlert(alert));
  await waitUntil(() => webhook.taken.length >= 5, { timeoutMs: TIMEOUT_MS, what: "five posts" });
  expect(webhook.texts.slice(2).toSorted((a, b) => a.localeCompare(b))).toEqual(
    [
      blockText("2001:db8:0:1::/64"),
      "2001:db8:0:1::/64 is unblocked by operator/test",
      "203.0.113.9 set off an alert (horizontal, 25 distinct in 300 s) by detector/web-1-77-0c9f2e6b1a3d",
    ].toSorted((a, b) => a.localeCompare(b)),
  );
  const posted = webhook.taken.find(({ text }) => text.includes("alert"));
  expect(posted?.body["event"]).toEqual({ kind: "alert", ...alert });
  expect(new Set(webhook.taken.map(({ key }) => key)).size).toBe(5);
});

it("posts only a text for Slack", async () => {
  startRelay({ WEBHOOK_FORMAT: "slack" });
  await consumerIsThere();
  await block("203.0.113.1");
  await texts([blockText("203.0.113.1")]);
  expect(webhook.taken[0]?.body).toEqual({ text: blockText("203.0.113.1") });
});

it("tries again what failed, under the same key, and keeps the order", async () => {
  const relay = startRelay();
  await consumerIsThere();
  webhook.troubles.push(500, "reset", 429);
  await block("203.0.113.1", "203.0.113.2");
  await texts(["203.0.113.1", "203.0.113.2"].map(blockText));
  const keys = [...webhook.refused, ...webhook.taken.slice(0, 1)].map(({ key }) => key);
  expect(keys).toHaveLength(4);
  expect(new Set(keys).size).toBe(1);
  expect(relay.output).toContain("the webhook says 500; trying again in 500 ms");
  expect(relay.output).toContain("trying again in 2000 ms");
});

it("gives up what the webhook calls wrong, says so, and goes on", async () => {
  const relay = startRelay();
  await consumerIsThere();
  webhook.troubles.push(400);
  await block("203.0.113.1", "203.0.113.2");
  await texts([blockText("203.0.113.2")]);
  expect(relay.output).toContain(`given up: ${blockText("203.0.113.1")}: the webhook says 400`);
});

it("loses nothing while the webhook, the relay and NATS are away", async () => {
  const port = await freePort();
  const relay = startRelay({ WEBHOOK_URL: `http://127.0.0.1:${port}/` });
  await consumerIsThere();
  const sources = Array.from({ length: 60 }, (_, index) => `203.0.113.${index + 1}`);
  await block(...sources.slice(0, 20));
  await relay.printed(/the webhook can't be reached/);
  await relay.stop("SIGKILL");
  await block(...sources.slice(20, 40));
  await nats.restart({ store: "kept" });
  await waitUntil(() => bus.isConnected(), { timeoutMs: TIMEOUT_MS, what: "the bus" });
  await webhook.close();
  cleanup.defer(() => webhook.close());
  webhook = await Webhook.start(port);
  startRelay();
  await block(...sources.slice(40));
  await texts(sources.map(blockText));
}, 180_000);

it("ends on SIGTERM, also in the midst of a wait, and delivers the rest after its next start", async () => {
  const relay = startRelay();
  await consumerIsThere();
  webhook.troubles.push(503, 503, 503, 503);
  await block("203.0.113.1");
  await relay.printed(/trying again in 1000 ms/);
  expect(await relay.stop("SIGTERM")).toBe(0);
  webhook.troubles.length = 0;
  expect(webhook.taken).toEqual([]);
  startRelay();
  await texts([blockText("203.0.113.1")]);
}, 180_000);

it("a message that is none of ours is left out, and said", async () => {
  const relay = startRelay();
  await consumerIsThere();
  await publishAcknowledged(bus, "packetwatch.v1.alert.odd", new TextEncoder().encode("{no json"));
  await block("203.0.113.1");
  await texts([blockText("203.0.113.1")]);
  expect(relay.output).toContain("packetwatch.v1.alert.odd: not an event that this program knows");
});

it("without a webhook it says what is missing, with exit code 2", async () => {
  const relay = startRelay({ WEBHOOK_URL: "" });
  expect(await relay.exited()).toBe(2);
  expect(relay.lines).toHaveLength(1);
  expect(relay.output).toMatch(/^WEBHOOK_URL is not set/);
});
