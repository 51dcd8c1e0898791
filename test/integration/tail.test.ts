import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Bus, connectBus } from "@packetwatch/bus";
import { alertSubject, synSubject, verdictSubject } from "@packetwatch/contracts";
import { parsePrefix } from "@packetwatch/net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  alertPayload,
  blockPayload,
  synBatch,
  unblockPayload,
} from "../../cli/src/testing/payloads.ts";
import { waitUntil } from "../support/eventually.ts";
import { freePort, type NatsServer, startNats } from "../support/nats.ts";
import { startSlowLink } from "../support/slow-link.ts";

const BUNDLE = fileURLToPath(new URL("../../build/packetwatch.js", import.meta.url));
const TIMEOUT_MS = 10_000;
/** Longer than it takes to see a header and to publish. */
const LINK_DELAY_MS = 300;
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

let nats: NatsServer;
let bus: Bus;
let folder: string;
let files = 0;
const running: ChildProcess[] = [];

beforeAll(async () => {
  nats = await startNats();
  bus = await connectBus({ servers: [nats.url], name: "tail.test", logger: quiet });
  folder = mkdtempSync(join(tmpdir(), "packetwatch-tail-"));
});
afterEach(() => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
});
afterAll(async () => {
  await bus.close();
  await nats.stop();
  rmSync(folder, { recursive: true, force: true });
});

type Environment = Readonly<Record<string, string>>;

function spawnTail(args: readonly string[], stdio: StdioOptions, environment: Environment = {}) {
  const env = {
    ...process.env,
    TZ: "Europe/Berlin",
    PW_NATS_URL: nats.url,
    PW_IFDEV: "lo",
    ...environment,
  };
  const child = spawn(process.execPath, [BUNDLE, "tail", ...args], { stdio, env });
  running.push(child);
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  return { child, ended };
}

/** A tail that writes to a file. */
function tailToFile(args: readonly string[], environment: Environment = {}) {
  const file = join(folder, `${files++}`);
  const output = openSync(file, "w");
  const { child, ended } = spawnTail(args, ["ignore", output, "pipe"], environment);
  closeSync(output);
  const state = { errors: "" };
  child.stderr?.on("data", (chunk: Buffer) => {
    state.errors += chunk.toString();
  });
  const lines = () => readFileSync(file, "utf8").split("\n").slice(0, -1);
  const until = (what: string, condition: (lines: string[]) => boolean) =>
    waitUntil(() => condition(lines()), {
      timeoutMs: TIMEOUT_MS,
      what: `${what} in ${lines().length} lines`,
    });
  const end = async () => {
    child.kill("SIGTERM");
    return { code: await ended, lines: lines(), errors: state.errors };
  };
  return { lines, errors: () => state.errors, until, end, ended };
}

/** A tail that writes JSON to a pipe, of which only the own addresses have been read. */
async function tailToPausedReader() {
  const { child, ended } = spawnTail(["--format", "json"], ["ignore", "pipe", "inherit"]);
  const { stdout } = child;
  if (stdout === null) throw new Error("no pipe");
  let output = "";
  const read = () => {
    output += String(stdout.read() ?? "");
    return output.includes("whitelist");
  };
  await waitUntil(read, { timeoutMs: TIMEOUT_MS, what: "own addresses" });
  const readBefore = bytesRead(child);
  const openBefore = openFiles(child);
  return {
    output: () => output,
    /** Nothing on the pipe tells what it has taken from NATS; the kernel does. */
    untilReceived: (bytes: number) =>
      waitUntil(() => bytesRead(child) - readBefore > bytes, {
        timeoutMs: TIMEOUT_MS,
        what: `${bytes} bytes to be received`,
      }),
    untilDisconnected: () =>
      waitUntil(() => openFiles(child) < openBefore, {
        timeoutMs: TIMEOUT_MS,
        what: "the connection to NATS to be closed",
      }),
    resume: () => stdout.on("data", (chunk: Buffer) => (output += chunk.toString())),
    end: async () => {
      child.kill("SIGTERM");
      expect(await ended).toBe(0);
      const lines = output.trimEnd().split("\n");
      return lines.map((line) => JSON.parse(line) as { kind: string; attempts?: number });
    },
  };
}

/** What a process has read so far, from files, pipes and sockets. */
function bytesRead({ pid }: ChildProcess): number {
  return Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
}

function openFiles({ pid }: ChildProcess): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

async function publishScan(): Promise<void> {
  const source = parsePrefix("192.0.2.56");
  const { connection } = bus;
  connection.publish(
    synSubject(7),
    synBatch([{ port: 80 }, { port: 81 }, { port: 82 }, { port: 83 }]),
  );
  connection.publish(verdictSubject(source), blockPayload());
  connection.publish(synSubject(7), synBatch([{ port: 84 }]));
  connection.publish(synSubject(63), Uint8Array.from([9, ...synBatch([{}]).slice(1)]));
  connection.publish(alertSubject("horizontal", source), alertPayload());
  connection.publish(verdictSubject(source), unblockPayload());
  connection.publish(synSubject(7), synBatch([{ port: 85 }]));
  await connection.flush();
}

