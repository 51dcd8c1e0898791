import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Bus, connectBus, provisionStreams, publishAcknowledged } from "@packetwatch/bus";
import {
  type Applied,
  appliedSubject,
  decodeVerdict,
  encodeApplied,
  encodeTelemetry,
  encodeVerdict,
  subjects,
  telemetrySubject,
  type Verdict,
  verdictSubject,
} from "@packetwatch/contracts";
import { parsePrefix } from "@packetwatch/net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { blockOf } from "../../cli/src/testing/payloads.ts";
import { type NatsServer, startNats } from "../support/nats.ts";
import { testStreams } from "../support/streams.ts";

const BUNDLE = fileURLToPath(new URL("../../build/packetwatch.js", import.meta.url));
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
let nats: NatsServer;
let bus: Bus;
const undo: (() => void)[] = [];

beforeAll(async () => {
  nats = await startNats();
  bus = await connectBus({ servers: [nats.url], name: "block-list.test", logger: quiet });
});
afterEach(() => {
  for (const step of undo.splice(0)) step();
});
afterAll(async () => {
  await bus.close();
  await nats.stop();
});

function packetwatch(...args: readonly string[]) {
  const env = { ...process.env, PW_NATS_URL: nats.url, SUDO_USER: "alice", PW_HOST: "desk" };
  const child = spawn(process.execPath, [BUNDLE, ...args], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { out: "", errors: "" };
  child.stdout.on("data", (chunk: Buffer) => (said.out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said.errors += chunk.toString()));
  return new Promise<{ code: number | null; out: string; errors: string }>((resolve) => {
    child.once("close", (code) => resolve({ code, ...said }));
  });
}

/**
 * Speaks as an enforcer does: telemetry each second, and a word on every
 * verdict. A lagging one is still busy with other verdicts.
 */
function startEnforcer(host: string, pace: "prompt" | "lagging"): void {
  const telemetry = {
    version: 1 as const,
    service: "enforcer",
    instance: host,
    host,
    sentUs: 1,
    metrics: [],
  };
  const say = (verdict: Pick<Verdict, "id" | "source" | "kind">) =>
    bus.connection.publish(appliedSubject(host), encodeApplied(appliedOf(host, verdict)));
  const timer = setInterval(() => {
    bus.connection.publish(telemetrySubject("enforcer", host), encodeTelemetry(telemetry));
    if (pace === "lagging") say({ id: "another", source: "192.0.2.61", kind: "unblock" });
  }, 1000);
  undo.push(() => clearInterval(timer));
  if (pace === "lagging") return;
  const subscription = bus.connection.subscribe(subjects.everyVerdict, {
    callback: (_error, { data }) => say(decodeVerdict(data)),
  });
  undo.push(() => subscription.unsubscribe());
}

function appliedOf(
  host: string,
  { id, source, kind }: Pick<Verdict, "id" | "source" | "kind">,
): Applied {
  return {
    version: 1,
    host,
    interfaces: ["eth0"],
    verdictId: id,
    source,
    action: kind === "block" ? "blocked" : "lifted",
    streamSequence: 1,
    appliedUs: 1,
    reactionUs: null,
  };
}

async function block(source: string, members: Parameters<typeof blockOf>[0] = {}): Promise<void> {
  const verdict = blockOf({ id: `block-${source}`, source, ...members });
  await publishAcknowledged(bus, verdictSubject(parsePrefix(source)), encodeVerdict(verdict));
}

describe("packetwatch blocked and unblock", () => {
  it("say what to do when there is no verdict stream yet", async () => {
    const { code, errors } = await packetwatch("blocked", "--timeout", "0.5");
    expect(code).toBe(1);
    expect(errors).toMatch(
      /^packetwatch: read stream PACKETWATCH_VERDICT: .*; is a detector running\?\n$/,
    );
  });

  it("list what is in force, lift it on every host, and list it no more", async () => {
    await provisionStreams(bus, testStreams());
    startEnforcer("host-a", "prompt");
    startEnforcer("host-b", "prompt");
    await block("192.0.2.56");
    await block("192.0.2.57", { expiresUs: 1 });
    await block("2001:db8::/64");

    const listed = await packetwatch("blocked", "--json");
    const sources = listed.out
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { source: string }).source);
    expect(sources.sort()).toEqual(["192.0.2.56", "2001:db8::/64"]);

    const lifted = await packetwatch("unblock", "192.0.2.56", "--reason", "mine");
    expect(lifted).toMatchObject({ code: 0, errors: "" });
    expect(lifted.out).toMatch(/^lifted on 2\/2 hosts in \d+ ms\n$/);
    expect(await packetwatch("unblock", "2001:db8::5")).toMatchObject({ code: 0 });
    expect((await packetwatch("blocked")).out).toBe("nothing is blocked\n");
  });

  it("the verdict names who decided it, and why", async () => {
    const verdicts: Uint8Array[] = [];
    const subscription = bus.connection.subscribe(subjects.everyVerdict, {
      callback: (_error, { data }) => void verdicts.push(data),
    });
    undo.push(() => subscription.unsubscribe());
    startEnforcer("host-a", "prompt");
    await block("192.0.2.60", { id: "block-60" });
    await packetwatch("unblock", "192.0.2.60", "--reason", "mine");
    expect(verdicts.map(decodeVerdict).at(-1)).toMatchObject({
      kind: "unblock",
      source: "192.0.2.60",
      decidedBy: "operator/alice@desk",
      reason: "mine",
    });
  });

  it("name the hosts that did not confirm, and fail", async () => {
    startEnforcer("host-a", "prompt");
    startEnforcer("host-c", "lagging");
    await block("192.0.2.61");
    const { code, out, errors } = await packetwatch("unblock", "192.0.2.61", "--timeout", "2");
    expect(code).toBe(1);
    expect(out).toMatch(/^lifted on 1\/2 hosts/);
    expect(errors).toBe("packetwatch: 1 host did not confirm within 2 s: host-c\n");
  });

  it.each([
    ["192.0.2.99", "packetwatch: 192.0.2.99 is not blocked; 'packetwatch blocked' lists what is\n"],
    ["example.com", 'packetwatch: "example.com" is not '],
  ])("unblock %s is refused in one line", async (address, message) => {
    const { code, out, errors } = await packetwatch("unblock", address);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(errors.startsWith(message)).toBe(true);
    expect(errors.trimEnd()).not.toContain("\n");
  });
});
