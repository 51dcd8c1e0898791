import { connectBus, keepStreams, provisionStreams } from "@packetwatch/bus";
import { afterEach, expect, it } from "vitest";
import { Cleanup } from "../../support/cleanup.ts";
import { holdsFor, waitUntil } from "../../support/eventually.ts";
import { startNatsCluster } from "../../support/nats-cluster.ts";
import { startNats } from "../../support/nats.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { plainStream } from "../../support/streams.ts";

const TIMEOUT_MS = 20_000;
const WAITING = "the streams can't be provisioned yet; trying again";

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

async function connect(servers: readonly string[]) {
  const logger = new RecordingLogger();
  const bus = cleanup.own(await connectBus({ servers, name: "test", logger }));
  const said = () => logger.lines.filter(({ message }) => message === WAITING);
  const untilSaid = () =>
    waitUntil(() => said()[0], { timeoutMs: TIMEOUT_MS, what: "the line that it waits" });
  return { bus, logger, said, untilSaid };
}

it("a cluster with too few servers for the replicas is waited for, not refused", async () => {
  const cluster = cleanup.own(await startNatsCluster({ size: 2 }));
  const { bus, logger, said, untilSaid } = await connect(cluster.urls());
  const abort = new AbortController();
  const options = { logger, signal: abort.signal };
  const provisioning = provisionStreams(bus, [plainStream("wide", { replicas: 3 })], options);
  let end: string | undefined;
  const ended = provisioning.then(
    () => (end = "provisioned"),
    (error: Error) => (end = error.name),
  );
  expect(await untilSaid()).toMatchObject({ level: "warn", fields: { stream: "wide" } });
  await provisionStreams(bus, [plainStream("narrow", { replicas: 1 })]);
  // From here on JetStream says that it has no suitable peers.
  await holdsFor(() => end === undefined, { timeoutMs: 1500, what: "waiting" });
  abort.abort();
  expect(await ended).toBe("AbortError");
  expect(said().length).toBe(1);
});

it("a server that doesn't answer is waited for, and said once", async () => {
  const server = await startNats();
  cleanup.defer(() => server.stop());
  const { bus, logger, said, untilSaid } = await connect([server.url]);
  await server.pause();
  const streams = keepStreams({ bus, specs: [plainStream("s"), plainStream("t")], logger });
  await untilSaid();
  await server.resume();
  cleanup.own(await streams);
  expect(said().length).toBe(1);
});
