import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Bus, connectBus, provisionStreams, publishAcknowledged } from "@packetwatch/bus";
import {
  DETECTOR_BUCKET,
  type Role,
  roleNames,
  streamNames,
  synSubject,
  verdictSubject,
} from "@packetwatch/contracts";
import { parsePrefix } from "@packetwatch/net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PermissionViolationError } from "@nats-io/transport-node";
import { waitUntil } from "../../support/eventually.ts";
import { type LockedNats, prepareLockedNats } from "../../support/locked-nats.ts";
import { type NatsServer, startNats } from "../../support/nats.ts";
import { runPacketwatch } from "../../support/packetwatch-command.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { testStreams } from "../../support/streams.ts";

const verdict = verdictSubject(parsePrefix("203.0.113.9"));
const syn = synSubject(7);
const alert = "packetwatch.v1.alert.vertical.ip4.203.0.113.9";
const applied = "packetwatch.v1.applied.web-1";
const telemetry = (service: string) => `packetwatch.v1.telemetry.${service}.x-1`;
const detectors = `$KV.${DETECTOR_BUCKET}.me`;
const allowlist = "$KV.packetwatch_allowlist.rule";
const stream = (verb: string, name: string) => `$JS.API.STREAM.${verb}.${name}`;
const consumer = (name: string, filter: string) => `$JS.API.CONSUMER.CREATE.${name}.c1.${filter}`;

/** Everything that somebody may want to publish, by whom it is permitted; all others are refused. */
const publishing: Readonly<Record<string, readonly Role[]>> = {
  [syn]: ["capture"],
  [verdict]: ["detector", "operator"],
  [alert]: ["detector"],
  [applied]: ["enforcer"],
  [telemetry("capture")]: ["capture"],
  [telemetry("kernel")]: ["capture"],
  [telemetry("detector")]: ["detector"],
  [telemetry("enforcer")]: ["enforcer"],
  [telemetry("metrics")]: ["metrics"],
  "packetwatch.v1.host.web-1.blocks": ["operator"],
  [detectors]: ["detector"],
  [allowlist]: ["operator"],
  "packetwatch.v2.anything": [],
  "somebody.else": [],
  "$SYS.REQ.SERVER.PING": [],
  "$SRV.PING": ["operator"],
  "$JS.API.INFO": ["detector", "operator", "provisioner", "relay"],
  "$JS.API.STREAM.LIST": ["operator", "provisioner"],
  [stream("INFO", streamNames.verdict)]: [
    "detector",
    "enforcer",
    "operator",
    "provisioner",
    "relay",
  ],
  [stream("CREATE", streamNames.verdict)]: ["detector", "provisioner"],
  [stream("CREATE", "SOMETHING_ELSE")]: [],
  [stream("UPDATE", streamNames.verdict)]: ["provisioner"],
  [stream("DELETE", streamNames.syn)]: ["provisioner"],
  [stream("DELETE", streamNames.verdict)]: ["provisioner"],
  [stream("DELETE", streamNames.history)]: ["provisioner"],
  [stream("DELETE", `KV_${DETECTOR_BUCKET}`)]: ["provisioner"],
  [stream("PURGE", streamNames.verdict)]: ["provisioner"],
  [stream("MSG.DELETE", streamNames.verdict)]: [],
  [stream("SNAPSHOT", streamNames.verdict)]: [],
  [consumer(streamNames.syn, "packetwatch.v1.syn.7")]: ["detector", "operator"],
  [consumer(streamNames.verdict, "packetwatch.v1.verdict.>")]: [
    "detector",
    "enforcer",
    "operator",
    "relay",
  ],
  [consumer(streamNames.history, ">")]: ["detector", "operator", "relay"],
  [consumer(`KV_${DETECTOR_BUCKET}`, `$KV.${DETECTOR_BUCKET}.>`)]: ["detector", "operator"],
  [`$JS.API.DIRECT.GET.${streamNames.verdict}`]: ["operator"],
  [`$JS.API.CONSUMER.DURABLE.CREATE.${streamNames.verdict}.mine`]: [],
  [`$JS.API.CONSUMER.DURABLE.CREATE.${streamNames.history}.mine`]: ["relay"],
  [`$JS.ACK.${streamNames.history}.mine.1.1.1.1.0`]: ["relay"],
  [`$JS.ACK.${streamNames.syn}.mine.1.1.1.1.0`]: [],
};

