import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attachXdp, bpffsName, openObject, openPinnedLink, queryXdp } from "@packetwatch/bpf";
import { LINK_PIN_NAME, mapNames, PROGRAM_NAME } from "@packetwatch/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { detachInterface, pinnedInterfaces } from "../../cli/src/detach/detach-interface.ts";
import { Cleanup } from "../support/cleanup.ts";
import { Guardian } from "../support/guardian.ts";
import { OBJECT_PATH } from "../support/loaded-packetwatch.ts";
import { runPacketwatch } from "../support/packetwatch-command.ts";

const PIN_DIR = `/sys/fs/bpf/packetwatch-test-${process.pid}`;
/** One with a dot: bpffs refuses it in the name of a folder. */
const interfaces = [`pwd${process.pid % 1e6}`, `pw.${process.pid % 1e6}`] as const;
const [plainName, dottedName] = interfaces;

const cleanup = new Cleanup();

beforeAll(() => {
  const undo = interfaces.map((name) => `ip link del ${name}`);
  cleanup.own(new Guardian([...undo, `rm -rf ${PIN_DIR}`]));
  for (const name of interfaces) {
    execFileSync("ip", ["link", "add", name, "type", "veth", "peer", "name", peer(name)]);
    cleanup.defer(() => execFileSync("ip", ["link", "del", name]));
  }
  cleanup.defer(() => rmSync(PIN_DIR, { recursive: true, force: true }));
});
afterAll(() => cleanup.run());

function peer(name: string): string {
  return name.replace("pw", "pv");
}

/** As capture does it: loaded, attached, everything pinned, nothing held open. */
function attach(name: string): void {
  const folder = join(PIN_DIR, bpffsName(name));
  const spec = openObject(OBJECT_PATH);
  for (const map of Object.values(mapNames)) spec.setPinPath(map, join(folder, map));
  const object = spec.load();
  const link = attachXdp({
    program: object.program(PROGRAM_NAME),
    interfaceName: name,
    mode: "skb",
  });
  link.pin(join(folder, LINK_PIN_NAME));
  link.close();
  object.close();
}

describe("detach", () => {
  it.each(interfaces)("takes link, maps and folder off %s, and nothing the second time", (name) => {
    attach(name);
    expect(queryXdp(name)).toBeDefined();
    expect(pinnedInterfaces(PIN_DIR)).toEqual([name]);
    const maps = Object.values(mapNames);
    expect(detachInterface(PIN_DIR, name)).toEqual({ interface: name, link: true, maps, left: [] });
    expect(queryXdp(name)).toBeUndefined();
    expect(existsSync(join(PIN_DIR, bpffsName(name)))).toBe(false);
    expect(detachInterface(PIN_DIR, name)).toEqual({
      interface: name,
      link: false,
      maps: [],
      left: [],
    });
  });

  it("detaches although a capture that still runs holds the link", () => {
    attach(plainName);
    const held = openPinnedLink(join(PIN_DIR, plainName, LINK_PIN_NAME));
    detachInterface(PIN_DIR, plainName);
    expect(queryXdp(plainName)).toBeUndefined();
    held.close();
  });

  it("leaves the other interface attached", () => {
    attach(plainName);
    attach(dottedName);
    detachInterface(PIN_DIR, plainName);
    expect(queryXdp(dottedName)).toBeDefined();
    expect(pinnedInterfaces(PIN_DIR)).toEqual([dottedName]);
    detachInterface(PIN_DIR, dottedName);
  });

  it("the command names what it leaves attached, and fails where it is told a name that is none", async () => {
    attach(dottedName);
    const settings = { PW_PIN_DIR: PIN_DIR, PW_IFDEV: plainName };
    const mistaken = await runPacketwatch({ settings, args: ["detach", "--interface", "pwtypo"] });
    expect(mistaken).toEqual({
      code: 1,
      out: "nothing attached on pwtypo\n",
      errors: `packetwatch: there is no interface pwtypo here\npacketwatch: still attached: ${dottedName} (--interface ${dottedName}, or --all)\n`,
    });
    const all = await runPacketwatch({ settings, args: ["detach", "--all"] });
    expect(all).toMatchObject({ code: 0, errors: "" });
    const again = await runPacketwatch({ settings, args: ["detach"] });
    expect(again).toMatchObject({ code: 0, errors: "" });
  });

  it("the command says which interface of PW_IFDEV is gone, and has nothing to fail at", async () => {
    const settings = { PW_PIN_DIR: PIN_DIR, PW_IFDEV: "pwgone" };
    expect(await runPacketwatch({ settings, args: ["detach"] })).toEqual({
      code: 0,
      out: "nothing attached on pwgone\n",
      errors: "packetwatch: there is no interface pwgone here\n",
    });
  });

  it("the command does not take all where it is told a name", async () => {
    attach(plainName);
    const settings = { PW_PIN_DIR: PIN_DIR };
    const args = ["detach", "--all", "--interface", dottedName];
    expect(await runPacketwatch({ settings, args })).toMatchObject({ code: 2 });
    expect(queryXdp(plainName)).toBeDefined();
    detachInterface(PIN_DIR, plainName);
  });

  it("leaves what isn't ours, and says so", () => {
    attach(plainName);
    const foreign = join(PIN_DIR, plainName, "foreign");
    mkdirSync(foreign);
    expect(detachInterface(PIN_DIR, plainName)).toMatchObject({ link: true, left: ["foreign"] });
    expect(existsSync(foreign)).toBe(true);
    expect(pinnedInterfaces(PIN_DIR)).toEqual([]);
    rmdirSync(foreign);
    rmdirSync(join(PIN_DIR, plainName));
  });

  it("removes pins that a crash left without a link", () => {
    attach(plainName);
    rmSync(join(PIN_DIR, plainName, LINK_PIN_NAME));
    expect(detachInterface(PIN_DIR, plainName)).toMatchObject({ link: false, left: [] });
    expect(existsSync(join(PIN_DIR, plainName))).toBe(false);
  });

  it("touches no file of another file system", () => {
    const folder = mkdtempSync(join(tmpdir(), "packetwatch-detach-"));
    const file = join(folder, plainName, mapNames.events);
    mkdirSync(join(folder, plainName));
    writeFileSync(file, "precious");
    expect(detachInterface(folder, plainName)).toMatchObject({ link: false, maps: [] });
    expect(existsSync(file)).toBe(true);
    rmSync(folder, { recursive: true });
  });
});
