import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { publicKeyOfSeed } from "@packetwatch/bus";
import { roleNames } from "@packetwatch/contracts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { KeyFolder } from "./key-folder.ts";

describe("key folder", () => {
  let folder = "";
  let keys: KeyFolder;
  beforeEach(() => {
    folder = path.join(mkdtempSync(path.join(tmpdir(), "packetwatch-keys-")), "keys");
    keys = new KeyFolder(folder);
  });
  afterEach(() => rmSync(path.dirname(folder), { recursive: true }));

  const seedOf = (name: string) => readFileSync(keys.seedFile(name), "utf8");
  const modeOf = (file: string) => statSync(file).mode & 0o777;

  it("has a key of its own for each role, readable by its owner alone", () => {
    expect(keys.init()).toEqual(roleNames);
    for (const role of roleNames) {
      expect(modeOf(keys.seedFile(role))).toBe(0o600);
      expect(modeOf(path.dirname(keys.seedFile(role)))).toBe(0o700);
    }
    expect(new Set(roleNames.map(seedOf)).size).toBe(roleNames.length);
  });

  it("what is for nats-server has every public key and no seed", () => {
    keys.init();
    const conf = readFileSync(keys.accountsFile, "utf8");
    for (const role of roleNames) {
      expect(conf).toContain(publicKeyOfSeed(seedOf(role)));
      for (const file of readdirSync(path.join(folder, "nats"))) {
        const text = readFileSync(path.join(folder, "nats", file), "utf8");
        expect(text).not.toContain(seedOf(role).trim());
      }
    }
  });

  it("a second init makes nothing and changes no key", () => {
    keys.init();
    const before = roleNames.map(seedOf);
    expect(keys.init()).toEqual([]);
    expect(roleNames.map(seedOf)).toEqual(before);
  });

  it("a seed that was moved to its host stays known", () => {
    keys.init();
    const publicKey = publicKeyOfSeed(seedOf("capture"));
    rmSync(keys.seedFile("capture"));
    expect(keys.init()).toEqual([]);
    expect(readFileSync(keys.accountsFile, "utf8")).toContain(publicKey);
  });

  it("an init that was cut short goes on with the seeds that it made", () => {
    keys.init();
    const before = seedOf("metrics");
    rmSync(path.join(folder, "nats"), { recursive: true });
    keys.init();
    expect(seedOf("metrics")).toBe(before);
    expect(readFileSync(keys.accountsFile, "utf8")).toContain(publicKeyOfSeed(before));
  });

  it("a key is added once, for one host, and removed with its seed", () => {
    keys.init();
    keys.add({ name: "enforcer-web1", role: "enforcer", host: "web1" });
    expect(readFileSync(keys.accountsFile, "utf8")).toContain("packetwatch.v1.applied.web1");
    expect(() => keys.add({ name: "enforcer-web1", role: "capture", host: undefined })).toThrow(
      /there is one already/,
    );
    const publicKey = publicKeyOfSeed(seedOf("enforcer-web1"));
    keys.remove("enforcer-web1");
    expect(readdirSync(folder)).not.toContain("enforcer-web1");
    expect(readFileSync(keys.accountsFile, "utf8")).not.toContain(publicKey);
    expect(() => keys.remove("enforcer-web1")).toThrow(/there is none/);
  });

  it.each([
    ["listed", () => keys.users()],
    ["added", () => keys.add({ name: "web1", role: "capture", host: undefined })],
    ["removed", () => keys.remove("capture")],
  ])("none is %s where no init has been: the folder may be mistyped", (_, use) => {
    expect(use).toThrow(`there are none; 'packetwatch keys init ${folder}' makes them`);
    expect(existsSync(folder)).toBe(false);
  });

  const damaged = [
    ["no JSON", "{"],
    ["another version", '{"version":2,"users":[]}'],
    [
      "a name that is a path",
      '{"version":1,"users":[{"name":"../x","role":"capture","publicKey":"U"}]}',
    ],
    [
      "an unknown role",
      `{"version":1,"users":[{"name":"x","role":"root","publicKey":"U${"A".repeat(55)}"}]}`,
    ],
  ] as const;
  it.each(damaged)("a list of users that is damaged is refused: %s", (_what, text) => {
    keys.init();
    writeFileSync(path.join(folder, "nats/users.json"), text);
    expect(() => keys.init()).toThrow(/users.json: it is damaged/);
  });
});
