import { rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { jetstreamManager } from "@nats-io/jetstream";
import { bootTimeNs } from "@packetwatch/bpf";
import { type Bus, connectBus, provisionStreams, putKey } from "@packetwatch/bus";
import {
  allowKey,
  bucketStream,
  buckets,
  bucketSubject,
  encodeAllowEntry,
  mapNames,
  streamNames,
  verdictSubject,
} from "@packetwatch/contracts";
import { parsePrefix } from "@packetwatch/net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AppliedTap } from "../../support/applied-tap.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type Fleet, type FleetHost, startFleet } from "../../support/fleet.ts";
import type { FleetService, Settings } from "../../support/fleet-service.ts";
import type { PinnedPacketwatch } from "../../support/pinned-packetwatch.ts";
import {
  blockVerdict,
  publishVerdict,
  publishVerdicts,
  timedBlockVerdict,
  unblockVerdict,
} from "../../support/published-verdicts.ts";
import { runPacketwatch } from "../../support/packetwatch-command.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { testStreams } from "../../support/streams.ts";

const CLOCK_AHEAD = fileURLToPath(
  new URL("../../support/children/clock-ahead.mjs", import.meta.url),
);
const LIST_LOST =
  "the list of these blocks was lost; they hold until they expire or are unblocked one by one";
const TIMEOUT_MS = 15_000;
const SECOND_NS = 1_000_000_000;
/** Between clocks, and between the writing of a verdict and its reading. */
const EXPIRY_TOLERANCE_NS = 0.05 * SECOND_NS;

const cleanup = new Cleanup();
let fleet: Fleet;
let host: FleetHost;
let bus: Bus;
let applied: AppliedTap;

beforeEach(async () => {
  fleet = await startFleet(cleanup);
  host = fleet.addHost("host");
  const logger = new RecordingLogger();
  bus = cleanup.own(await connectBus({ servers: [fleet.nats.url], name: "test", logger }));
  await provisionStreams(bus, testStreams());
  applied = cleanup.own(new AppliedTap(bus));
});
afterEach(() => cleanup.run());

async function startCapture(settings: Settings = {}): Promise<PinnedPacketwatch> {
  await host.launch("capture", settings).ready();
  return cleanup.own(host.pinned("lo"));
}

/** Starts an enforcer and waits until it has read the list; gives what it then said. */
async function startEnforcer(settings: Settings = {}) {
  await host.launch("enforcer", settings).ready();
  return host.service("enforcer").logged("block map reconciled");
}

type Blocks = Pick<PinnedPacketwatch, "maps">;

function untilBlocked({ maps }: Blocks, source: string) {
  const what = `${source} to be blocked\n${host.tails}`;
  return waitUntil(() => maps.blockOf(source), { timeoutMs: TIMEOUT_MS, what });
}

async function untilLifted({ maps }: Blocks, source: string): Promise<void> {
  const what = `${source} to be lifted\n${host.tails}`;
  await waitUntil(() => maps.blockOf(source) === undefined, { timeoutMs: TIMEOUT_MS, what });
}

async function allow(prefix: string): Promise<void> {
  const addedUs = Date.now() * 1000;
  const entry = { version: 1, prefix, addedBy: "operator/a", addedUs, expiresUs: null } as const;
  const place = { bucket: buckets.allowlist, key: allowKey(parsePrefix(prefix)) };
  await putKey(bus, place, encodeAllowEntry(entry));
}

/** Nanoseconds until the block ends; how far it is off `seconds` from now. */
function distanceNs(expiresNs: bigint, seconds: number): number {
  return Math.abs(Number(expiresNs - bootTimeNs()) - seconds * SECOND_NS);
}

const remainingSeconds = (expiresUs: number | null) => (expiresUs ?? 0) / 1e6 - Date.now() / 1000;

