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

test("each of two instances answers", async () => {
  register({ metadata: { host: "web-1" } });
  register({ metadata: { host: "web-2" } });
  await settled();
  const answers = await askServices(asking, "PING");
  expect(answers.map(({ metadata }) => metadata["host"])).toEqual(
    expect.arrayContaining(["web-1", "web-2"]),
  );
  expect(answers).toHaveLength(2);
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
