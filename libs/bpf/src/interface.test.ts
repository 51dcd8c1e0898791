import { afterAll, beforeAll, expect, test } from "vitest";
import { bpfErrorOf } from "../test/bpf-error-of.ts";
import { createVeth, type Veth } from "../test/veth.ts";
import { interfaceIndex, interfaceMtu } from "./interface.ts";

let veth: Veth;

beforeAll(() => {
  veth = createVeth();
});
afterAll(() => veth.remove());

test("loopback has index 1", () => {
  expect(interfaceIndex("lo")).toBe(1);
});

test("an MTU is the interface's own", () => {
  veth.setMtu(1234);
  expect([interfaceMtu(veth.name), interfaceMtu("lo")]).toEqual([1234, 65536]);
});

test.each(["pwb-none", "", "a-name-that-is-longer-than-an-interface-can-have"])(
  "an interface named %o is NO_INTERFACE",
  (name) => {
    expect(bpfErrorOf(() => interfaceIndex(name))).toMatchObject({
      code: "NO_INTERFACE",
      errnoName: "ENODEV",
      subject: name,
    });
    expect(bpfErrorOf(() => interfaceMtu(name)).code).toBe("NO_INTERFACE");
  },
);