it("a starting enforcer adds what is missing, removes what was lifted, refreshes what differs", async () => {
  const pinned = await startCapture();
  pinned.maps.block("192.0.2.1", { dropped: 7n, firstDropNs: 5n });
  pinned.maps.block("192.0.2.2");
  pinned.maps.block("192.0.2.3", { expiresNs: 1n, dropped: 9n, firstDropNs: 6n });
  pinned.maps.block("192.0.2.9");
  const ended = timedBlockVerdict("192.0.2.5", 1);
  const timed = timedBlockVerdict("192.0.2.3", 600);
  const [kept, missing] = [blockVerdict("192.0.2.1"), blockVerdict("192.0.2.4")];
  const lifted = unblockVerdict("192.0.2.2");
  for (const verdict of [kept, lifted, timed, missing, ended]) await publishVerdict(bus, verdict);
  await waitUntil(() => remainingSeconds(ended.expiresUs) < 0, { timeoutMs: 2000, what: "an end" });

  const reconciled = await startEnforcer();
  expect(reconciled).toMatchObject({ added: 1, refreshed: 1, removed: 2, refused: 0 });
  expect(pinned.maps.blockOf("192.0.2.1")).toEqual({ expiresNs: 0n, dropped: 7n, firstDropNs: 5n });
  expect(pinned.maps.blockOf("192.0.2.4")).toEqual({ expiresNs: 0n, dropped: 0n, firstDropNs: 0n });
  for (const source of ["192.0.2.2", "192.0.2.5", "192.0.2.9"]) {
    expect(pinned.maps.blockOf(source)).toBeUndefined();
  }
  const refreshed = pinned.maps.blockOf("192.0.2.3");
  expect(refreshed).toMatchObject({ dropped: 9n, firstDropNs: 6n });
  const offNs = distanceNs(refreshed?.expiresNs ?? 0n, remainingSeconds(timed.expiresUs));
  expect(offNs).toBeLessThan(EXPIRY_TOLERANCE_NS);

  // The host's word on each change, with the time that it took; nothing on what was so already.
  expect(await applied.of("host", missing.id)).toMatchObject({ action: "blocked" });
  expect((await applied.of("host", missing.id)).reactionUs).toBeGreaterThan(0);
  expect(await applied.of("host", timed.id)).toMatchObject({ action: "blocked" });
  expect(await applied.of("host", lifted.id)).toMatchObject({ action: "lifted", reactionUs: null });
  expect(applied.find("host", kept.id)).toBeUndefined();
});

it("a change is applied at once, and the host says how long after the deciding attempt", async () => {
  const pinned = await startCapture();
  await publishVerdict(bus, blockVerdict("192.0.2.99"));
  await startEnforcer();
  const block = blockVerdict("192.0.2.1", { issuedUs: (Date.now() - 250) * 1000 });
  await publishVerdict(bus, block);
  const word = await applied.of("host", block.id);
  expect(word).toMatchObject({ action: "blocked", source: "192.0.2.1", interfaces: ["lo"] });
  expect(word.reactionUs).toBe(word.appliedUs - block.issuedUs);
  expect(word.reactionUs).toBeGreaterThan(250_000);
  expect(pinned.maps.blockOf("192.0.2.1")).toBeDefined();

  const unblock = unblockVerdict("192.0.2.1");
  await publishVerdict(bus, unblock);
  expect(await applied.of("host", unblock.id)).toMatchObject({ action: "lifted" });
  expect(pinned.maps.blockOf("192.0.2.1")).toBeUndefined();
});

/** Takes NATS away until the enforcer has noticed, and brings it back while the enforcer is frozen: so it is left. */
async function cutOff(bringBack: () => Promise<void>): Promise<FleetService> {
  const enforcer = host.service("enforcer");
  await fleet.nats.kill();
  await enforcer.logged("NATS is away; reconnecting");
  enforcer.pause();
  await bringBack();
  await waitUntil(() => bus.reconnects() === 1, { timeoutMs: TIMEOUT_MS, what: "NATS" });
  return enforcer;
}

