import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Bus, connectBus, publishAcknowledged } from "@packetwatch/bus";
import {
  decodeAlert,
  decodeVerdict,
  encodeSynRecordingEntry,
  encodeSynRecordingHeader,
  streamNames,
  synSubject,
} from "@packetwatch/contracts";
import { parseAddress, shardOf, sourceKey } from "@packetwatch/net";
import { jetstreamManager } from "@nats-io/jetstream";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Attempt, synBatch, TIME_US } from "../../cli/src/testing/payloads.ts";
import { waitUntil } from "../support/eventually.ts";
import { type NatsServer, startNats } from "../support/nats.ts";
import { ServiceProcess } from "../support/service-process.ts";

const BUILD = fileURLToPath(new URL("../../build/", import.meta.url));
const TIMEOUT_MS = 20_000;
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

let nats: NatsServer;
let bus: Bus;
let detector: ServiceProcess;
let folder: string;
let files = 0;
const running: ChildProcess[] = [];

beforeAll(async () => {
  nats = await startNats();
  bus = await connectBus({ servers: [nats.url], name: "replay.test", logger: quiet });
  folder = mkdtempSync(join(tmpdir(), "packetwatch-replay-"));
  const environment = { PW_NATS_URL: nats.url, PW_HOST: "host-d" };
  detector = new ServiceProcess({ bundle: join(BUILD, "detector.js"), environment });
  await detector.logged("shards assigned");
  await publishTraffic();
  // The history has a copy of each verdict, a moment later.
  await waitUntil(async () => (await sequences()).join() === "2,3,55", {
    timeoutMs: TIMEOUT_MS,
    what: "two blocks and an alert",
  });
});
afterEach(() => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
});
afterAll(async () => {
  await detector.close();
  await bus.close();
  await nats.stop();
  rmSync(folder, { recursive: true, force: true });
});

const newFile = () => join(folder, `${files++}.pwsyn`);

type Batch = { readonly attempts: readonly Attempt[]; readonly family?: 4 | 6 };

const at = (seconds: number) => TIME_US + seconds * 1e6;
const scanOfPorts: Batch = {
  attempts: [22, 80, 443].map((port, step) => ({ source: "192.0.2.9", port, timeUs: at(step) })),
};
const scanFromOnePrefix: Batch = {
  family: 6,
  attempts: [1, 2, 3].map((host) => ({
    source: `2001:db8:0:1::${host}`,
    destination: "2001:db8::5",
    port: 8000 + host,
    timeUs: at(host),
  })),
};
const scanOfAddresses: Batch = {
  attempts: Array.from({ length: 24 }, (_, host) => ({
    source: "192.0.2.44",
    destination: `10.0.1.${host}`,
    port: 22,
    timeUs: at(host),
  })),
};
const itsDecidingAttempt: Batch = {
  attempts: [{ source: "192.0.2.44", destination: "10.0.2.1", port: 23, timeUs: at(60) }],
};
const visits: readonly Batch[] = Array.from({ length: 50 }, (_, index) => ({
  attempts: [80, 443].map((port) => ({ source: `198.51.100.${index}`, port, timeUs: at(index) })),
}));
const allowedScan: Batch = {
  attempts: [1, 2, 3, 4].map((port) => ({ source: "192.0.2.200", port, flags: 1 })),
};

/** Three scans, many visits, and a scan of an allow-listed source. */
async function publishTraffic(): Promise<void> {
  const [some, others] = [visits.slice(0, 25), visits.slice(25)];
  const scans = [scanOfPorts, scanFromOnePrefix, scanOfAddresses, allowedScan];
  for (const batch of [...some, ...scans, ...others, itsDecidingAttempt]) await publish(batch);
}

async function publish({ attempts, family = 4 }: Batch): Promise<void> {
  const source = parseAddress(attempts[0]?.source ?? "");
  const subject = synSubject(shardOf(...sourceKey(source, 64)));
  await publishAcknowledged(bus, subject, synBatch(attempts, { family }));
}

