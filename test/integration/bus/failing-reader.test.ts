import { afterEach, beforeEach, expect, test } from "vitest";
import { fileURLToPath } from "node:url";
import { type Bus, connectBus, provisionStreams } from "@packetwatch/bus";
import { type NatsServer, startNats } from "../../support/nats.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { bundleService, ServiceProcess } from "../../support/service-process.ts";
import { plainStream } from "../../support/streams.ts";

const script = fileURLToPath(new URL("children/reading-service.ts", import.meta.url));

let server: NatsServer;
let bus: Bus;

beforeEach(async () => {
  server = await startNats();
  bus = await connectBus({ servers: [server.url], name: "test", logger: new RecordingLogger() });
  await provisionStreams(bus, [plainStream("s")]);
});

afterEach(async () => {
  await bus.close();
  await server.stop();
});

test("what onMessage throws ends the service, with its stack; no later message is delivered", async () => {
  for (const payload of ["1", "bad", "3"]) await bus.jetstream.publish("s.a", payload);
  const bundle = bundleService(script);
  const service = new ServiceProcess({ bundle, environment: { PW_NATS_URL: server.url } });

  expect(await service.exit()).toBe(1);
  const fatal = service.lines.filter(({ level }) => level === "fatal");
  expect(fatal).toMatchObject([
    { err: { type: "TypeError", message: "a message that the programmer didn't think of" } },
  ]);
  expect(service.messages).toContain("read 1");
  expect(service.messages).not.toContain("read 3");
});
