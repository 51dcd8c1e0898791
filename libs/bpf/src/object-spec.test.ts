import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { bpfErrorOf } from "../test/bpf-error-of.ts";
import { compile } from "../test/compile.ts";
import { makeTestPinFolder } from "../test/pin-folder.ts";
import { asNobody } from "../test/unprivileged.ts";
import type { BpfObject } from "./bpf-object.ts";
import { loadLibbpf } from "./libbpf.ts";
import { BPF_F_XDP_HAS_FRAGS, type ObjectSpec, openObject } from "./object-spec.ts";
import { openRingBuffer } from "./ring-buffer.ts";

const fixture = compile("fixture");
const refused = compile("refused");
let pins: ReturnType<typeof makeTestPinFolder>;
const open: { close(): void }[] = [];

function own<T extends ObjectSpec | BpfObject>(owned: T): T {
  open.push(owned);
  return owned;
}

beforeAll(() => {
  pins = makeTestPinFolder();
});
afterEach(() => open.splice(0).forEach((owned) => owned.close()));
afterAll(() => pins.remove());

describe("a spec", () => {
  test("lists the ELF's maps", () => {
    const { maps } = own(openObject(fixture));
    expect(maps.find(({ name }) => name === "table")).toEqual({
      name: "table",
      type: "hash",
      keySize: 4,
      valueSize: 16,
      maxEntries: 1024,
      flags: 1,
    });
    expect(maps.find(({ name }) => name === "prefixes")).toMatchObject({
      type: "lpm_trie",
      keySize: 8,
      valueSize: 4,
    });
    expect(maps.find(({ name }) => name === "events")).toMatchObject({
      type: "ringbuf",
      maxEntries: 4096,
    });
    expect(maps.find(({ name }) => name === "counters")).toMatchObject({
      type: "percpu_array",
      valueSize: 12,
    });
  });

  test("lists the ELF's programs with their section", () => {
    const { programs } = own(openObject(fixture));
    expect(programs.map(({ name, section }) => [name, section])).toEqual([
      ["produce", "xdp"],
      ["rewrite", "xdp"],
      ["count", "xdp"],
    ]);
  });

  test("is refused use after it was loaded or closed, and closes twice", () => {
    const spec = openObject(fixture);
    own(spec.load());
    expect(() => spec.maps).toThrow(/used after/);
    spec.close();
    spec.close();
    expect(() => spec.load()).toThrow(/used after/);
  });

  test("has no map, program or global that the file has not", () => {
    const spec = own(openObject(fixture));
    expect(() => spec.setMaxEntries("nothing", 1)).toThrow(/has no map nothing/);
    expect(() => spec.setProgramFlags("nothing", 0)).toThrow(/has no program nothing/);
    expect(() => spec.setGlobal("nothing", new Uint8Array(4))).toThrow(/has no global nothing/);
    expect(() => spec.setGlobal("first_setting", new Uint8Array(3))).toThrow(/has 4 bytes/);
  });
});

describe("what is set before load", () => {
  test("max entries are the map's, and a ring buffer's round up to a power of two of pages", () => {
    const spec = openObject(fixture);
    spec.setMaxEntries("table", 77);
    spec.setMaxEntries("events", 5000);
    const object = own(spec.load());
    expect(object.map("table").info()).toMatchObject({
      name: "table",
      maxEntries: 77,
      type: "hash",
      keySize: 4,
      valueSize: 16,
    });
    expect(object.map("events").maxEntries).toBe(8192);
  });

  test("a global is what the program reads, and leaves its neighbours alone", () => {
    const spec = openObject(fixture);
    spec.setGlobal("first_setting", new Uint8Array(Uint32Array.of(1000).buffer));
    expect(settingSeenBy(own(spec.load()))).toBe(1009);
    expect(settingSeenBy(own(openObject(fixture).load()))).toBe(16);
    const second = openObject(fixture);
    second.setGlobal("second_setting", new Uint8Array(BigUint64Array.of(1n, 50n).buffer));
    expect(settingSeenBy(own(second.load()))).toBe(57);
  });

  test("flags add to the program's", () => {
    const spec = own(openObject(fixture));
    spec.setProgramFlags("produce", BPF_F_XDP_HAS_FRAGS);
    expect(spec.programs.map(({ flags }) => flags)).toEqual([BPF_F_XDP_HAS_FRAGS, 0, 0]);
  });
});

function settingSeenBy(object: BpfObject): number | undefined {
  const ring = openRingBuffer(object.map("events"));
  try {
    object.program("produce").testRun({ data: new Uint8Array(64) });
    let setting: number | undefined;
    ring.consume((offset) => void (setting = ring.views.words[offset / 4 + 3]), 1);
    return setting;
  } finally {
    ring.close();
  }
}

