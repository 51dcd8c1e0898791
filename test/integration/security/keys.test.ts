import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { roleNames } from "@packetwatch/contracts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { jsonLines, runPacketwatch } from "../../support/packetwatch-command.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "packetwatch-keys-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function keys(verb: string, ...args: readonly string[]) {
  return runPacketwatch({ settings: {}, args: ["keys", verb, folder, ...args] });
}

function ownerOf(name: string): readonly string[] {
  return [name, `${name}/user.nk`].map((path) => {
    const { uid, gid } = statSync(join(folder, path));
    return `${uid}:${gid}`;
  });
}

it.each([["init"], ["list"], ["add", "capture", "capture-web1"], ["remove", "capture"]])(
  "keys %s takes no empty name for the current folder",
  async (verb, ...args) => {
    const ran = await runPacketwatch({ settings: {}, args: ["keys", verb, "", ...args] });
    expect(ran).toMatchObject({ code: 2, out: "" });
    expect(ran.errors).toContain("It is empty; the current folder is '.'.");
  },
);

describe("keys --owner", () => {
  const owners = ["--owner", "1000:1001", "--owner", "capture=7:8"] as const;

  it("gives each seed to the owner of its role, or else to that of all", async () => {
    expect(await keys("init", ...owners)).toMatchObject({ code: 0, errors: "" });
    for (const role of roleNames) {
      const owner = role === "capture" ? "7:8" : "1000:1001";
      expect(ownerOf(role), role).toEqual([owner, owner]);
    }
  });

  it("an added key has the owner of its role", async () => {
    await keys("init");
    expect(await keys("add", "capture", "capture-web1", ...owners)).toMatchObject({ code: 0 });
    expect(ownerOf("capture-web1")).toEqual(["7:8", "7:8"]);
    expect(ownerOf("capture")).toEqual(["0:0", "0:0"]);
  });

  it.each(["root", "1000", "1000:", "nobody=1:1", "capture:1:1", "=1:1", "-1:0", "__proto__=1:1"])(
    "%s is refused with what it may be, and nothing is made",
    async (owner) => {
      const { code, errors } = await keys("init", `--owner=${owner}`);
      expect(code).toBe(2);
      expect(errors).toMatch(
        /^packetwatch: .*It is two numbers, such as 1000:1000 or capture=0:0\.\n/,
      );
      expect(() => ownerOf("capture")).toThrow("ENOENT");
    },
  );
});

it("with --json, each verb says what it made or took away, and no seed", async () => {
  const said = async (verb: string, ...args: readonly string[]) =>
    jsonLines(await keys(verb, ...args, "--json"))[0];
  const accounts = join(folder, "nats/accounts.conf");
  expect(await said("init")).toMatchObject({ accounts });
  expect(await said("add", "enforcer", "enforcer-web1", "--host", "web1")).toEqual({
    made: "enforcer-web1",
    role: "enforcer",
    host: "web1",
    seed: join(folder, "enforcer-web1/user.nk"),
    accounts,
  });
  expect(await said("remove", "enforcer-web1")).toEqual({ removed: "enforcer-web1", accounts });
});
