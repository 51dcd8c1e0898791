import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bpfErrorOf } from "../test/bpf-error-of.ts";
import { compile } from "../test/compile.ts";
import { createVeth } from "../test/veth.ts";
import type { BpfObject } from "./bpf-object.ts";
import { xdpAction } from "./bpf-program.ts";
import { interfaceIndex } from "./interface.ts";
import { openObject } from "./object-spec.ts";
import { openRingBuffer } from "./ring-buffer.ts";

const fixture = compile("fixture");
let object: BpfObject;

beforeAll(() => {
  object = openObject(fixture).load();
});
afterAll(() => object.close());

describe("a test run", () => {
  test("returns the action and the packet as the program left it", () => {
    const data = new Uint8Array(20).fill(0xf0);
    const { action, returnValue, dataOut } = object.program("rewrite").testRun({ data });
    expect([action, returnValue, dataOut.length]).toEqual(["XDP_TX", 3, 24]);
    expect([...dataOut.subarray(4)]).toEqual([0x0f, ...data.subarray(1)]);
  });

  test("leaves the packet that was given alone", () => {
    const data = new Uint8Array(20).fill(0xf0);
    object.program("rewrite").testRun({ data });
    expect([...data]).toEqual(Array.from({ length: 20 }, () => 0xf0));
  });

  test("repeats, and says how long one run takes", () => {
    const program = object.program("count");
    const before = countersSum();
    const { durationNs } = program.testRun({ data: new Uint8Array(64), repeat: 1000 });
    expect(countersSum() - before).toBe(1000n);
    expect(durationNs).toBeLessThan(1_000_000);
  });

  test("shows the program the interface that was given, and loopback otherwise", () => {
    const veth = createVeth();
    try {
      const ifindex = interfaceIndex(veth.name);
      expect([ifindexSeen(), ifindexSeen(1), ifindexSeen(ifindex)]).toEqual([1, 1, ifindex]);
    } finally {
      veth.remove();
    }
  });

  test("of a packet shorter than an Ethernet header is refused", () => {
    const error = bpfErrorOf(() => object.program("count").testRun({ data: new Uint8Array(13) }));
    expect(error).toMatchObject({ code: "SYSCALL", errnoName: "EINVAL", subject: "program count" });
  });

  test("on an interface that does not exist is an error", () => {
    const error = bpfErrorOf(() =>
      object.program("count").testRun({ data: new Uint8Array(64), ingressIfindex: 2_000_000 }),
    );
    expect(error.code).toBe("NO_INTERFACE");
  });
});

test("the same code loaded again has another id and the same tag", () => {
  const again = openObject(object.path).load();
  const [first, second] = [object.program("rewrite").info(), again.program("rewrite").info()];
  again.close();
  expect(first.tag).toMatch(/^[0-9a-f]{16}$/);
  expect(second.tag).toBe(first.tag);
  expect(second.id).not.toBe(first.id);
});

test.each([
  [0, "XDP_ABORTED"],
  [1, "XDP_DROP"],
  [2, "XDP_PASS"],
  [4, "XDP_REDIRECT"],
  [77, "XDP_ABORTED"],
])("return value %i is action %s", (value, action) => {
  expect(xdpAction(value)).toBe(action);
});

function countersSum(): bigint {
  const slots = object.map("counters").lookupPerCpu(new Uint8Array(4)) ?? [];
  return slots.reduce(
    (sum, slot) => sum + new DataView(slot.buffer, slot.byteOffset).getBigUint64(0, true),
    0n,
  );
}

function ifindexSeen(ingressIfindex?: number): number | undefined {
  const ring = openRingBuffer(object.map("events"));
  try {
    const given = ingressIfindex === undefined ? {} : { ingressIfindex };
    object.program("produce").testRun({ data: new Uint8Array(64), ...given });
    let seen: number | undefined;
    ring.consume((offset) => void (seen = ring.views.words[offset / 4 + 2]), 1);
    return seen;
  } finally {
    ring.close();
  }
}