describe("a pin path", () => {
  const key = Uint8Array.of(1, 0, 0, 0);
  const value = new Uint8Array(16).fill(7);

  test("pins a new map, and the next load finds its content", () => {
    const path = join(pins.path, "a", "b", "table");
    const first = openObject(fixture);
    first.setPinPath("table", path);
    const loaded = first.load();
    loaded.map("table").update(key, value);
    loaded.close();
    expect(existsSync(path)).toBe(true);

    const second = openObject(fixture);
    second.setPinPath("table", path);
    expect(own(second.load()).map("table").lookup(key)).toEqual(value);
  });

  test("of an incompatible map is MAP_MISMATCH, naming map, path and difference; and it is left alone", () => {
    const path = join(pins.path, "mismatch");
    const first = openObject(fixture);
    first.setPinPath("table", path);
    own(first.load());

    const second = openObject(fixture);
    second.setPinPath("table", path);
    second.setMaxEntries("table", 2048);
    const error = bpfErrorOf(() => second.load());
    expect(error.code).toBe("MAP_MISMATCH");
    expect(error.message).toContain(`table at ${path}: maxEntries is 1024, expected 2048`);
    expect(existsSync(path)).toBe(true);
  });

  test("outside of a BPF file system is NO_BPFFS, and says how to mount one", () => {
    const folder = mkdtempSync(join(tmpdir(), "pwb-"));
    const spec = openObject(fixture);
    spec.setPinPath("table", join(folder, "deep", "table"));
    const error = bpfErrorOf(() => spec.load());
    expect(error.code).toBe("NO_BPFFS");
    expect(error.message).toContain("mount -t bpf bpf /sys/fs/bpf");
    rmSync(folder, { recursive: true });
  });

  test("of a failed load is not left behind", () => {
    const path = join(pins.path, "left-behind");
    const spec = openObject(fixture);
    spec.setPinPath("table", path);
    spec.setMaxEntries("cpus", 2 ** 20);
    expect(bpfErrorOf(() => spec.load()).code).toBe("OBJECT_LOAD");
    expect(existsSync(path)).toBe(false);
  });
});

describe("a failure", () => {
  test.each([
    ["is missing", "/nonexistent/packetwatch.bpf.o", /ENOENT/],
    ["is no ELF", "/etc/passwd", /not a proper ELF object/],
  ])("to open a file that %s is OBJECT_OPEN, in libbpf's words", (_, path, words) => {
    const error = bpfErrorOf(() => openObject(path));
    expect(error).toMatchObject({ code: "OBJECT_OPEN", subject: path });
    expect(error.message).toMatch(words);
  });

  test("of the verifier carries the end of its log and a file with all of it", () => {
    const error = bpfErrorOf(() => openObject(refused).load());
    expect(error).toMatchObject({
      code: "VERIFIER",
      subject: "program refused",
      errnoName: "EACCES",
    });
    const { tail, path = "" } = error.verifierLog ?? {};
    expect(tail?.join("\n")).toMatch(/invalid access to packet/);
    expect(tail?.length).toBeLessThanOrEqual(20);
    expect(error.message).toContain(tail?.at(-1));
    expect(error.message).toContain(path);
    expect(readFileSync(path, "utf8")).toContain("invalid access to packet");
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
    rmSync(dirname(path), { recursive: true });
  });

  test("for lack of capabilities is NO_PERMISSION, and names them", () => {
    const spec = openObject(fixture);
    const error = asNobody(() => bpfErrorOf(() => spec.load()));
    expect(error).toMatchObject({ code: "NO_PERMISSION", errnoName: "EPERM" });
    expect(error.message).toContain("missing here: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON");
  });

  test("to create a map is OBJECT_LOAD, in libbpf's words", () => {
    const spec = openObject(fixture);
    spec.setMaxEntries("cpus", 2 ** 20);
    const error = bpfErrorOf(() => spec.load());
    expect(error.code).toBe("OBJECT_LOAD");
    expect(error.message).toMatch(/map 'cpus': failed to create/);
  });

  test("to find libbpf is LIBBPF_MISSING, and says how to install it", () => {
    const error = bpfErrorOf(() => loadLibbpf("libbpf-none.so.9"));
    expect(error).toMatchObject({ code: "LIBBPF_MISSING", subject: "libbpf-none.so.9" });
    expect(error.hint).toContain("apt-get install libbpf1");
  });

  test("of a libbpf without a function is LIBBPF_MISSING", () => {
    expect(bpfErrorOf(() => loadLibbpf("libm.so.6")).code).toBe("LIBBPF_MISSING");
  });
});

describe("a loaded object", () => {
  test("has the maps and programs of the ELF, and no others", () => {
    const object = own(openObject(fixture).load());
    expect(object.program("rewrite").info().name).toBe("rewrite");
    expect(() => object.program("nothing")).toThrow(/has no program nothing/);
    expect(() => object.map("nothing")).toThrow(/has no map nothing/);
  });

  test("closes twice, and use after close throws, of its parts too", () => {
    const object = openObject(fixture).load();
    const map = object.map("table");
    const program = object.program("produce");
    object.close();
    object.close();
    expect(() => object.map("table")).toThrow(/used after it was closed/);
    expect(() => map.lookup(new Uint8Array(4))).toThrow(/used after it was closed/);
    expect(() => program.info()).toThrow(/used after it was closed/);
  });
});