describe("an enforcer that was cut off from NATS", () => {
  it.each(["kept", "lost"] as const)(
    "catches up with what changed meanwhile, its consumer gone with the server (store %s)",
    async (store) => {
      const pinned = await startCapture();
      const before = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map((source) => blockVerdict(source));
      await publishVerdicts(bus, before);
      await startEnforcer();
      await untilBlocked(pinned, "192.0.2.3");

      host.service("enforcer").pause();
      await fleet.nats.restart({ store });
      await waitUntil(() => bus.reconnects() === 1, { timeoutMs: TIMEOUT_MS, what: "NATS" });
      await provisionStreams(bus, testStreams());
      if (store === "lost") await publishVerdicts(bus, before);
      const timed = timedBlockVerdict("192.0.2.2", 600);
      const [unblock, block] = [unblockVerdict("192.0.2.1"), blockVerdict("192.0.2.4")];
      for (const verdict of [unblock, timed, block]) await publishVerdict(bus, verdict);
      expect(pinned.maps.blockOf("192.0.2.1")).toBeDefined();
      host.service("enforcer").resume();

      await untilLifted(pinned, "192.0.2.1");
      await untilBlocked(pinned, "192.0.2.4");
      await waitUntil(() => pinned.maps.blockOf("192.0.2.2")?.expiresNs !== 0n, {
        timeoutMs: TIMEOUT_MS,
        what: "the expiry to be refreshed",
      });
      const { expiresNs = 0n } = pinned.maps.blockOf("192.0.2.2") ?? {};
      const offNs = distanceNs(expiresNs, remainingSeconds(timed.expiresUs));
      expect(offNs).toBeLessThan(EXPIRY_TOLERANCE_NS);
      expect(pinned.maps.blockOf("192.0.2.3")).toMatchObject({ expiresNs: 0n });
      expect(await applied.of("host", unblock.id)).toMatchObject({ action: "lifted" });
      expect((await applied.of("host", block.id)).reactionUs).toBeGreaterThan(0);
    },
  );

  it.each(["soon", "later"] as const)(
    "keeps what it blocked where NATS comes back %s with a list that knows nothing of it",
    async (when) => {
      const pinned = await startCapture();
      await publishVerdicts(bus, [blockVerdict("192.0.2.1"), blockVerdict("192.0.2.2")]);
      await startEnforcer({ NODE_OPTIONS: `--import=${CLOCK_AHEAD}` });
      await untilBlocked(pinned, "192.0.2.2");

      const enforcer = await cutOff(() => fleet.nats.restart({ store: "lost" }));
      await provisionStreams(bus, testStreams());
      await publishVerdicts(bus, [unblockVerdict("192.0.2.1"), blockVerdict("192.0.2.3")]);
      if (when === "later") enforcer.signal("SIGUSR2");
      enforcer.resume();

      await untilLifted(pinned, "192.0.2.1");
      await untilBlocked(pinned, "192.0.2.3");
      expect(pinned.maps.blockOf("192.0.2.2")).toBeDefined();
    },
  );

  it("for longer than lifts are remembered reads the whole list again", async () => {
    const pinned = await startCapture();
    const [gone, kept] = [blockVerdict("192.0.2.1"), blockVerdict("192.0.2.2")];
    await publishVerdicts(bus, [gone, kept]);
    await startEnforcer({ NODE_OPTIONS: `--import=${CLOCK_AHEAD}` });
    await untilBlocked(pinned, "192.0.2.2");

    const enforcer = await cutOff(() => fleet.nats.start());
    const manager = await jetstreamManager(bus.connection);
    const filter = verdictSubject(parsePrefix(gone.source));
    await manager.streams.purge(streamNames.verdict, { filter });
    enforcer.signal("SIGUSR2");
    enforcer.resume();

    await untilLifted(pinned, "192.0.2.1");
    expect(pinned.maps.blockOf("192.0.2.2")).toBeDefined();
  });

  it.each([
    ["some", ["192.0.2.2"]],
    ["all", []],
  ] as const)(
    "for longer than removals are remembered no longer allows what was removed (%s)",
    async (_, kept) => {
      const pinned = await startCapture();
      await host.launch("enforcer", { NODE_OPTIONS: `--import=${CLOCK_AHEAD}` }).ready();
      for (const prefix of ["192.0.2.1", ...kept]) await allow(prefix);
      const isAllowed = (prefix: string) => pinned.maps.allowed().includes(prefix);
      const areAllowed = () => ["192.0.2.1", ...kept].every(isAllowed);
      await waitUntil(areAllowed, { timeoutMs: TIMEOUT_MS, what: "the entries in the kernel" });

      const enforcer = await cutOff(() => fleet.nats.start());
      const manager = await jetstreamManager(bus.connection);
      const filter = bucketSubject(buckets.allowlist, allowKey(parsePrefix("192.0.2.1")));
      await manager.streams.purge(bucketStream(buckets.allowlist), { filter });
      enforcer.signal("SIGUSR2");
      enforcer.resume();

      const isGone = () => !isAllowed("192.0.2.1");
      await waitUntil(isGone, { timeoutMs: TIMEOUT_MS, what: `the entry to go\n${host.tails}` });
      expect(kept.every(isAllowed)).toBe(true);
    },
  );
});

