import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectBus, type Bus, provisionStreams } from "@packetwatch/bus";
import { nkeys } from "@nats-io/transport-node";
import { afterEach, expect, it } from "vitest";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type ExampleProcess, ExamplesCopy } from "../../support/example-process.ts";
import { startNats } from "../../support/nats.ts";
import { blockVerdict, publishVerdict } from "../../support/published-verdicts.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { testStreams } from "../../support/streams.ts";

const TIMEOUT_MS = 30_000;
const page = readFileSync(new URL("../../../docs/integrations.md", import.meta.url), "utf8");

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** The subjects that the page's table of permissions gives to a program, in its second and third column. */
function permissionsOnPage(program: string): { publish: string[]; subscribe: string[] } {
  const row = page
    .split("\n")
    .find((line) => line.startsWith("| ") && line.split("|")[1]?.includes(program));
  const [, , publish = "", subscribe = ""] = (row ?? "").split("|");
  const quoted = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text = ""]) => text);
  return { publish: quoted(publish), subscribe: quoted(subscribe) };
}

/** A NATS where whoever shows no key may do everything, and the key what the page says. */
async function startLockedNats(program: string, more: readonly string[] = []) {
  const folder = mkdtempSync(join(tmpdir(), "packetwatch-permissions-"));
  cleanup.defer(() => rmSync(folder, { recursive: true, force: true }));
  const key = nkeys.createUser();
  const seedFile = join(folder, "seed");
  writeFileSync(seedFile, key.getSeed());
  const { publish, subscribe } = permissionsOnPage(program);
  const allowed = [`_INBOX.${key.getPublicKey()}.>`, ...subscribe, ...more];
  const permissions = {
    publish: publish.length > 0 ? { allow: publish } : { deny: ">" },
    subscribe: { allow: allowed },
  };
  const users = [
    { user: "all", password: "x" },
    { nkey: key.getPublicKey(), permissions },
  ];
  const config = join(folder, "nats.conf");
  writeFileSync(config, JSON.stringify({ authorization: { users }, no_auth_user: "all" }));
  const nats = await startNats({ arguments: ["-c", config] });
  cleanup.defer(() => nats.stop());
  const logger = new RecordingLogger();
  const bus = cleanup.own(await connectBus({ servers: [nats.url], name: "test", logger }));
  await provisionStreams(bus, testStreams());
  return { bus, environment: { NATS_URL: nats.url, NATS_NKEY: seedFile } };
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

it("block-list.mjs needs no more than the page says", async () => {
  const { bus, environment } = await startLockedNats("block-list.mjs");
  await publishVerdict(bus, blockVerdict("203.0.113.1"));
  const list = start(["node", "node/block-list.mjs"], environment);
  expect(await list.exited(), list.output).toBe(0);
  expect(list.output).toBe("203.0.113.1 vertical until it is lifted\n");
});

it("watch.mjs may publish nothing", async () => {
  const { bus, environment } = await startLockedNats("watch.mjs", ["packetwatch.v1.verdict.>"]);
  const watch = start(["node", "node/watch.mjs"], environment);
  await publishUntil(bus, watch, () => watch.output.includes("block 203.0.113.1"));
  expect(permissionsOnPage("watch.mjs").publish).toEqual([]);
});

it("the relays need no more than the page says", async () => {
  const { bus, environment } = await startLockedNats("the relays");
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
