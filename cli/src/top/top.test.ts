import { createSynEvent } from "@packetwatch/contracts";
import { parseAddress } from "@packetwatch/net";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TIME_US } from "../testing/payloads.ts";
import { HeavyHitters, MAX_DISTINCT } from "./heavy-hitters.ts";
import { jsonTop, renderTop } from "./render-top.ts";

function attempt(source: string, port: number = 80, destination: string = "10.0.0.5") {
  const [s0, s1, s2, s3] = parseAddress(source);
  const [d0, d1, d2, d3] = parseAddress(destination);
  const words = { s0, s1, s2, s3, d0, d1, d2, d3 };
  return { ...createSynEvent(), ...words, destinationPort: port, timeUs: TIME_US };
}

const snapshotOf = (hitters: HeavyHitters) =>
  ({ hitters, hosts: 2, seconds: 2, nowUs: TIME_US, sort: "rate", limit: 10 }) as const;

describe("the heaviest sources", () => {
  it("are counted exactly, with their ports and destinations", () => {
    const hitters = new HeavyHitters();
    for (const port of [21, 22, 22]) hitters.add(attempt("192.0.2.1", port));
    hitters.add(attempt("192.0.2.2", 80, "10.0.0.6"));
    hitters.add(attempt("2001:db8::", 80));
    expect(hitters.maxError).toBe(0);
    expect(hitters.rows("total", 2)).toEqual([
      { source: "192.0.2.1", recent: 3, total: 3, ports: 2, destinations: 1, lastUs: TIME_US },
      { source: "192.0.2.2", recent: 1, total: 1, ports: 1, destinations: 1, lastUs: TIME_US },
    ]);
  });

  it("an interval begins anew, a total goes on", () => {
    const hitters = new HeavyHitters();
    hitters.add(attempt("192.0.2.1"));
    hitters.next();
    hitters.add(attempt("192.0.2.1"));
    expect(hitters.rows("rate", 1)).toMatchObject([{ recent: 1, total: 2 }]);
    expect(hitters.recent).toBe(1);
  });

  it("sort by what is asked for, and stay in order where that is equal", () => {
    const hitters = new HeavyHitters();
    for (const port of [1, 1, 1]) hitters.add(attempt("192.0.2.1", port));
    for (const port of [1, 2]) hitters.add(attempt("192.0.2.3", port));
    for (const port of [1, 2]) hitters.add(attempt("192.0.2.2", port));
    const first = (sort: Parameters<HeavyHitters["rows"]>[0]) =>
      hitters.rows(sort, 3).map(({ source }) => source.slice(-1));
    expect(first("rate")).toEqual(["1", "2", "3"]);
    expect(first("ports")).toEqual(["2", "3", "1"]);
  });

  it("no more sources are kept than there is room for, and no total is off by more than is said", () => {
    const source = fc.integer({ min: 0, max: 40 }).map((last) => `192.0.2.${last}`);
    fc.assert(
      fc.property(fc.array(source, { maxLength: 400 }), (sources) => {
        const hitters = new HeavyHitters(8);
        const truth = new Map<string, number>();
        for (const each of sources) {
          hitters.add(attempt(each));
          truth.set(each, (truth.get(each) ?? 0) + 1);
          expect(hitters.sources).toBeLessThanOrEqual(8);
        }
        const kept = new Map(hitters.rows("total", 8).map((row) => [row.source, row.total]));
        for (const [each, count] of truth) {
          const total = kept.get(each) ?? 0;
          expect(total).toBeLessThanOrEqual(count);
          expect(count - total).toBeLessThanOrEqual(hitters.maxError);
        }
      }),
    );
  });
});

describe("the table", () => {
  it("has rates of the interval, and says where counts end", () => {
    const hitters = new HeavyHitters();
    for (let port = 0; port < 100; port++) hitters.add(attempt("192.0.2.1", port));
    const text = renderTop(snapshotOf(hitters));
    expect(text).toMatch(/^2021-04-28 .* {2}50 attempts\/s within 2s, 1 source, 2 hosts\n/);
    expect(text).toMatch(new RegExp(`192\\.0\\.2\\.1 +50 +100 +${MAX_DISTINCT}\\+ +1 +2021`));
    expect(jsonTop(snapshotOf(hitters))).toMatchObject({
      attemptsPerSecond: 50,
      maxError: 0,
      top: [{ source: "192.0.2.1", perSecond: 50, total: 100 }],
    });
  });

  it("says when it is approximate, and when there is nothing", () => {
    expect(renderTop(snapshotOf(new HeavyHitters()))).toContain("no attempts yet");
    const hitters = new HeavyHitters(2);
    for (const last of [1, 2, 3]) hitters.add(attempt(`192.0.2.${last}`));
    expect(renderTop(snapshotOf(hitters))).toContain("approximate: totals are at most 1 too low");
  });
});