const subscribing: Readonly<Record<string, readonly Role[]>> = {
  "packetwatch.v1.syn.*": ["integrator", "operator"],
  "packetwatch.v1.verdict.>": ["integrator", "operator"],
  "packetwatch.v1.alert.>": ["integrator", "operator"],
  "packetwatch.v1.applied.*": ["integrator", "operator"],
  "packetwatch.v1.telemetry.*.*": ["integrator", "metrics", "operator"],
  "packetwatch.v1.>": ["operator"],
  "packetwatch.v1.host.web-1.blocks": ["enforcer", "operator"],
  "$SRV.PING": ["capture", "detector", "enforcer", "metrics"],
  ">": [],
  "_INBOX.>": [],
  "$JS.API.>": [],
  "$KV.>": [],
  "$SYS.>": [],
};

let folder: string;
let nats: NatsServer;
let locked: LockedNats;
const buses = new Map<Role, Bus>();
let tester: Bus;

async function connect(role: Role): Promise<Bus> {
  const access = { nkeyFile: locked.keys.seedFile(role) };
  return connectBus({ servers: [nats.url], access, name: role, logger: new RecordingLogger() });
}

function busOf(role: Role): Bus {
  const bus = buses.get(role);
  if (!bus) throw new Error(`${role} is not connected`);
  return bus;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "packetwatch-roles-"));
  locked = prepareLockedNats(join(folder, "keys"));
  nats = await startNats({ arguments: ["-c", locked.configFile] });
  const logger = new RecordingLogger();
  tester = await connectBus({ servers: [nats.url], name: "tester", logger });
  await provisionStreams(tester, testStreams());
  for (const role of roleNames) buses.set(role, await connect(role));
});

afterAll(async () => {
  await Promise.all([...buses.values(), tester].map((bus) => bus.close()));
  await nats.stop();
  rmSync(folder, { recursive: true });
});

/** The subjects that NATS refuses in the course of `work`. */
async function refusedDuring(role: Role, work: (bus: Bus) => void): Promise<readonly string[]> {
  const { connection } = busOf(role);
  const refused: string[] = [];
  const statuses = connection.status();
  const reading = (async () => {
    for await (const status of statuses) {
      if (status.type === "error" && status.error instanceof PermissionViolationError) {
        refused.push(status.error.subject);
      }
    }
  })();
  work(busOf(role));
  // Answers come in order: what was refused is known when this returns, and told in the next turn.
  await connection.flush();
  await new Promise((resolve) => setImmediate(resolve));
  (statuses as unknown as { stop(): void }).stop();
  await reading;
  return refused;
}

describe.each(roleNames)("%s", (role) => {
  // A payload that no JetStream API takes for a request that changes anything.
  const payload = new TextEncoder().encode("{}");

  it("may publish what its role needs, and nothing else", async () => {
    const refused = await refusedDuring(role, ({ connection }) => {
      for (const subject of Object.keys(publishing)) {
        if (mayBeTried(subject, role)) connection.publish(subject, payload);
      }
    });
    const expected = Object.keys(publishing).filter(
      (subject) => !publishing[subject]?.includes(role),
    );
    expect(refused.toSorted()).toEqual(expected.toSorted());
  });

  it("may subscribe to what its role needs, and nothing else", async () => {
    const refused = await refusedDuring(role, ({ connection }) => {
      for (const subject of Object.keys(subscribing)) {
        connection.subscribe(subject, { callback: () => undefined });
      }
    });
    const expected = Object.keys(subscribing).filter(
      (subject) => !subscribing[subject]?.includes(role),
    );
    expect(refused.toSorted()).toEqual(expected.toSorted());
  });

  it("can't read the answers to anybody else", async () => {
    const others = roleNames.filter((name) => name !== role).map((name) => inboxOf(busOf(name)));
    const refused = await refusedDuring(role, ({ connection }) => {
      for (const inbox of others) connection.subscribe(inbox, { callback: () => undefined });
    });
    expect(refused.toSorted()).toEqual(others.toSorted());
  });
});

/** Removing a stream works, and the others of this file need it. */
function mayBeTried(subject: string, role: Role): boolean {
  return !(role === "provisioner" && /STREAM\.(DELETE|PURGE)\./.test(subject));
}

function inboxOf({ connection }: Bus): string {
  const { options } = connection as unknown as { options: { inboxPrefix: string } };
  return `${options.inboxPrefix}.>`;
}