/** What the command says of what it can't do. */
async function unblockAll(): Promise<string> {
  const ran = await runPacketwatch({ settings: fleet.operator, args: ["unblock", "--all"] });
  return ran.code === 1 ? ran.errors : "";
}

it("an enforcer that starts with a list that was made anew keeps what is blocked, however often it starts", async () => {
  const pinned = await startCapture();
  const timed = timedBlockVerdict("192.0.2.3", 600);
  await publishVerdicts(bus, [blockVerdict("192.0.2.1"), blockVerdict("192.0.2.2"), timed]);
  await startEnforcer();
  await untilBlocked(pinned, "192.0.2.3");
  const isRemembered = () => pinned.maps.live().listUs > 0;
  await waitUntil(isRemembered, { timeoutMs: TIMEOUT_MS, what: "the list to be remembered" });

  await host.kill("enforcer");
  await fleet.nats.restart({ store: "lost" });
  await waitUntil(() => bus.reconnects() === 1, { timeoutMs: TIMEOUT_MS, what: "NATS" });
  await provisionStreams(bus, testStreams());
  await publishVerdict(bus, blockVerdict("192.0.2.4"));
  await startEnforcer();
  await untilBlocked(pinned, "192.0.2.4");
  for (const source of ["192.0.2.1", "192.0.2.2", "192.0.2.3"]) {
    expect(pinned.maps.blockOf(source)).toBeDefined();
  }
  const { expiresNs = 0n } = pinned.maps.blockOf("192.0.2.3") ?? {};
  const offNs = distanceNs(expiresNs, remainingSeconds(timed.expiresUs));
  expect(offNs).toBeLessThan(EXPIRY_TOLERANCE_NS);
  const told = await host.service("enforcer").logged(LIST_LOST);
  const { blocks, sources } = told as { blocks?: number; sources?: readonly string[] };
  expect(blocks).toBe(3);
  expect(sources?.toSorted()).toEqual(["192.0.2.1", "192.0.2.2", "192.0.2.3"]);

  await publishVerdict(bus, unblockVerdict("192.0.2.1"));
  await untilLifted(pinned, "192.0.2.1");
  await host.kill("enforcer");
  await startEnforcer();
  expect(pinned.maps.blockOf("192.0.2.2")).toBeDefined();
  await waitUntil(async () => /still: 2 sources on host;/.test(await unblockAll()), {
    timeoutMs: TIMEOUT_MS,
    what: "unblock --all to tell what it can't lift",
  });
  await publishVerdict(bus, unblockVerdict("192.0.2.2"));
  await untilLifted(pinned, "192.0.2.2");
});

it("an enforcer that has lost its maps fills the new ones", async () => {
  await startCapture();
  const timed = timedBlockVerdict("192.0.2.2", 600);
  await publishVerdicts(bus, [blockVerdict("192.0.2.1"), timed]);
  await startEnforcer();

  await host.service("capture").kill();
  rmSync(host.pinDir, { recursive: true, force: true });
  const pinned = await startCapture();
  await untilBlocked(pinned, "192.0.2.1");
  const { expiresNs } = await untilBlocked(pinned, "192.0.2.2");
  const offNs = distanceNs(expiresNs, remainingSeconds(timed.expiresUs));
  expect(offNs).toBeLessThan(EXPIRY_TOLERANCE_NS);
  const reasons = host.service("enforcer").records.filter(({ msg }) => /reconciled/.test(msg));
  expect(reasons.map(({ reason }) => reason)).toEqual(["start", "new_maps"]);
  expect(reasons[1]).toMatchObject({ added: 2, refused: 0 });
});

