import { afterAll, beforeAll, expect, it } from "vitest";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type Fleet, type FleetHost, startFleet } from "../../support/fleet.ts";
import type { FleetService } from "../../support/fleet-service.ts";
import { jsonLines, runPacketwatch } from "../../support/packetwatch-command.ts";

const CHANGE_TIMEOUT_MS = 60_000;
const cleanup = new Cleanup();
let fleet: Fleet;
let detector: FleetService;
let b: FleetHost;

beforeAll(async () => {
  fleet = await startFleet(cleanup);
});
afterAll(() => cleanup.run());

function status(...args: readonly string[]) {
  const settings = fleet.operator;
  return runPacketwatch({ settings, args: ["status", ...args] });
}

/** Waits until the reasons are these, whatever the order of their numbers. */
async function expectReasons(...expected: readonly RegExp[]): Promise<void> {
  let last: readonly string[] = [];
  const are = async () => {
    const ran = await status("--json");
    last = jsonLines(ran)[0]?.["reasons"] as readonly string[];
    return (
      last.length === expected.length &&
      expected.every((pattern, index) => pattern.test(last[index] ?? "")) &&
      ran.code === (expected.length === 0 ? 0 : 1)
    );
  };
  const what = `the reasons ${expected.map(String).join(", ")}`;
  try {
    await waitUntil(are, { timeoutMs: CHANGE_TIMEOUT_MS, what });
  } catch (cause) {
    throw new Error(`${(cause as Error).message}; there are: ${last.join("; ")}`, { cause });
  }
}

it("without any service says what is missing, and fails", async () => {
  const ran = await status();
  expect(ran.code).toBe(1);
  expect(ran.errors).toBe("");
  expect(ran.out).toMatch(/^degraded\n {2}- PACKETWATCH_SYN, .* missing: a detector makes/);
});

it("of a whole fleet is healthy, and lists all of it", async () => {
  detector = await fleet.start("detector", {});
  const a = fleet.addHost("a", { addresses: ["198.18.0.1/32"] });
  b = fleet.addHost("b", { addresses: ["198.18.0.2/32"] });
  await Promise.all([a, b].map((host) => host.start("capture", "enforcer")));
  await fleet.start("metrics", { PW_PROMETHEUS_PORT: "19109" });
  const { out, code } = await status("--wait", "60s");
  expect(code).toBe(0);
  console.log(out);
  expect(out).toMatch(/^healthy\n/);
  expect(out).not.toContain("\u001b");
  expect(out).toMatch(/^b +0\.1\.0 +0\.1\.0 +eth0 native +\d+ +0 +0 +0 +0 +0$/m);
  expect(out).toMatch(/core-\d+-\w+ +0\.1\.0 +64: 0-63 +0/);
  expect(out).toMatch(/^PACKETWATCH_VERDICT +\d+ /m);
  expect(out).toMatch(/^metrics +on core$/m);
});

it("names the host that is frozen, and forgets it when it speaks again", async () => {
  const enforcer = b.service("enforcer");
  enforcer.pause();
  try {
    await expectReasons(/^enforcer on b not heard for \d+s: it takes no new verdicts$/);
  } finally {
    enforcer.resume();
  }
  await expectReasons();
});

it("tells a dry run", async () => {
  const settings = fleet.operator;
  const run = (...args: readonly string[]) => runPacketwatch({ settings, args });
  const isNoted = async () => (await status()).out.includes("dry run, nothing is dropped on a, b");
  expect(await run("enforce", "off")).toMatchObject({ code: 0 });
  await waitUntil(isNoted, { timeoutMs: CHANGE_TIMEOUT_MS, what: "the note of a dry run" });
  expect(await run("enforce", "default")).toMatchObject({ code: 0 });
  await waitUntil(async () => !(await isNoted()), {
    timeoutMs: CHANGE_TIMEOUT_MS,
    what: "its end",
  });
});

it("names what is left without a detector", async () => {
  await detector.kill();
  await expectReasons(/^no detector is heard: blocks hold, but nobody new is judged$/);
  await fleet.start("detector", {});
  await expectReasons();
});