/** What the detector has published. */
async function published() {
  const verdicts = await messagesOf(streamNames.verdict);
  const alerts = (await messagesOf(streamNames.history)).filter(({ subject }) =>
    subject.startsWith("packetwatch.v1.alert."),
  );
  const blocks = verdicts.map(({ data }) => decodeVerdict(data));
  const notices = alerts.map(({ data }) => decodeAlert(data));
  return [
    ...blocks.map(({ id, source }) => ({ action: "block", id, source })),
    ...notices.map(({ id, source }) => ({ action: "alert", id, source })),
  ];
}

async function messagesOf(stream: string) {
  const manager = await jetstreamManager(bus.connection);
  const { state } = await manager.streams.info(stream);
  const messages = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await manager.streams.getMessage(stream, { seq });
    if (message !== null) messages.push(message);
  }
  return messages;
}

async function sequences() {
  const manager = await jetstreamManager(bus.connection);
  const names = [streamNames.verdict, streamNames.history, streamNames.syn];
  const infos = await Promise.all(names.map((name) => manager.streams.info(name)));
  return infos.map(({ state }) => state.last_seq);
}

type Environment = Readonly<Record<string, string>>;

function spawnCommand(args: readonly string[], environment: Environment = {}) {
  const env = { PATH: process.env["PATH"], TZ: "UTC", PW_NATS_URL: nats.url, ...environment };
  const child = spawn(process.execPath, [join(BUILD, "packetwatch.js"), ...args], { env });
  running.push(child);
  const said = { output: "", errors: "" };
  child.stdout.on("data", (chunk: Buffer) => (said.output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said.errors += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  return { child, said, ended: ended.then((code) => ({ code, ...said })) };
}

const run = (args: readonly string[], environment?: Environment) =>
  spawnCommand(args, environment).ended;

async function replayJson(args: readonly string[], environment?: Environment) {
  const { code, output, errors } = await run(["replay", "--json", ...args], environment);
  expect({ code, errors }).toEqual({ code: 0, errors: "" });
  const rows = output
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { detections: rows.slice(0, -1), summary: rows.at(-1) };
}

/** All that the stream holds. */
async function recordAll(): Promise<string> {
  const file = newFile();
  const { code, output, errors } = await run(["record", "--no-follow", file]);
  expect({ code, errors }).toEqual({ code: 0, errors: "" });
  expect(output).toMatch(
    /^\S+: 135 attempts of 54 sources, 2021-04-28 13:28:05 to 2021-04-28 13:29:05 \(1m\); 55 batches, \d+ bytes\n$/,
  );
  expect(output).toContain(` ${statSync(file).size} bytes`);
  return file;
}

describe("packetwatch replay", () => {
  it("finds what the detector has published, by the same ids, in the stream and in a recording of it, and publishes nothing", async () => {
    const before = await sequences();
    const fromStream = await replayJson([]);
    const fromFile = await replayJson([await recordAll()]);

    expect(fromFile).toEqual(fromStream);
    const found = fromStream.detections.map(({ action, id, source }) => ({ action, id, source }));
    expect(found.toSorted(byId)).toEqual((await published()).toSorted(byId));
    expect(found.map(({ source }) => source)).toEqual([
      "192.0.2.9",
      "2001:db8:0:1::/64",
      "192.0.2.44",
    ]);
    expect(fromFile.summary).toMatchObject({
      attempts: 135,
      sources: 54,
      blocks: 2,
      alerts: 1,
      allowed: 4,
      allowedByOption: 0,
      rejected: 0,
      input: "whole",
    });
    expect(await sequences()).toEqual(before);
  });

  it("goes by the rules that it is given, then by the variables", async () => {
    const file = await recordAll();
    const sources = async (args: readonly string[], environment?: Environment) =>
      (await replayJson([file, ...args], environment)).detections.map(
        ({ action, rule, source }) => `${String(action)} ${String(rule)} ${String(source)}`,
      );
    expect(await sources(["--rules", "vertical=4/60s:block,spread=off"])).toEqual([]);
    expect(await sources(["--rules", "vertical=off,horizontal=24/5m:block,spread=off"])).toEqual([
      "block horizontal 192.0.2.44",
    ]);
    expect(await sources(["--rules", "spread=off"], { PW_VERTICAL_ACTION: "alert" })).toEqual([
      "alert vertical 192.0.2.9",
      "alert vertical 2001:db8:0:1::/64",
    ]);
    expect(await sources(["--allow", "192.0.2.0/28", "--allow", "2001:db8:0:1::/64"])).toEqual([
      "alert spread 192.0.2.44",
    ]);
  });

  it("prints a table and a summary", async () => {
    const { code, output, errors } = await run(["replay"]);
    expect({ code, errors }).toEqual({ code: 0, errors: "" });
    const lines = output.split("\n");
    expect(lines[1]).toMatch(
      /^2021-04-28 13:28:07 {2}block {3}vertical {2}192\.0\.2\.9 +host-a {2}10\.0\.0\.5 +22,80,443 +2021-04-28 13:28:05 {2}2021-04-28 13:28:07$/,
    );
    expect(lines).toContain("would block 2 sources");
    expect(lines).toContain("allow-listed, and not counted: 4 attempts");
  });

  it("of the retained stream, --since takes the end", async () => {
    expect((await replayJson(["--since", "1ms"])).summary).toMatchObject({ attempts: 0 });
    expect((await replayJson(["--since", "1h"])).summary).toMatchObject({ attempts: 135 });
  });

  it("reads a recording that was cut off as far as it goes, and says so", async () => {
    const file = await recordAll();
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.subarray(0, bytes.length - 5));
    const { code, output, errors } = await run(["replay", file]);
    expect(code).toBe(0);
    expect(output).toContain("134 attempts");
    expect(errors).toMatch(/^packetwatch: the recording ends in the middle of a batch, .*\n$/);
  });

  it("counts a batch that isn't one, and judges the others", async () => {
    const file = await recordAll();
    const bytes = readFileSync(file);
    // The version of the first entry's batch: behind the two headers of 16 bytes.
    bytes[32] = 9;
    writeFileSync(file, bytes);
    const { code, output, errors } = await run(["replay", file]);
    expect(code).toBe(0);
    expect(output).toContain("133 attempts");
    expect(errors).toBe("packetwatch: 1 payload rejected: bad_version\n");
  });

  it.each([
    ["something else", "{}", "it does not begin with PWSYNREC"],
    ["nothing", "", "0 bytes are less than a header"],
    ["a header and rubbish", "PWSYNREC\u0001\0\0\0\0\0\0\0rubbish", "nothing in"],
    ["a header and zeros", `PWSYNREC\u0001${"\0".repeat(64)}`, "nothing in"],
  ])("fails where nothing can be read: %s", async (_name, content, said) => {
    const file = newFile();
    writeFileSync(file, content);
    const { code, output, errors } = await run(["replay", file]);
    expect({ code, output }).toEqual({ code: 1, output: "" });
    expect(errors).toContain(said);
  });

  it("a missing file, a rule that isn't one and a useless option each say what is wrong", async () => {
    expect(await run(["replay", join(folder, "none")])).toMatchObject({
      code: 1,
      errors: expect.stringMatching(/^packetwatch: read .*ENOENT/),
    });
    expect(await run(["replay", "--rules", "vertical=0/60s:block"])).toMatchObject({
      code: 2,
      errors: expect.stringContaining("the threshold is a whole number from 1 to 1024"),
    });
    expect(await run(["replay", "x", "--since", "1m"])).toMatchObject({
      code: 2,
      errors: expect.stringContaining("--since is for the retained stream"),
    });
  });
});

describe("packetwatch record", () => {
  it("records from now on, and ends in good order at Ctrl-C", async () => {
    const file = newFile();
    const recording = spawnCommand(["record", file]);
    await waitUntil(() => existsSync(file) && statSync(file).size >= 16, {
      timeoutMs: TIMEOUT_MS,
      what: "the recording to begin",
    });
    for (const batch of visits) await publish(batch);
    const entries = visits.map(({ attempts }) =>
      encodeSynRecordingEntry({ shard: 1, storedUs: 1, batch: synBatch(attempts) }),
    );
    const whole = Buffer.concat([encodeSynRecordingHeader(), ...entries]).length;
    await waitUntil(() => statSync(file).size >= whole, {
      timeoutMs: TIMEOUT_MS,
      what: "the visits to be recorded",
    });
    recording.child.kill("SIGINT");
    const { code, output, errors } = await recording.ended;
    expect({ code, errors }).toEqual({ code: 0, errors: "" });
    expect(output).toContain("100 attempts of 50 sources");
    expect((await replayJson([file])).summary).toMatchObject({ attempts: 100, input: "whole" });
  });

  it("ends by itself at its limits, before it is too long", async () => {
    const [byTime, byCount, bySize] = [newFile(), newFile(), newFile()];
    expect(await run(["record", "--for", "100ms", byTime])).toMatchObject({ code: 0, errors: "" });
    const limited = await run(["record", "--since", "1h", "--limit", "7", byCount]);
    expect(limited).toMatchObject({ code: 0, output: expect.stringContaining(": 8 attempts") });
    const full = await run(["record", "--since", "1h", "--max-bytes", "1KiB", bySize]);
    expect(full).toMatchObject({ code: 0, errors: expect.stringContaining("--max-bytes 1KiB") });
    expect(statSync(bySize).size).toBeGreaterThan(900);
    expect(statSync(bySize).size).toBeLessThanOrEqual(1024);
    for (const file of [byTime, byCount, bySize]) {
      expect((await replayJson([file])).summary).toMatchObject({ input: "whole" });
    }
  });

  it("with --json tells what it recorded as an object", async () => {
    const file = newFile();
    const { output, errors } = await run(["record", "--no-follow", "--json", file]);
    expect(JSON.parse(output)).toMatchObject({
      file,
      attempts: expect.any(Number),
      sources: expect.any(Number),
      first: expect.stringMatching(/^20.*Z$/),
      bytes: readFileSync(file).length,
      isFull: false,
    });
    const piped = await run(["record", "--no-follow", "--json", "-"]);
    const { file: _file, ...what } = JSON.parse(output) as { file: string };
    expect(JSON.parse(piped.errors)).toEqual({ file: "-", ...what });
    expect(errors).toBe("");
  });

  it("overwrites no file unless it is told to", async () => {
    const file = newFile();
    writeFileSync(file, "mine");
    expect(await run(["record", "--no-follow", file])).toMatchObject({
      code: 1,
      output: "",
      errors: `packetwatch: ${file} exists; --force overwrites it\n`,
    });
    expect(readFileSync(file, "utf8")).toBe("mine");
    expect(await run(["record", "--no-follow", "--force", file])).toMatchObject({ code: 0 });
    expect(readFileSync(file, "latin1").startsWith("PWSYNREC")).toBe(true);
  });

  it("goes through a pipe byte for byte, and from there to replay", async () => {
    const file = newFile();
    expect(await run(["record", "--no-follow", file])).toMatchObject({ code: 0 });
    const command = `"${process.execPath}" "${join(BUILD, "packetwatch.js")}"`;
    const recording = `${command} record --no-follow - 2>/dev/null`;
    const env = { PATH: process.env["PATH"], PW_NATS_URL: nats.url };
    const piped = execFileSync("sh", ["-c", recording], { env });
    expect(piped.equals(readFileSync(file))).toBe(true);

    const replay = `${recording} | ${command} replay - --json`;
    const output = execFileSync("sh", ["-c", replay], { encoding: "utf8", env });
    const summary = JSON.parse(output.trimEnd().split("\n").at(-1) ?? "") as object;
    expect(summary).toMatchObject({ kind: "summary", input: "whole", blocks: 2, alerts: 1 });
  });

  it("without the stream it fails in time, and leaves no file", async () => {
    const empty = await startNats();
    try {
      const file = newFile();
      const environment = { PW_NATS_URL: empty.url };
      const [recorded, replayed] = await Promise.all([
        run(["record", "--timeout", "1", file], environment),
        run(["replay", "--timeout", "1"], environment),
      ]);
      for (const { code, output, errors } of [recorded, replayed]) {
        expect({ code, output }).toEqual({ code: 1, output: "" });
        expect(errors).toMatch(/^packetwatch: read stream PACKETWATCH_SYN: .* within 1 s; .*\n$/);
      }
      expect(existsSync(file)).toBe(false);
    } finally {
      await empty.stop();
    }
  });
});

function byId(a: { id: unknown }, b: { id: unknown }): number {
  return String(a.id).localeCompare(String(b.id));
}
