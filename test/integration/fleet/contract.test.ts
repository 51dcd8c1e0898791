import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Bus, connectBus } from "@packetwatch/bus";
import { createSynEvent, SynBatch } from "@packetwatch/contracts";
import { Ajv, type ValidateFunction } from "ajv";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse } from "yaml";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import { startFleet } from "../../support/fleet.ts";
import { freePort } from "../../support/nats.ts";
import {
  blockVerdict,
  publishVerdict,
  timedBlockVerdict,
  unblockVerdict,
} from "../../support/published-verdicts.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { SynInjector } from "../../support/syn-injector.ts";

const TIMEOUT_MS = 30_000;
const COMMAND = fileURLToPath(new URL("../../../build/packetwatch.js", import.meta.url));
const docs = new URL("../../../docs/", import.meta.url);
const document = parse(readFileSync(new URL("asyncapi.yaml", docs), "utf8")) as AsyncApi;

type AsyncApi = {
  readonly channels: Readonly<Record<string, { address: string; messages: Record<string, Ref> }>>;
  readonly components: { readonly messages: Readonly<Record<string, { payload: Partial<Ref> }>> };
};
type Ref = { readonly $ref: string };
type Message = { readonly subject: string; readonly payload: Uint8Array };

const cleanup = new Cleanup();
const messages: Message[] = [];
let bus: Bus;

/** Everything that a fleet with one host says while its sources scan, are blocked and are lifted. */
beforeAll(async () => {
  const fleet = await startFleet(cleanup);
  const logger = new RecordingLogger();
  bus = cleanup.own(await connectBus({ servers: [fleet.nats.url], name: "test", logger }));
  for (const subject of ["packetwatch.>", "$KV.>"]) {
    const callback = (_: unknown, { subject, data }: { subject: string; data: Uint8Array }) =>
      void messages.push({ subject, payload: data });
    bus.connection.subscribe(subject, { callback });
  }
  const host = fleet.addHost("web-1");
  await Promise.all([
    fleet.start("metrics", { PW_PROMETHEUS_PORT: String(await freePort()) }),
    fleet.start("detector", {
      PW_SPREAD_ACTION: "alert",
      PW_SPREAD_TARGET_THRESHOLD: "2",
      PW_MAX_BLOCKS_PER_MINUTE: "1",
    }),
    host.start("capture", "enforcer"),
  ]);
  const injector = cleanup.own(new SynInjector(host.pinFolder("lo")));
  injector.send({ source: "203.0.113.1", port: 80 });
  for (const port of [80, 81, 82]) injector.send({ source: "203.0.113.2", port });
  await heard((message) => message.subject === "packetwatch.v1.applied.web-1", "an applied block");
  await publishVerdict(bus, unblockVerdict("203.0.113.2"));
  await publishVerdict(bus, timedBlockVerdict("203.0.113.3", 1));
  await publishVerdict(bus, blockVerdict("2001:db8:0:1::/64", { rule: "operator", reason: "x" }));
  for (const action of ["blocked", "lifted"]) {
    await heard((message) => text(message).includes(`"action":"${action}"`), `a source ${action}`);
  }
  // The second block within a minute opens the breaker.
  for (const port of [80, 81, 82]) injector.send({ source: "203.0.113.4", port });
  await command(fleet.nats.url, "allow", "add", "192.0.2.0/24", "--comment", "x");
  await command(fleet.nats.url, "enforce", "off");
  await command(fleet.nats.url, "blocked", "--json");
  for (const channel of Object.keys(document.channels)) {
    await heard((message) => channelOf(message) === channel, `a message on ${channel}`);
  }
  for (const service of ["capture", "detector", "enforcer", "kernel", "metrics"]) {
    const subject = `packetwatch.v1.telemetry.${service}.`;
    await heard((message) => message.subject.startsWith(subject), `telemetry of ${service}`);
  }
});
afterAll(() => cleanup.run());

/** An operator's command, which asks and writes what no service does by itself. */
async function command(natsUrl: string, ...args: readonly string[]): Promise<void> {
  // Else it would find the key of an 'up' that ran in this tree, which this NATS doesn't know.
  const runDir = join(tmpdir(), "packetwatch-none");
  const env = { PATH: process.env["PATH"], PW_NATS_URL: natsUrl, PW_RUN_DIR: runDir };
  await promisify(execFile)(process.execPath, [COMMAND, ...args], { env });
}

function heard(is: (message: Message) => boolean, what: string): Promise<unknown> {
  return waitUntil(() => messages.some(is), { timeoutMs: TIMEOUT_MS, what });
}

function text({ payload }: Message): string {
  return Buffer.from(payload).toString();
}

/** The channel of asyncapi.yaml whose address the subject has; `{address}` and `{scope}` stand for several tokens. */
function channelOf({ subject }: Message): string | undefined {
  return Object.entries(document.channels).find(([, { address }]) => {
    const pattern = address
      .replaceAll(/[.$]/g, "\\$&")
      .replace("{address}", "(?:ip4|ip6)(?:\\.[0-9a-f]+)+(?:\\.s\\d+)?")
      .replace("{scope}", "[^.]+(?:\\.[^.]+){1,2}")
      .replaceAll(/\{\w+\}/g, "[^.]+");
    return new RegExp(`^${pattern}$`).test(subject);
  })?.[0];
}

it("a running fleet says nothing on subjects that asyncapi.yaml doesn't have", () => {
  const strangers = messages.filter((message) => channelOf(message) === undefined);
  expect(strangers.map(({ subject }) => subject)).toEqual([]);
});

it.each(["verdict", "alert", "applied", "telemetry", "allowlist", "enforcement", "hosts"])(
  "each %s of a running fleet is valid by the published schema",
  (channel) => {
    const isValid = schemaOf(channel);
    const sent = messages.filter((message) => channelOf(message) === channel).filter(isWritten);
    expect(sent.length).toBeGreaterThan(0);
    for (const message of sent) {
      expect(isValid(JSON.parse(text(message))) ? [] : isValid.errors, text(message)).toEqual([]);
    }
  },
);

/** A deleted key of a bucket has no payload. */
function isWritten({ payload }: Message): boolean {
  return payload.byteLength > 0;
}

/** By the document alone, as an integrator finds it: channel, first message, payload, file. */
function schemaOf(channel: string): ValidateFunction {
  const [first] = Object.values(document.channels[channel]?.messages ?? {});
  const name = first?.$ref.split("/").at(-1) ?? "";
  const file = document.components.messages[name]?.payload.$ref ?? "";
  const schema = JSON.parse(readFileSync(new URL(file, docs), "utf8")) as object;
  return new Ajv({ allowUnionTypes: true }).compile(schema);
}

it("each SYN batch is one by the codec that the document names, with all attempts", () => {
  const event = createSynEvent();
  const ports: number[] = [];
  for (const { payload } of messages.filter((message) => channelOf(message) === "syn")) {
    const batch = new SynBatch(payload);
    expect(batch.header).toMatchObject({ family: 4, host: "web-1", interfaceName: "lo" });
    for (let index = 0; index < batch.count; index++) {
      batch.read(index, event);
      ports.push(event.destinationPort);
    }
  }
  expect(ports.toSorted((a, b) => a - b)).toEqual([80, 80, 80, 81, 81, 82, 82]);
});

it("a detector's word in the KV bucket is empty", () => {
  const words = messages.filter((message) => channelOf(message) === "detectors");
  for (const { payload } of words) expect(payload.byteLength).toBe(0);
});
