import { describe, expect, it } from "vitest";
import { CliError } from "../cli-error.ts";
import { lookUntilHealthy } from "./look-until-healthy.ts";

const LONG_MS = 3_600_000;

/** Looks that find these reasons, one after the other. */
function looks(...reasons: readonly (readonly string[])[]) {
  let count = 0;
  const look = () => {
    const diagnosis = { reasons: reasons[count++] ?? [], notes: [] };
    return Promise.resolve({ diagnosis, count });
  };
  return look;
}

describe("status with --wait", () => {
  it("looks again until nothing is amiss", async () => {
    const report = await lookUntilHealthy(looks(["a"], ["b"], []), LONG_MS);
    expect(report).toMatchObject({ count: 3, diagnosis: { reasons: [] } });
  });

  it("looks once where nothing is amiss", async () => {
    expect(await lookUntilHealthy(looks([]), LONG_MS)).toMatchObject({ count: 1 });
  });

  it("looks again where a look failed with what may pass", async () => {
    const look = looks(["never seen"], []);
    let failures = 0;
    const report = await lookUntilHealthy(async () => {
      const found = await look();
      if (failures++ === 0) throw new CliError("STREAM_UNREADABLE", "a leader is elected");
      return found;
    }, LONG_MS);
    expect(report).toMatchObject({ count: 2, diagnosis: { reasons: [] } });
  });

  it.each([
    ["for good", new CliError("NATS_REFUSES", "the key is unknown"), LONG_MS],
    ["when the time is over", new CliError("STREAM_UNREADABLE", "no leader"), 0],
  ])("fails where a look fails %s", async (_, error, waitMs) => {
    await expect(lookUntilHealthy(() => Promise.reject(error), waitMs)).rejects.toBe(error);
  });

  it("tells what is amiss when the time is over", async () => {
    const report = await lookUntilHealthy(looks(["a"], ["b"]), 0);
    expect(report).toMatchObject({ count: 1, diagnosis: { reasons: ["a"] } });
  });
});