describe("an answer can't be led to where its asker may not publish", () => {
  const verdicts = async () => {
    const logger = new RecordingLogger();
    const bus = await connectBus({ servers: [nats.url], name: "look", logger });
    const heard: string[] = [];
    bus.connection.subscribe("packetwatch.v1.verdict.>", {
      callback: (_error, { subject }) => {
        heard.push(subject);
      },
    });
    await bus.connection.flush();
    return { heard, bus };
  };

  it("the acknowledgement of a capture's batch does not become a verdict", async () => {
    const { heard, bus } = await verdicts();
    const capture = busOf("capture");
    capture.connection.publish(syn, new Uint8Array([1]), { reply: `${verdict}1` });
    await publishAcknowledged(capture, syn, new Uint8Array([2]));
    await publishAcknowledged(busOf("operator"), `${verdict}2`, new Uint8Array([3]));
    await waitUntil(() => heard.length > 0, { timeoutMs: 5000, what: "the operator's verdict" });
    await bus.close();
    expect(heard).toEqual([`${verdict}2`]);
  });
});

describe("the services framework", () => {
  it("shows the operator services of every account", async () => {
    for (const role of ["capture", "enforcer"] as const) {
      busOf(role).connection.subscribe("$SRV.INFO", {
        callback: (_error, message) => {
          message.respond(role);
        },
      });
      await busOf(role).connection.flush();
    }
    const answers: string[] = [];
    const asked = await busOf("operator").connection.requestMany("$SRV.INFO", "", {
      strategy: "count",
      maxMessages: 2,
      maxWait: 10_000,
    });
    for await (const answer of asked) answers.push(answer.string());
    expect(answers.toSorted()).toEqual(["capture", "enforcer"]);
  });
});

describe("streams", () => {
  const differing = testStreams({ synBytes: 32 * 1024 ** 2 });
  const sizeOfSyn = async () => {
    const info = await tester.jetstream.jetstreamManager();
    return (await info.streams.info(streamNames.syn)).config.max_bytes;
  };

  it("the provisioner removes one, and a detector makes it again", async () => {
    const manager = await busOf("provisioner").jetstream.jetstreamManager();
    expect(await manager.streams.delete(streamNames.syn)).toBe(true);
    await provisionStreams(busOf("detector"), testStreams());
    expect(await sizeOfSyn()).toBe(16 * 1024 ** 2);
  });

  it("a detector whose settings differ changes nothing and says so", async () => {
    const logger = new RecordingLogger();
    await provisionStreams(busOf("detector"), differing, { logger });
    expect(await sizeOfSyn()).toBe(16 * 1024 ** 2);
    expect(logger.messages("warn")).toContainEqual(
      expect.stringContaining("differs from the settings"),
    );
  });

  it("the provisioner changes it; whoever may not fails when it must not wait", async () => {
    await expect(
      provisionStreams(busOf("detector"), differing, { whenForbidden: "fail" }),
    ).rejects.toMatchObject({ code: "STREAM", retryable: false });
    await provisionStreams(busOf("provisioner"), differing, { whenForbidden: "fail" });
    expect(await sizeOfSyn()).toBe(32 * 1024 ** 2);
  });
});

describe("a key that is for one host", () => {
  it("can't speak for another", async () => {
    locked.keys.add({ name: "enforcer-web-1", role: "enforcer", host: "web-1" });
    await locked.reload(nats);
    const access = { nkeyFile: locked.keys.seedFile("enforcer-web-1") };
    const logger = new RecordingLogger();
    const bus = await connectBus({ servers: [nats.url], access, name: "web-1", logger });
    buses.set("enforcer", bus);
    const refused = await refusedDuring("enforcer", ({ connection }) => {
      connection.publish("packetwatch.v1.applied.web-1", "{}");
      connection.publish("packetwatch.v1.applied.web-2", "{}");
    });
    expect(refused).toEqual(["packetwatch.v1.applied.web-2"]);
  });
});

describe("a command with the key of another role", () => {
  it.each([
    ["capture", ["block", "203.0.113.1"]],
    ["capture", ["status"]],
    ["integrator", ["allow", "add", "203.0.113.1"]],
    ["metrics", ["breaker", "close"]],
  ] as const)("as %s, %j ends at once with one line", async (role, args) => {
    const settings = { PW_NATS_URL: nats.url, PW_NATS_NKEY_FILE: locked.keys.seedFile(role) };
    const { code, out, errors } = await runPacketwatch({
      settings,
      args: [...args, "--timeout", "600"],
    });
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(errors).toMatch(/^packetwatch: NATS forbids '\w+ \$\S+' with these credentials .*\n$/);
  });
});
