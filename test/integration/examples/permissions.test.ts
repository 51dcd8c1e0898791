import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { nkeys } from "@nats-io/transport-node";
import { connectBus, type Bus, provisionStreams } from "@packetwatch/bus";
import type { Role } from "@packetwatch/contracts";
import { afterEach, expect, it } from "vitest";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type ExampleProcess, ExamplesCopy } from "../../support/example-process.ts";
import { prepareLockedNats } from "../../support/locked-nats.ts";
import { startNats } from "../../support/nats.ts";
import { blockVerdict, publishVerdict } from "../../support/published-verdicts.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { testStreams } from "../../support/streams.ts";

const TIMEOUT_MS = 30_000;

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** A NATS as `packetwatch up` starts it; the key of a role, and a bus that may do everything. */
async function startLockedNats(role: Role) {
  const folder = mkdtempSync(join(tmpdir(), "packetwatch-permissions-"));
  cleanup.defer(() => rmSync(folder, { recursive: true, force: true }));
  const locked = prepareLockedNats(join(folder, "keys"));
  const nats = await startNats({ arguments: ["-c", locked.configFile] });
  cleanup.defer(() => nats.stop());
  const logger = new RecordingLogger();
  const bus = cleanup.own(await connectBus({ servers: [nats.url], name: "test", logger }));
  await provisionStreams(bus, testStreams());
  return { bus, environment: { NATS_URL: nats.url, NATS_NKEY: locked.keys.seedFile(role) } };
}

function start(command: readonly string[], environment: Readonly<Record<string, string>>) {
  return cleanup.own(cleanup.own(new ExamplesCopy()).start(command, environment));
}

async function publishUntil(bus: Bus, program: ExampleProcess, isSeen: () => boolean) {
  await waitUntil(
    async () => {
      await publishVerdict(bus, blockVerdict("203.0.113.1"));
      if (program.output.includes("Error")) throw new Error(program.output);
      return isSeen();
    },
    { timeoutMs: TIMEOUT_MS, what: "a block to be seen" },
  );
}

it("block-list.mjs works with the key of a relay", async () => {
  const { bus, environment } = await startLockedNats("relay");
  await publishVerdict(bus, blockVerdict("203.0.113.1"));
  const list = start(["node", "node/block-list.mjs"], environment);
  expect(await list.exited(), list.output).toBe(0);
  expect(list.output).toBe("203.0.113.1 vertical until it is lifted\n");
});

it("watch.mjs works with the key of an integrator", async () => {
  const { bus, environment } = await startLockedNats("integrator");
  const watch = start(["node", "node/watch.mjs"], environment);
  await publishUntil(bus, watch, () => watch.output.includes("block 203.0.113.1"));
  expect(watch.output).not.toContain("ermission");
});

it("the relays work with the key of a relay", async () => {
  const { bus, environment } = await startLockedNats("relay");
  const messages: string[] = [];
  const socket = createSocket("udp4", (message) => void messages.push(message.toString()));
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  cleanup.defer(() => socket.close());
  const url = `udp://127.0.0.1:${socket.address().port}`;
  const relay = start(["node", "syslog-cef/relay.mjs"], { ...environment, SYSLOG_URL: url });
  // Two that differ: the second comes only after the first was acknowledged.
  await publishUntil(bus, relay, () => messages.length > 1);
  expect(relay.output).toBe("");
});

it("with a key that NATS does not know there is one line about it, and exit code 1", async () => {
  const { environment } = await startLockedNats("relay");
  const seedFile = join(mkdtempSync(join(tmpdir(), "packetwatch-key-")), "user.nk");
  cleanup.defer(() => rmSync(dirname(seedFile), { recursive: true }));
  writeFileSync(seedFile, nkeys.createUser().getSeed());
  const list = start(["node", "node/block-list.mjs"], { ...environment, NATS_NKEY: seedFile });
  expect(await list.exited()).toBe(1);
  expect(list.lines).toHaveLength(1);
  expect(list.output).toMatch(/^connect to nats:.*: .*uthorization.* \(NATS_URL, NATS_NKEY\)$/m);
});
