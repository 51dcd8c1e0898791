import type { BlockVerdict } from "@packetwatch/contracts";
import { afterEach, describe, expect, it } from "vitest";
import { ChildProgram, type TalkingChild } from "../support/child-program.ts";
import { Cleanup } from "../support/cleanup.ts";
import { holdsFor, waitUntil } from "../support/eventually.ts";
import { balanceBooks, pipeline, type Site, startSite } from "./site.ts";

const ECHO_PORT = 7000;
/** More than it takes to see that a block is in force. */
const BLOCK_TTL_SECONDS = 5;
/** Ample for the next attempt after a block's end: each takes half a second while it is dropped. */
const LIFT_TIMEOUT_MS = 10_000;
/** Between the sensor's clock and this process's: one machine, and a clock that is slewed. */
const CLOCK_TOLERANCE_US = 50_000;

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

describe("a source that is blocked", () => {
  const echoServer = new ChildProgram("echo-server");
  const talker = new ChildProgram("talker");

  async function startTalker(site: Site, source: string): Promise<TalkingChild> {
    const { namespace } = site.host;
    cleanup.own(await echoServer.start(namespace, [site.address, String(ECHO_PORT)]));
    return cleanup.own(await talker.start(site.visitor, [site.address, String(ECHO_PORT), source]));
  }

  function ping(site: Site, source: string): string {
    const args = ["--icmp", "-c", "1", "-a", source, site.address];
    return site.visitor.run("hping3", args);
  }

  it("keeps its established connection, its UDP and its ICMP, and can't open another connection", async () => {
    const site = await startSite(cleanup);
    const source = site.newSource();
    const visitor = await startTalker(site, source);
    expect(await visitor.ask("open")).toBe("connected");
    expect(await visitor.ask("exchange")).toBe("echoed");

    // The echo server's port is the third.
    await site.scan(source, [1, 2]);
    await site.blocked(source);
    for (let round = 0; round < 3; round++) {
      expect(await visitor.ask("attempt")).toBe("timed out");
      expect(await visitor.ask("exchange")).toBe("echoed");
      expect(await visitor.ask("udp")).toBe("echoed");
      expect(ping(site, source)).toContain("icmp_seq=0");
    }
    expect(await site.visit(site.newSource())).toBe("pong");
  });

  it("is judged by what it reached: three ports, and no fourth report after the block", async () => {
    const site = await startSite(cleanup);
    const { syns, verdicts } = await site.tap();
    const pinned = cleanup.own(site.openPins());
    const source = await site.addBlockedSource();
    expect(await site.visit(source)).toBe("timed out");
    await balanceBooks(pinned, syns);

    expect(syns.of(source)).toMatchObject({ syns: 3, ports: new Set([1, 2, 3]) });
    const { verdict } = await verdicts.untilBlockOf(source);
    expect(verdicts.verdicts).toHaveLength(1);
    expect(verdict).toMatchObject({
      rule: "vertical",
      expiresUs: null,
      issuedUs: syns.of(source).lastUs,
      evidence: {
        count: 3,
        ports: [1, 2, 3],
        destinations: [site.address],
        hosts: ["host"],
        firstSeenUs: syns.of(source).firstUs,
        lastSeenUs: syns.of(source).lastUs,
      },
    });
  });
});

