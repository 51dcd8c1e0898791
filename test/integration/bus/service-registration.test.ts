import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tmpdir } from "node:os";
import {
  type Bus,
  connectBus,
  ServiceRegistration,
  type ServiceRegistrationOptions,
} from "@packetwatch/bus";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil, within } from "../../support/eventually.ts";
import { type NatsServer, startNats } from "../../support/nats.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { askServices } from "../../support/registered-services.ts";

const TIMEOUT_MS = 20_000;
const text = new TextDecoder();
const bytes = new TextEncoder();

const cleanup = new Cleanup();
let server: NatsServer;
let asking: Bus;
let serving: Bus;
let logger: RecordingLogger;

beforeEach(async () => {
  await begin();
});
afterEach(() => cleanup.run());

async function begin(args: readonly string[] = []): Promise<void> {
  server = await startNats({ arguments: args });
  cleanup.defer(() => server.stop());
  logger = new RecordingLogger();
  asking = cleanup.own(await connect("asking"));
  serving = cleanup.own(await connect("serving"));
}

function connect(name: string): Promise<Bus> {
  return connectBus({ servers: [server.url], name, logger });
}

function register(options: Partial<ServiceRegistrationOptions> = {}): ServiceRegistration {
  return cleanup.own(
    new ServiceRegistration({
      bus: serving,
      name: "capture",
      version: "1.2.3",
      description: "A test's service",
      metadata: { host: "web-1" },
      logger,
      ...options,
    }),
  );
}

async function settled(): Promise<void> {
  await serving.connection.flush();
}

test.each(["PING", "INFO", "STATS"] as const)(
  "answers $SRV.%s with name, version and metadata",
  async (verb) => {
    register();
    await settled();
    expect(await askServices(asking, verb)).toMatchObject([
      {
        type: `io.nats.micro.v1.${verb.toLowerCase()}_response`,
        name: "capture",
        version: "1.2.3",
        metadata: { host: "web-1" },
      },
    ]);
  },
);

test("metadata is what it is when somebody asks, and cut to its maximum", async () => {
  let shards = "1,2";
  register({ metadata: { shards: () => shards, long: "x".repeat(5000) } });
  await settled();
  const metadataOf = async () => (await askServices(asking, "INFO", "capture"))[0]?.metadata;
  expect(await metadataOf()).toMatchObject({ shards: "1,2" });
  shards = "3";
  expect(await metadataOf()).toEqual({ shards: "3", long: "x".repeat(4096) });
});

test("each of two instances answers, and each endpoint of both", async () => {
  const endpoint = { name: "echo", subject: "test.echo", handle: (payload: Uint8Array) => payload };
  register({ metadata: { host: "web-1" }, endpoints: [endpoint] });
  register({ metadata: { host: "web-2" }, endpoints: [endpoint] });
  await settled();
  const answers = await askServices(asking, "PING");
  expect(answers.map(({ metadata }) => metadata["host"])).toEqual(
    expect.arrayContaining(["web-1", "web-2"]),
  );
  expect(answers).toHaveLength(2);
  const echoes: string[] = [];
  const options = { strategy: "count", maxMessages: 2, maxWait: TIMEOUT_MS } as const;
  for await (const message of await asking.connection.requestMany("test.echo", "hello", options)) {
    echoes.push(message.string());
  }
  expect(echoes).toEqual(["hello", "hello"]);
});

test("an endpoint answers what its handler gives, and with an error what that throws", async () => {
  register({
    endpoints: [
      {
        name: "upper",
        subject: "test.upper",
        handle: (payload) => {
          if (payload.length === 0) throw new Error("nothing to do");
          return bytes.encode(text.decode(payload).toUpperCase());
        },
      },
    ],
  });
  await settled();
  const request = (payload: string) =>
    asking.connection.request("test.upper", payload, { timeout: TIMEOUT_MS });
  expect((await request("abc")).string()).toBe("ABC");
  const refused = await request("");
  expect(refused.headers?.get("Nats-Service-Error")).toBe("nothing to do");
  expect(refused.headers?.get("Nats-Service-Error-Code")).toBe("500");
  // The connection is not deaf after it.
  expect((await request("def")).string()).toBe("DEF");
  const [stats] = await askServices(asking, "STATS");
  expect(stats?.endpoints).toMatchObject([{ name: "upper", num_requests: 3, num_errors: 1 }]);
});

test("is there again after the server was restarted, under the same id", async () => {
  register();
  await settled();
  const [before] = await askServices(asking, "PING");
  await server.restart({ store: "lost" });
  const [after] = await waitUntil(
    async () => {
      const answers = asking.isConnected() ? await askServices(asking, "INFO") : [];
      return answers.length > 0 && answers;
    },
    { timeoutMs: TIMEOUT_MS, what: "the service to answer again" },
  );
  expect(after).toMatchObject({ name: "capture", id: before?.id });
});

test("is gone when it is closed, and closing twice is harmless", async () => {
  const registration = register();
  await settled();
  await registration.close();
  await registration.close();
  expect(await askServices(asking, "PING")).toEqual([]);
  expect(serving.isConnected()).toBe(true);
});

test("closes without a server", async () => {
  const registration = register();
  await settled();
  await server.shutDown();
  await waitUntil(() => !serving.isConnected(), {
    timeoutMs: TIMEOUT_MS,
    what: "the connection to be lost",
  });
  await within(registration.close(), { timeoutMs: TIMEOUT_MS, what: "it to close" });
});

test("closes beside a server that is frozen", async () => {
  const registration = register();
  await settled();
  await server.pause();
  cleanup.defer(() => server.resume());
  await within(registration.close(), { timeoutMs: TIMEOUT_MS, what: "it to close" });
});

/** One user, whose permissions begin like this. */
function writePermissions(file: string, permissions: string): void {
  const user = `{ user: poor, password: p, permissions: { ${permissions} } }`;
  writeFileSync(file, `authorization { users = [${user}] }\nno_auth_user: poor\n`);
}

test("a refusal is logged, changes nothing else, and ends when permissions allow it", async () => {
  await cleanup.run();
  const file = join(tmpdir(), `packetwatch-registration-${process.pid}.conf`);
  cleanup.defer(() => rmSync(file));
  writePermissions(file, 'subscribe: { deny: "$SRV.>" }');
  await begin(["-c", file]);
  register();
  await waitUntil(
    () => logger.messages("error").some((text) => text.startsWith("NATS forbids this")),
    {
      timeoutMs: TIMEOUT_MS,
      what: "the refusal to be logged",
    },
  );
  expect(await askServices(asking, "PING")).toEqual([]);
  const heard: string[] = [];
  serving.connection.subscribe("test.still", {
    callback: (_, message) => void heard.push(message.string()),
  });
  await settled();
  asking.connection.publish("test.still", "here");
  await waitUntil(() => heard.length === 1, { timeoutMs: TIMEOUT_MS, what: "a message" });
  writePermissions(file, 'subscribe: ">"');
  await server.restart({ store: "kept" });
  await waitUntil(async () => asking.isConnected() && (await askServices(asking, "PING"))[0], {
    timeoutMs: TIMEOUT_MS,
    what: "the service to be registered",
  });
});
