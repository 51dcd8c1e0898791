import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Cleanup } from "../../support/cleanup.ts";
import { type LockedNats, prepareLockedNats } from "../../support/locked-nats.ts";
import { type NatsServer, startNats } from "../../support/nats.ts";
import { ServiceProcess } from "../../support/service-process.ts";

const DETECTOR = fileURLToPath(new URL("../../../build/detector.js", import.meta.url));

const cleanup = new Cleanup();
let locked: LockedNats;
let nats: NatsServer;
let detector: ServiceProcess;

async function startDetector(): Promise<ServiceProcess> {
  const environment = {
    PW_NATS_URL: nats.url,
    PW_NATS_NKEY_FILE: locked.keys.seedFile("detector"),
  };
  const started = cleanup.own(new ServiceProcess({ bundle: DETECTOR, environment }));
  await started.logged("ready");
  return started;
}

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "packetwatch-rotation-"));
  cleanup.defer(() => rmSync(folder, { recursive: true }));
  locked = prepareLockedNats(folder);
  nats = await startNats({ arguments: ["-c", locked.configFile] });
  cleanup.defer(() => nats.stop());
  detector = await startDetector();
});
afterAll(() => cleanup.run());

it("a service whose key can't be read reconnects with the one that it has", async () => {
  const file = locked.keys.seedFile("detector");
  rmSync(file);
  await nats.restart({ store: "kept" });
  await detector.logged("NATS is back");
  expect(detector.messages).toContain("the key can't be read; the one of before serves on");
});

it("a service whose key was replaced ends with an error when the old one is gone, and starts with the new one", async () => {
  locked.keys.remove("detector");
  locked.keys.add({ name: "detector", role: "detector", host: undefined });
  await locked.reload(nats);
  expect(await detector.exit()).toBe(1);
  expect(detector.lines.at(-1)).toMatchObject({
    level: "fatal",
    code: "ACCESS",
    msg: expect.stringMatching(
      /^reconnect with the key in .*: it is another key than at the start/,
    ) as string,
  });
  detector = await startDetector();
  expect(detector.messages).not.toContain("the key can't be read; the one of before serves on");
});
