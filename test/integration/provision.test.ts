import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterEach, describe, expect, it } from "vitest";
import { Cleanup } from "../support/cleanup.ts";
import { freePort, startNats } from "../support/nats.ts";

const BUNDLE = fileURLToPath(new URL("../../build/packetwatch.js", import.meta.url));
const STREAMS = [
  "PACKETWATCH_HISTORY",
  "PACKETWATCH_SYN",
  "PACKETWATCH_TELEMETRY",
  "PACKETWATCH_VERDICT",
];

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

type Ended = { readonly code: number; readonly out: string; readonly errors: string };

function provision(settings: Readonly<Record<string, string>>, timeoutSeconds = 20) {
  return run(settings, ["--timeout", String(timeoutSeconds)]);
}

function run(settings: Readonly<Record<string, string>>, flags: readonly string[]) {
  const args = [BUNDLE, "provision", ...flags];
  const env = { PATH: process.env["PATH"], ...settings };
  return new Promise<Ended>((resolve) => {
    execFile(process.execPath, args, { env }, (error, out, errors) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, errors });
    });
  });
}

async function streamsOf(url: string) {
  const connection = await connect({ servers: url });
  cleanup.defer(() => connection.close());
  const streams = await (await jetstreamManager(connection)).streams.list().next();
  return streams
    .map(({ config: { name, max_bytes: bytes } }) => ({ name, bytes }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

describe("packetwatch provision", () => {
  it("creates the streams, and changes those that differ", async () => {
    const nats = await startNats();
    cleanup.defer(() => nats.stop());
    const created = await provision({ PW_NATS_URL: nats.url });
    expect(created).toMatchObject({ code: 0, errors: "" });
    const said = created.out.trim().split("\n");
    expect(said).toEqual(expect.arrayContaining(STREAMS.map((name) => `provisioned ${name}`)));
    const names = (await streamsOf(nats.url)).map(({ name }) => name);
    expect(new Set(said.map((line) => line.split(" ")[1]))).toEqual(new Set(names));

    const { out } = await run({ PW_NATS_URL: nats.url }, ["--json"]);
    const lines = out.trim().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { provisioned: string }).provisioned)).toEqual(
      said.map((line) => line.split(" ")[1]),
    );

    await provision({ PW_NATS_URL: nats.url, PW_SYN_STREAM_BYTES: "32MiB" });
    expect(await streamsOf(nats.url)).toContainEqual({
      name: "PACKETWATCH_SYN",
      bytes: 32 * 1024 ** 2,
    });
  });

  it("waits for a server that comes later", async () => {
    const port = await freePort();
    const provisioning = provision({ PW_NATS_URL: `nats://127.0.0.1:${port}` }, 60);
    const nats = await startNats({ port });
    cleanup.defer(() => nats.stop());
    expect(await provisioning).toMatchObject({ code: 0 });
  });

  it("without a server says where none answered, and fails", async () => {
    const port = await freePort();
    const { code, errors } = await provision({ PW_NATS_URL: `nats://127.0.0.1:${port}` }, 0.5);
    expect(code).toBe(1);
    expect(errors).toMatch(/^packetwatch: NATS isn't reachable at nats:\/\/127\.0\.0\.1/);
  });

  it("a bad variable of a detector is misuse", async () => {
    const { code, errors } = await provision({ PW_MAX_VERDICTS: "many" });
    expect(code).toBe(2);
    expect(errors).toContain("PW_MAX_VERDICTS");
  });
});
