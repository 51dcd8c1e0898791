import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectBusOptions, connectBus, type NatsAccess } from "@packetwatch/bus";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { CertificateAuthority } from "../../support/certificates.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type LockedNats, prepareLockedNats } from "../../support/locked-nats.ts";
import { type NatsServer, startNats } from "../../support/nats.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { bundleService, ServiceProcess } from "../../support/service-process.ts";

const cleanup = new Cleanup();
let folder: string;
let ours: CertificateAuthority;
let strangers: CertificateAuthority;
let locked: LockedNats;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "packetwatch-tls-"));
  ours = new CertificateAuthority(folder, "ours");
  strangers = new CertificateAuthority(folder, "strangers");
  locked = prepareLockedNats(join(folder, "keys"));
  return () => rmSync(folder, { recursive: true });
});
afterEach(() => cleanup.run());

async function startServer(...more: readonly string[]): Promise<NatsServer> {
  const nats = await startNats({ arguments: ["-c", locked.configFile, ...more] });
  cleanup.defer(() => nats.stop());
  return nats;
}

function startTlsServer(...more: readonly string[]): Promise<NatsServer> {
  const { certFile, keyFile } = ours.issue("server");
  return startServer("--tls", `--tlscert=${certFile}`, `--tlskey=${keyFile}`, ...more);
}

const startMutualServer = () => startTlsServer("--tlsverify", `--tlscacert=${ours.certFile}`);

const nkeyFile = () => locked.keys.seedFile("metrics");

/** What is said until it is connected, or until something was said but that a busy machine took too long for a try. */
async function attempt(
  server: string,
  access: NatsAccess,
): Promise<{ readonly connected: boolean; readonly said: string }> {
  const logger = new RecordingLogger();
  const abort = new AbortController();
  const options: ConnectBusOptions = { servers: [server], access, name: "test", logger };
  const connecting = connectBus({ ...options, signal: abort.signal });
  const outcome = connecting.then(
    async (bus) => {
      await bus.connection.flush();
      await bus.close();
      return true;
    },
    () => false,
  );
  const said = () =>
    logger.lines.find(({ level, message }) => level === "warn" && !message.includes("yet"));
  void waitUntil(said, { timeoutMs: 20_000, what: "a warning" }).then(
    () => abort.abort(),
    () => abort.abort(),
  );
  const connected = await outcome;
  const line = said();
  return { connected, said: line ? `${line.message} ${JSON.stringify(line.fields)}` : "" };
}

describe("TLS", () => {
  it("connects where the authority is the server's", async () => {
    const { url } = await startTlsServer();
    const access = { nkeyFile: nkeyFile(), tls: { caFile: ours.certFile } };
    expect(await attempt(url, access)).toEqual({ connected: true, said: "" });
  });

  it("refuses a server of another authority, and names the variable", async () => {
    const { url } = await startTlsServer();
    const access = { nkeyFile: nkeyFile(), tls: { caFile: strangers.certFile } };
    const { connected, said } = await attempt(url, access);
    expect(connected).toBe(false);
    expect(said).toContain("not to be trusted; waiting for it (PW_NATS_TLS_CA)");
  });

  it("refuses a server that none of the system's authorities vouches for", async () => {
    const { url } = await startTlsServer();
    const { connected, said } = await attempt(url, { nkeyFile: nkeyFile() });
    expect(connected).toBe(false);
    expect(said).toContain("PW_NATS_TLS_CA");
  });

  it.each([
    ["a tls: URL", "tls", undefined],
    ["PW_NATS_TLS_CA", "nats", "ca"],
  ] as const)("%s never falls back to a connection without it", async (_what, scheme, ca) => {
    const { url } = await startServer();
    const tls = ca ? { caFile: ours.certFile } : undefined;
    const { connected, said } = await attempt(url.replace("nats:", `${scheme}:`), {
      nkeyFile: nkeyFile(),
      tls,
    });
    expect(connected).toBe(false);
    expect(said).toContain("NATS offers no TLS");
  });
});

