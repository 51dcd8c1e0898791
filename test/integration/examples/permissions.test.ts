import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { nkeys } from "@nats-io/transport-node";
import { connectBus, type Bus, provisionStreams, publicKeyOfSeed } from "@packetwatch/bus";
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
  const environment = { NATS_URL: nats.url, NATS_NKEY: locked.keys.seedFile(role) };
  return { locked, nats, bus, environment };
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

/** A syslog server, and the messages that it has taken. */
async function startSyslog() {
  const messages: string[] = [];
  const socket = createSocket("udp4", (message) => void messages.push(message.toString()));
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  cleanup.defer(() => socket.close());
  return { messages, SYSLOG_URL: `udp://127.0.0.1:${socket.address().port}` };
}

it("the relays work with the key of a relay", async () => {
  const { bus, environment } = await startLockedNats("relay");
  const { messages, SYSLOG_URL } = await startSyslog();
  const relay = start(["node", "syslog-cef/relay.mjs"], { ...environment, SYSLOG_URL });
  // Two that differ: the second comes only after the first was acknowledged.
  await publishUntil(bus, relay, () => messages.length > 1);
  expect(relay.output).toBe("");
});

it("a relay whose key is refused for a while goes on once it is taken again", async () => {
  const { locked, nats, bus, environment } = await startLockedNats("relay");
  const { messages, SYSLOG_URL } = await startSyslog();
  const relay = start(["node", "syslog-cef/relay.mjs"], { ...environment, SYSLOG_URL });
  await publishUntil(bus, relay, () => messages.length > 0);
  const known = readFileSync(locked.configFile, "utf8");
  const publicKey = publicKeyOfSeed(readFileSync(environment.NATS_NKEY, "utf8").trim());
  const another = nkeys.createUser().getPublicKey();
  writeFileSync(locked.configFile, known.replace(`${publicKey}`, another));
  await nats.reload();
  // A client of NATS gives up after two by default.
  const refusals = () => nats.output.match(/authentication error - Nkey "/g)?.length ?? 0;
  await waitUntil(() => refusals() > 3, { timeoutMs: TIMEOUT_MS, what: "the key to be refused" });
  writeFileSync(locked.configFile, known);
  await nats.reload();
  await publishVerdict(bus, blockVerdict("203.0.113.2"));
  await waitUntil(() => messages.some((message) => message.includes("203.0.113.2")), {
    timeoutMs: TIMEOUT_MS,
    what: "the relay to go on",
  });
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