it("capture goes on with maps that hold less than is in them, and the host's own addresses stay allowed", async () => {
  const pinned = await startCapture();
  const own = pinned.maps.allowed();
  expect(own).toContain("127.0.0.1");
  const numbers = Array.from({ length: 40 }, (_, index) => index + 1);
  await publishVerdicts(
    bus,
    numbers.map((number) => blockVerdict(`192.0.2.${number}`)),
  );
  const allow = numbers.map((number) => `203.0.113.${number}`).join(",");
  await startEnforcer({ PW_ALLOW: allow, PW_ALLOWED_ENTRIES: "16", PW_BLOCKED_ENTRIES: "16" });
  await host.kill("capture", "enforcer");

  const smaller = await startCapture({ PW_ALLOWED_ENTRIES: "16", PW_BLOCKED_ENTRIES: "16" });
  expect(smaller.maps.allowed()).toHaveLength(16);
  expect(smaller.maps.allowed()).toEqual(expect.arrayContaining([...own]));
  expect(numbers.filter((number) => smaller.maps.blockOf(`192.0.2.${number}`))).toHaveLength(16);
});

it("capture takes what was set at run time over from the map of an earlier version", async () => {
  const before = await startCapture();
  before.maps.block("192.0.2.1");
  await host.kill("capture");
  const pin = path.join(host.pinDir, "lo", mapNames.live);
  rmSync(pin);
  const bpftool = (command: string) => host.namespace.run("bpftool", command.split(" "));
  bpftool(`map create ${pin} type array key 4 value 8 entries 1 name live`);
  // `enforce` is 1, and `set` is PW_SET_OFF.
  bpftool(`map update pinned ${pin} key 0 0 0 0 value 1 0 0 0 2 0 0 0`);

  const pinned = await startCapture();
  expect(pinned.maps.live()).toMatchObject({ enforce: "on", set: "off" });
  expect(pinned.maps.blockOf("192.0.2.1")).toBeDefined();
});

it("blocks that a full map refuses are counted, and follow as soon as a lift makes room", async () => {
  const pinned = await startCapture({ PW_BLOCKED_ENTRIES: "16" });
  const sources = Array.from({ length: 20 }, (_, index) => `192.0.2.${index + 1}`);
  const verdicts = sources.map((source) => blockVerdict(source));
  await publishVerdicts(bus, verdicts);
  expect(await startEnforcer()).toMatchObject({ added: 16, refused: 4 });
  const refused = sources.filter((source) => !pinned.maps.blockOf(source));
  expect(refused.length).toBe(4);
  const errors = () => host.service("enforcer").records.filter(({ level }) => level === "error");
  await waitUntil(() => errors().length > 0, { timeoutMs: TIMEOUT_MS, what: "the error line" });
  const full = errors();
  expect(full).toMatchObject([{ refused: 4, msg: expect.stringMatching(/PW_BLOCKED_ENTRIES/) }]);
  const idsOf = (action: string) =>
    applied.applied.filter((word) => word.action === action).map(({ source }) => source);
  await waitUntil(() => idsOf("failed").length === 4, { timeoutMs: TIMEOUT_MS, what: "4 words" });
  expect(idsOf("failed").toSorted()).toEqual(refused.toSorted());

  const late = blockVerdict("192.0.2.21");
  await publishVerdict(bus, late);
  expect(await applied.of("host", late.id)).toMatchObject({ action: "failed" });

  const present = sources.filter((source) => !refused.includes(source)).slice(0, 5);
  await publishVerdicts(
    bus,
    present.map((source) => unblockVerdict(source)),
  );
  for (const source of [...refused, "192.0.2.21"]) await untilBlocked(pinned, source);
  for (const source of present) expect(pinned.maps.blockOf(source)).toBeUndefined();
});
