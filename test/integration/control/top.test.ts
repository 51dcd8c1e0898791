import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type Bus, connectBus } from "@packetwatch/bus";
import { synSubject } from "@packetwatch/contracts";
import { afterAll, beforeAll, expect, it } from "vitest";
import { synBatch } from "../../../cli/src/testing/payloads.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type NatsServer, startNats } from "../../support/nats.ts";
import { jsonLines, runPacketwatch } from "../../support/packetwatch-command.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";

const BUNDLE = fileURLToPath(new URL("../../../build/packetwatch.js", import.meta.url));
const TIMEOUT_MS = 60_000;
let nats: NatsServer;
let bus: Bus;
let traffic: NodeJS.Timeout;
let terminal: ChildProcess | undefined;

beforeAll(async () => {
  nats = await startNats();
  bus = await connectBus({ servers: [nats.url], name: "test", logger: new RecordingLogger() });
  const heavy = synBatch([{ port: 1 }, { port: 2 }, { port: 3 }]);
  const light = synBatch([{ source: "192.0.2.57" }], { host: "host-b" });
  traffic = setInterval(() => {
    for (const batch of [heavy, light]) bus.connection.publish(synSubject(1), batch);
  }, 20);
});
afterAll(async () => {
  clearInterval(traffic);
  terminal?.kill("SIGKILL");
  await bus.close();
  await nats.stop();
});

const top = (...args: readonly string[]) =>
  runPacketwatch({ settings: { PW_NATS_URL: nats.url }, args: ["top", ...args] });

it("once: the sources by their rate, as JSON", async () => {
  const ran = await top("--once", "--interval", "500ms", "--json");
  expect(ran).toMatchObject({ code: 0, errors: "" });
  const [snapshot, ...more] = jsonLines(ran);
  expect(more).toEqual([]);
  expect(snapshot).toMatchObject({ sources: 2, hosts: 2, maxError: 0 });
  const rows = snapshot?.["top"] as readonly { source: string; perSecond: number }[];
  expect(rows.map(({ source }) => source)).toEqual(["192.0.2.56", "192.0.2.57"]);
  expect(rows[0]?.perSecond).toBeGreaterThan(rows[1]?.perSecond ?? 0);
});

it("in a pipe: plain text, without control characters", async () => {
  const { code, out } = await top("--once", "--interval", "500ms", "--limit", "1");
  expect(code).toBe(0);
  expect(out).toMatch(/SOURCE +RATE\/S +TOTAL +PORTS +DESTINATIONS +LAST\n192\.0\.2\.56 /);
  expect(out).not.toContain("192.0.2.57");
  expect(out).not.toContain("\u001b");
  console.log(out);
});

it("on a terminal: redrawn, sorted anew by a key, ended by q", async () => {
  const command = `${process.execPath} ${BUNDLE} top --interval 300ms`;
  terminal = spawn("script", ["-qfec", command, "/dev/null"], {
    env: { PATH: process.env["PATH"], PW_NATS_URL: nats.url, TERM: "xterm" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let out = "";
  terminal.stdout?.on("data", (chunk: Buffer) => (out += chunk.toString()));
  const exited = once(terminal, "exit");
  await waitUntil(() => out.split("\u001b[H\u001b[J").length > 3, {
    timeoutMs: TIMEOUT_MS,
    what: "three tables",
  });
  terminal.stdin?.write("l");
  terminal.stdin?.write("q");
  expect(await exited).toEqual([0, null]);
  expect(out).toContain("counting; the first table comes in 0.3s");
  expect(out).toContain("192.0.2.56");
});

it("where NATS does not answer: one line", async () => {
  const ran = await runPacketwatch({
    settings: { PW_NATS_URL: "nats://127.0.0.1:1" },
    args: ["top", "--timeout", "0.5"],
  });
  expect(ran).toMatchObject({ code: 1, out: "" });
  expect(ran.errors).toMatch(/^packetwatch: NATS isn't reachable at .*\n$/);
});