const TIME = "2021-04-28 15:28:05";

describe("packetwatch tail", () => {
  it("prints the table: welcome, header, own addresses, attempts, verdicts", async () => {
    const tail = tailToFile([]);
    await tail.until("own addresses", (lines) => lines.some((line) => line.includes("127.0.0.1")));
    await publishScan();
    await tail.until("the last attempt", (lines) => lines.some((line) => line.includes("  85 ")));
    const { code, lines, errors } = await tail.end();

    expect(lines.slice(0, 4)).toEqual([
      "Packetwatch is watching lo",
      "A source that tries 3 ports of one address within 60 seconds is blocked",
      "Own addresses are never blocked (PW_WHITELIST_SELF)",
      "TIME                 SOURCE           IP               PORT   MESSAGE",
    ]);
    const rows = lines.slice(4);
    expect(rows.filter((row) => row.endsWith("Added to whitelist"))).not.toEqual([]);
    expect(rows.filter((row) => !row.endsWith("whitelist"))).toEqual([
      ...[80, 81, 82, 83].map(
        (port) => `${TIME}  192.0.2.56       10.0.0.5         ${port}     New connection`,
      ),
      `${TIME}  192.0.2.56       10.0.0.5         -      Added to blacklist`,
      `${TIME}  192.0.2.56       -                22     Alert: horizontal, 2 addresses within 300 seconds`,
      `${TIME}  192.0.2.56       -                -      Removed from blacklist`,
      `${TIME}  192.0.2.56       10.0.0.5         85     New connection`,
    ]);
    expect({ code, errors }).toEqual({
      code: 0,
      errors: "packetwatch: 1 payload rejected: bad_version\n",
    });
  });

  it("says nothing of interfaces here where PW_IFDEV names none: the fleet is elsewhere", async () => {
    const tail = tailToFile([], { PW_IFDEV: "" });
    await tail.until("the header", (lines) => lines.length > 0);
    await publishScan();
    await tail.until("the last attempt", (lines) => lines.some((line) => line.includes("  85 ")));
    const { lines } = await tail.end();
    expect(lines[0]).toMatch(/^TIME +SOURCE/);
    expect(lines.filter((line) => line.endsWith("whitelist"))).toEqual([]);
  });

  it("misses nothing of what happens after its header, however slow the way to NATS is", async () => {
    const link = await startSlowLink(nats.url, LINK_DELAY_MS);
    const tail = tailToFile([], { PW_NATS_URL: link.url });
    await tail.until("the header", (lines) => lines.some((line) => line.startsWith("TIME")));
    await publishScan();
    await tail.until("the last attempt", (lines) => lines.some((line) => line.includes("  85 ")));
    const { lines } = await tail.end();
    await link.close();
    expect(lines.filter((line) => line.endsWith("New connection"))).toHaveLength(5);
  });

  it("prints one sentence a line", async () => {
    const tail = tailToFile(["--format", "line"]);
    await tail.until("own addresses", (lines) => lines.some((line) => line.includes("127.0.0.1")));
    await publishScan();
    await tail.until("the last attempt", (lines) => lines.at(-1)?.endsWith(":85") ?? false);
    const { code, lines } = await tail.end();

    expect(code).toBe(0);
    expect(lines.filter((line) => !line.includes("whitelist"))).toEqual([
      ...[80, 81, 82, 83].map(
        (port) => `${TIME}: New connection: 192.0.2.56:5973 -> 10.0.0.5:${port}`,
      ),
      `${TIME}: Port scan detected: 192.0.2.56 -> 10.0.0.5 on ports 80,81,82,83`,
      `${TIME}: Alert: horizontal: 192.0.2.56 -> 10.0.0.5,10.0.0.6 on port 22`,
      `${TIME}: Removed from blacklist: 192.0.2.56`,
      `${TIME}: New connection: 192.0.2.56:5973 -> 10.0.0.5:85`,
    ]);
  });

  it("prints one object a line, and ends at the limit by itself", async () => {
    const tail = tailToFile(["--json", "--limit", "12"], { PW_HOST: "host-a" });
    await tail.until("own addresses", (lines) => lines.some((line) => line.includes("127.0.0.1")));
    await publishScan();
    await publishScan();
    await publishScan();
    expect(await tail.ended).toBe(0);
    const rows = tail.lines().map((line) => JSON.parse(line) as Record<string, unknown>);

    expect(rows).toHaveLength(12);
    const kinds = rows.map(({ kind }) => kind).filter((kind) => kind !== "whitelist");
    expect(kinds.slice(0, 8).join(" ")).toBe(
      "connection connection connection connection block alert unblock connection",
    );
    expect(rows.find(({ kind }) => kind === "connection")).toMatchObject({
      time: "2021-04-28T13:28:05.123Z",
      source: "192.0.2.56",
      sourcePort: 5973,
      destination: "10.0.0.5",
      destinationPort: 80,
    });
    expect(rows.find(({ kind }) => kind === "whitelist")).toMatchObject({ host: "host-a" });
  });

  it("writes 200,000 attempts into a file to the row, and what is left when it is told to stop", async () => {
    const tail = tailToFile(["--format", "line"], { PW_WHITELIST_SELF: "False" });
    await untilSubscribed(tail);
    const batch = synBatch(
      Array.from({ length: 2000 }, (_, port) => ({ port, source: "192.0.2.1" })),
    );
    for (let count = 0; count < 100; count++) {
      bus.connection.publish(synSubject(count % 64), batch);
      if (count % 20 === 19) await bus.connection.flush();
    }
    const isAttempt = (line: string) => line.includes("192.0.2.1:");
    await tail.until("all attempts", (lines) => lines.filter(isAttempt).length === 200_000);
    expect(await tail.end()).toMatchObject({ code: 0, errors: "" });
  });

  it("for a reader that is slow it skips attempts and says how many, but no verdict", async () => {
    const reader = await tailToPausedReader();
    const batch = synBatch(Array.from({ length: 2000 }, () => ({ source: "192.0.2.1" })));
    for (let count = 0; count < 20; count++) {
      const id = `block-${count}`;
      bus.connection.publish(synSubject(1), batch);
      bus.connection.publish(verdictSubject(parsePrefix("192.0.2.9")), blockPayload({ id }));
    }
    await reader.untilReceived(20 * batch.length);
    reader.resume();
    await waitUntil(
      () => reader.output().includes('"kind":"skipped"') && reader.output().includes("block-19"),
      {
        timeoutMs: TIMEOUT_MS,
        what: "the count of what was skipped",
      },
    );
    const rows = await reader.end();

    const count = (kind: string) => rows.filter((row) => row.kind === kind).length;
    const skipped = rows.reduce((sum, { attempts = 0 }) => sum + attempts, 0);
    expect(count("block")).toBe(20);
    expect(skipped).toBeGreaterThan(0);
    expect(count("connection") + skipped).toBe(40_000);
  });

  it("what a slow reader has not read yet is still written after it is told to stop", async () => {
    const reader = await tailToPausedReader();
    const batch = synBatch(Array.from({ length: 2000 }, () => ({})));
    for (let count = 0; count < 2; count++) bus.connection.publish(synSubject(1), batch);
    const last = synBatch([{}]);
    bus.connection.publish(synSubject(2), last);
    // More than the first two with the words around them: the last has come, too.
    await reader.untilReceived(2 * batch.length + last.length + 80);
    const ended = reader.end();
    await reader.untilDisconnected();
    reader.resume();
    const rows = await ended;
    expect(rows.filter(({ kind }) => kind === "connection")).toHaveLength(4001);
  });

  it("ends quietly when its reader goes away", async () => {
    const { child, ended } = spawnTail(["--format", "json"], ["ignore", "pipe", "pipe"]);
    let errors = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      errors += chunk.toString();
    });
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    child.stdout?.destroy();
    await waitUntil(
      () => {
        bus.connection.publish(synSubject(1), synBatch([{}]));
        return child.exitCode !== null;
      },
      { timeoutMs: TIMEOUT_MS, what: "the end" },
    );
    expect({ code: await ended, errors }).toEqual({ code: 0, errors: "" });
  });

  it("without NATS it fails in time, in one line that names PW_NATS_URL and no password", async () => {
    const url = `nats://alice:secret@127.0.0.1:${await freePort()}`;
    const tail = tailToFile(["--timeout", "0.3"], { PW_NATS_URL: url });
    expect(await tail.ended).toBe(1);
    const { lines, errors } = await tail.end();
    expect(lines).toEqual([]);
    expect(errors).toMatch(
      /^packetwatch: NATS isn't reachable at nats:\/\/127.0.0.1:\d+ \(PW_NATS_URL\); .*\n$/,
    );
  });

  it("with --wait it waits for NATS, says so once, and goes on when it comes", async () => {
    const port = await freePort();
    const tail = tailToFile(["--wait"], { PW_NATS_URL: `nats://127.0.0.1:${port}` });
    await waitUntil(() => tail.errors().includes("waiting"), {
      timeoutMs: TIMEOUT_MS,
      what: "the notice",
    });
    const late = await startNats({ port });
    try {
      await tail.until("the header", (lines) => lines.some((line) => line.startsWith("TIME")));
      const { code, errors } = await tail.end();
      expect({ code, notices: errors.split("\n").length - 1 }).toEqual({ code: 0, notices: 1 });
    } finally {
      await late.stop();
    }
  });
});

/** Publishes single attempts until one is listed. */
async function untilSubscribed(tail: ReturnType<typeof tailToFile>): Promise<void> {
  await tail.until("a first attempt", (lines) => {
    bus.connection.publish(synSubject(0), synBatch([{}]));
    return lines.length > 0;
  });
}
