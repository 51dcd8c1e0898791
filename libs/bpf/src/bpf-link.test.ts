import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { bpfErrorOf } from "../test/bpf-error-of.ts";
import { compile } from "../test/compile.ts";
import { makeTestPinFolder } from "../test/pin-folder.ts";
import { asNobody } from "../test/unprivileged.ts";
import { createVeth, type Veth } from "../test/veth.ts";
import { attachXdp, type XdpMode } from "./attach-xdp.ts";
import { type BpfLink, openPinnedLink } from "./bpf-link.ts";
import type { BpfObject } from "./bpf-object.ts";
import { removePin } from "./bpffs.ts";
import { interfaceIndex, interfaceMtu } from "./interface.ts";
import { BPF_F_XDP_HAS_FRAGS, openObject } from "./object-spec.ts";
import { queryXdp } from "./query-xdp.ts";

const fixture = compile("fixture");
let object: BpfObject;
let pins: ReturnType<typeof makeTestPinFolder>;
const veths: Veth[] = [];
const links: BpfLink[] = [];

beforeAll(() => {
  object = openObject(fixture).load();
  pins = makeTestPinFolder();
});
afterEach(() => {
  links.splice(0).forEach((link) => link.close());
  veths.splice(0).forEach((veth) => veth.remove());
});
afterAll(() => {
  object.close();
  pins.remove();
});

function newVeth(): Veth {
  const veth = createVeth();
  veths.push(veth);
  return veth;
}

function attach(interfaceName: string, mode: XdpMode, from: BpfObject = object): BpfLink {
  const link = attachXdp({ program: from.program("produce"), interfaceName, mode });
  links.push(link);
  return link;
}

describe("an attached link", () => {
  test.each(["native", "skb"] as const)(
    "in mode %s is seen by a query, until it is closed",
    (mode) => {
      const { name } = newVeth();
      expect(queryXdp(name)).toBeUndefined();
      const link = attach(name, mode);
      const programId = object.program("produce").id;
      expect(queryXdp(name)).toEqual({ programId, mode });
      expect(queryXdp(interfaceIndex(name))).toEqual({ programId, mode });
      expect(link.info()).toMatchObject({ programId, ifindex: interfaceIndex(name) });
      link.close();
      link.close();
      expect(queryXdp(name)).toBeUndefined();
      expect(() => link.info()).toThrow(/used after it was closed/);
    },
  );

  test("that is pinned outlives its descriptor, and ends with its pin", () => {
    const { name } = newVeth();
    const path = join(pins.path, "link");
    const link = attach(name, "native");
    link.pin(path);
    link.close();
    expect(queryXdp(name)?.mode).toBe("native");

    const pinned = openPinnedLink(path);
    expect(pinned.info().ifindex).toBe(interfaceIndex(name));
    expect(removePin(path)).toBe(true);
    expect(removePin(path)).toBe(false);
    pinned.close();
    expect(queryXdp(name)).toBeUndefined();
  });

  test("updates to another program under the same link", () => {
    const { name } = newVeth();
    const link = attach(name, "native");
    const { id } = link.info();
    link.updateProgram(object.program("rewrite"));
    expect(link.info()).toMatchObject({ id, programId: object.program("rewrite").id });
    expect(queryXdp(name)?.programId).toBe(object.program("rewrite").id);
  });

  test("detaches at once though its pin stays", () => {
    const { name } = newVeth();
    const path = join(pins.path, "detached");
    const link = attach(name, "skb");
    link.pin(path);
    link.detach();
    expect(queryXdp(name)).toBeUndefined();
    expect(openAndClose(path)).toBe(0);
    removePin(path);
  });

  test("has interface 0 once the interface has gone, and updates no more", () => {
    const veth = newVeth();
    const link = attach(veth.name, "native");
    veth.remove();
    expect(link.info().ifindex).toBe(0);
    expect(bpfErrorOf(() => link.updateProgram(object.program("rewrite"))).code).toBe(
      "NO_INTERFACE",
    );
  });
});

function openAndClose(path: string): number {
  const link = openPinnedLink(path);
  const { ifindex } = link.info();
  link.close();
  return ifindex;
}

describe("attaching", () => {
  test("to an interface that does not exist is NO_INTERFACE", () => {
    const error = bpfErrorOf(() => attach("pwb-none", "native"));
    expect(error).toMatchObject({ code: "NO_INTERFACE", subject: "pwb-none", retryable: true });
  });

  test.each([
    ["the same mode", "native", "native", "EBUSY"],
    ["the other mode", "native", "skb", "EEXIST"],
  ] as const)(
    "to an interface that has a program in %s is INTERFACE_BUSY",
    (_, first, second, errnoName) => {
      const { name } = newVeth();
      attach(name, first);
      const error = bpfErrorOf(() => attach(name, second));
      expect(error).toMatchObject({ code: "INTERFACE_BUSY", errnoName });
      expect(error.message).toContain(
        `attach xdp to ${name} (ifindex ${interfaceIndex(name)}, ${second}): ${errnoName}:`,
      );
      expect(error.message).toContain(`ip link set ${name} xdp off`);
    },
  );

  test("natively to an interface whose driver can't is NATIVE_UNSUPPORTED", () => {
    expect(bpfErrorOf(() => attach("lo", "native"))).toMatchObject({
      code: "NATIVE_UNSUPPORTED",
      errnoName: "EOPNOTSUPP",
    });
  });

  test("natively at a large MTU is MTU_TOO_LARGE, and works with frags", () => {
    const veth = newVeth();
    veth.setMtu(9000);
    expect(interfaceMtu(veth.name)).toBe(9000);
    const error = bpfErrorOf(() => attach(veth.name, "native"));
    expect(error.code).toBe("MTU_TOO_LARGE");
    expect(error.message).toContain("9000");

    const spec = openObject(object.path);
    spec.setProgramFlags("produce", BPF_F_XDP_HAS_FRAGS);
    const withFrags = spec.load();
    attach(veth.name, "native", withFrags);
    withFrags.close();
    expect(queryXdp(veth.name)?.mode).toBe("native");
  });
});

describe("a pinned link's path", () => {
  test("with nothing there is PIN_MISSING", () => {
    const error = bpfErrorOf(() => openPinnedLink(join(pins.path, "nothing")));
    expect(error).toMatchObject({ code: "PIN_MISSING", errnoName: "ENOENT", retryable: true });
  });

  test("of another user's is NO_PERMISSION", () => {
    const path = join(pins.path, "private");
    attach(newVeth().name, "skb").pin(path);
    expect(asNobody(() => bpfErrorOf(() => openPinnedLink(path))).code).toBe("NO_PERMISSION");
  });

  test("that holds a map is refused", () => {
    const path = join(pins.path, "map");
    object.map("table").pin(path);
    expect(bpfErrorOf(() => openPinnedLink(path)).message).toContain("anon_inode:bpf-map");
  });

  test("that is taken is PIN_EXISTS", () => {
    const path = join(pins.path, "taken");
    object.map("table").pin(path);
    expect(bpfErrorOf(() => attach(newVeth().name, "skb").pin(path)).code).toBe("PIN_EXISTS");
  });
});

test("a query of a name that does not exist is NO_INTERFACE, and an index that does not has nothing attached", () => {
  expect(bpfErrorOf(() => queryXdp("pwb-none")).code).toBe("NO_INTERFACE");
  expect(queryXdp(2_000_000)).toBeUndefined();
});