describe("with PW_BLOCK_TTL", () => {
  const settings = { PW_BLOCK_TTL: String(BLOCK_TTL_SECONDS) };

  it.each([
    { when: "all services live", killed: [] },
    { when: "no process is alive", killed: pipeline },
  ])("a block ends on time while $when", async ({ killed }) => {
    const site = await startSite(cleanup, { settings });
    const { verdicts } = await site.tap();
    const source = await site.addBlockedSource();
    const { verdict } = await verdicts.untilBlockOf(source);
    const expiresUs = "expiresUs" in verdict ? (verdict.expiresUs ?? 0) : 0;
    expect(expiresUs - verdict.issuedUs).toBe(BLOCK_TTL_SECONDS * 1e6);

    await site.host.kill(...killed);
    expect(await site.visit(source)).toBe("timed out");
    let lastStartUs = 0;
    let lastDroppedUs = 0;
    const isAnswered = async () => {
      lastDroppedUs = lastStartUs;
      lastStartUs = Date.now() * 1000;
      return (await site.visit(source)) === "pong";
    };
    await waitUntil(isAnswered, { timeoutMs: LIFT_TIMEOUT_MS, what: "the block to end" });
    expect(Date.now() * 1000).toBeGreaterThan(expiresUs - CLOCK_TOLERANCE_US);
    // An attempt that began after the end would have been answered.
    expect(lastDroppedUs).toBeLessThan(expiresUs + CLOCK_TOLERANCE_US);
  });

  it("a source that scans again after its block is blocked again", async () => {
    const site = await startSite(cleanup, { settings });
    const { verdicts } = await site.tap();
    const source = await site.addBlockedSource();
    const isAnswered = async () => (await site.visit(source)) === "pong";
    await waitUntil(isAnswered, { timeoutMs: LIFT_TIMEOUT_MS, what: "the block to end" });

    // Of ports that don't count from before, so that all are refused.
    await site.scan(source, [4, 5]);
    const count = () => verdicts.verdicts.length;
    await waitUntil(() => count() === 2, { timeoutMs: LIFT_TIMEOUT_MS, what: "a second verdict" });
    const isDropped = async () => (await site.visit(source)) === "timed out";
    await waitUntil(isDropped, { timeoutMs: LIFT_TIMEOUT_MS, what: "the second block" });
  });
});

describe("with PW_BLOCK_TTL_FACTOR", () => {
  it("the second block is longer, though the detector that decided the first is dead", async () => {
    const settings = { PW_BLOCK_TTL: String(BLOCK_TTL_SECONDS), PW_BLOCK_TTL_FACTOR: "4" };
    const site = await startSite(cleanup, { settings });
    const { verdicts } = await site.tap();
    const source = await site.addBlockedSource();
    const isAnswered = async () => (await site.visit(source)) === "pong";
    await waitUntil(isAnswered, { timeoutMs: LIFT_TIMEOUT_MS, what: "the block to end" });

    await site.host.kill("detector");
    await site.host.start("detector");
    await site.scan(source, [4, 5]);
    const count = () => verdicts.verdicts.length;
    await waitUntil(() => count() === 2, { timeoutMs: LIFT_TIMEOUT_MS, what: "a second verdict" });
    const [first, second] = verdicts.verdicts.map(({ verdict }) => verdict as BlockVerdict);
    expect(first).toMatchObject({ offence: 1, expiresUs: endOf(first, BLOCK_TTL_SECONDS) });
    expect(second?.offence).toBe(2);
    expect(second?.expiresUs).toBeGreaterThan(endOf(second, BLOCK_TTL_SECONDS * 3.5));
    expect(second?.expiresUs).toBeLessThanOrEqual(endOf(second, BLOCK_TTL_SECONDS * 4));
  });
});

function endOf(verdict: BlockVerdict | undefined, seconds: number): number {
  return (verdict?.issuedUs ?? 0) + seconds * 1e6;
}

describe("with PW_ENFORCE=false", () => {
  it("a scanner is found and its would-be drops are counted, and nothing is dropped", async () => {
    const site = await startSite(cleanup, { settings: { PW_ENFORCE: "false" } });
    const { syns, verdicts } = await site.tap();
    const pinned = cleanup.own(site.openPins());
    const source = await site.addBlockedSource();
    for (let count = 0; count < 5; count++) expect(await site.visit(source)).toBe("pong");
    await balanceBooks(pinned, syns);

    await verdicts.untilBlockOf(source);
    expect(pinned.maps.counters()).toMatchObject({ wouldDrop: 5, dropped: 0, reported: 8 });
    expect(syns.of(source).syns).toBe(8);
    await holdsFor(() => verdicts.verdicts.length === 1, { timeoutMs: 500, what: "one verdict" });
  });
});