describe("mutual TLS", () => {
  it("connects with a certificate of the server's authority", async () => {
    const { url } = await startMutualServer();
    const access = {
      nkeyFile: nkeyFile(),
      tls: { caFile: ours.certFile, ...ours.issue("client") },
    };
    expect(await attempt(url, access)).toEqual({ connected: true, said: "" });
  });

  it.each([
    ["none", () => ({})],
    ["one of another authority", () => strangers.issue("client")],
  ] as const)("with %s the server refuses, and the variable is named", async (_what, issue) => {
    const { url } = await startMutualServer();
    const access = { nkeyFile: nkeyFile(), tls: { caFile: ours.certFile, ...issue() } };
    const { connected, said } = await attempt(url, access);
    expect(connected).toBe(false);
    expect(said).toContain("PW_NATS_TLS_CERT");
  });
});

describe("credentials", () => {
  it("without a key, or with one that NATS doesn't know, nobody is let in, and the variable is named", async () => {
    const closed = join(folder, "closed.conf");
    writeFileSync(closed, 'include "keys/nats/accounts.conf"\n');
    const nats = await startNats({ arguments: ["-c", closed] });
    cleanup.defer(() => nats.stop());
    const stranger = prepareLockedNats(join(folder, "other-keys")).keys.seedFile("metrics");
    for (const access of [{}, { nkeyFile: stranger }]) {
      const { connected, said } = await attempt(nats.url, access);
      expect(connected).toBe(false);
      expect(said).toContain("NATS refuses the credentials; waiting for it (PW_NATS_NKEY_FILE");
    }
    expect(await attempt(nats.url, { nkeyFile: nkeyFile() })).toMatchObject({ connected: true });
  });

  it.each([
    ["PW_NATS_NKEY_FILE", { nkeyFile: "/nowhere/user.nk" }, "there is no such file"],
    ["PW_NATS_NKEY_FILE", { nkeyFile: "/etc/hostname" }, "holds no seed"],
    ["PW_NATS_CREDS_FILE", { credsFile: "/etc/hostname" }, "holds no JWT"],
    ["PW_NATS_TLS_CA", { tls: { caFile: "/nowhere/ca.pem" } }, "there is no such file"],
    ["PW_NATS_TLS_KEY", { tls: { keyFile: "/" } }, "EISDIR"],
  ])("%s that can't be used is an error at once", async (variable, access, why) => {
    const logger = new RecordingLogger();
    const connecting = connectBus({
      servers: ["nats://127.0.0.1:1"],
      access,
      name: "test",
      logger,
    });
    await expect(connecting).rejects.toMatchObject({
      code: "ACCESS",
      message: expect.stringMatching(new RegExp(`${variable} is .*${why}`)) as string,
    });
  });

  it("a service says so in one line and ends", async () => {
    const detector = new ServiceProcess({
      bundle: bundleService(join(import.meta.dirname, "../../../services/detector/src/main.ts")),
      environment: { PW_NATS_NKEY_FILE: "/nowhere/user.nk" },
    });
    cleanup.own(detector);
    expect(await detector.exit()).toBe(1);
    const line = detector.lines.find(({ level }) => level === "fatal");
    expect(line?.msg).toBe('PW_NATS_NKEY_FILE is "/nowhere/user.nk": there is no such file');
  });

  it("the command says at once that it is refused, without a stack, and with exit code 1", async () => {
    const closed = join(folder, "closed.conf");
    writeFileSync(closed, 'include "keys/nats/accounts.conf"\n');
    const nats = await startNats({ arguments: ["-c", closed] });
    cleanup.defer(() => nats.stop());
    const command = join(import.meta.dirname, "../../../build/packetwatch.js");
    const run = () =>
      execFileSync(process.execPath, [command, "blocked", "--timeout", "60"], {
        env: { PATH: process.env["PATH"], PW_NATS_URL: nats.url, PW_RUN_DIR: join(folder, "none") },
        stdio: "pipe",
        encoding: "utf8",
      });
    expect(run).toThrow(
      expect.objectContaining({
        status: 1,
        stderr: expect.stringMatching(
          /^packetwatch: connect to nats:\S+: NATS refuses the credentials: .*PW_NATS_NKEY_FILE.*\n$/,
        ) as string,
      }),
    );
  });
});
