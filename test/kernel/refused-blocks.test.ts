/** What enforcer does when the kernel refuses to write a block for a reason that may go by itself. */
import { BpfError, BpfMap } from "@packetwatch/bpf";
import { encodeVerdict, type Verdict, verdictSubject } from "@packetwatch/contracts";
import { parsePrefix } from "@packetwatch/net";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Enforcer } from "../../services/enforcer/src/enforcer.ts";
import { createOperatorSettings } from "../../services/enforcer/src/operator-settings.ts";
import { Cleanup } from "../support/cleanup.ts";
import { pinMaps } from "../support/pinned-maps.ts";
import type { PinnedPacketwatch } from "../support/pinned-packetwatch.ts";
import { blockVerdict, timedBlockVerdict, unblockVerdict } from "../support/published-verdicts.ts";

const cleanup = new Cleanup();
let enforcer: Enforcer;
let pinned: PinnedPacketwatch;
let told: string[];
let sequence: number;

beforeEach(() => {
  const { pinDir, interfaceName, ...maps } = pinMaps(cleanup);
  pinned = maps.pinned;
  told = [];
  sequence = 0;
  const ignore = () => undefined;
  enforcer = cleanup.own(
    new Enforcer({
      host: "host",
      interfaces: [interfaceName],
      pinDir,
      ipv6SourceBits: 64,
      hostAllowed: () => [],
      settings: createOperatorSettings(ignore),
      events: {
        onApplied: ({ source, action }) => void told.push(`${source} ${action}`),
        onCaughtUp: ({ source, action }) => void told.push(`${source} ${action} later`),
        onRejected: ignore,
        onRefused: (_, refused, { errnoName }) =>
          void told.push(`${refused} refused: ${errnoName}`),
        onReconciled: ignore,
        onLeftovers: ignore,
        onWaiting: ignore,
        onAllowChanged: ignore,
        onEnforcementSet: ignore,
      },
    }),
  );
  enforcer.tend();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await cleanup.run();
});

/** The kernel's word where the memory of a map that isn't preallocated can't be had. */
function outOfMemory(completed?: number): BpfError {
  return new BpfError({
    code: "SYSCALL",
    operation: "update",
    subject: "map blocked",
    errnoName: "ENOMEM",
    reason: "Cannot allocate memory",
    hint: "free memory",
    ...(completed === undefined ? {} : { completed }),
  });
}

/** The kernel's word where another holds the lock of the entry's bucket. */
function bucketIsBusy(): BpfError {
  return new BpfError({
    code: "SYSCALL",
    operation: "delete from",
    subject: "map blocked",
    errnoName: "EBUSY",
    reason: "Device or resource busy",
    hint: "try again",
  });
}

function take(verdict: Verdict): void {
  const subject = verdictSubject(parsePrefix(verdict.source));
  const payload = encodeVerdict(verdict);
  enforcer.take({ subject, payload, sequence: ++sequence, markerReason: undefined });
}

function completeLists(): void {
  for (const list of ["allowlist", "enforcement", "verdicts"] as const) {
    enforcer.completeList(list, list === "verdicts" ? sequence : 0);
  }
}

function refuseOnce(method: "update" | "updateBatch", completed?: number): void {
  vi.spyOn(BpfMap.prototype, method).mockImplementationOnce(() => {
    throw outOfMemory(completed);
  });
}

const blocked = (source: string) => pinned.maps.blockOf(source);

it("a block for which there is no memory is counted as refused, and written with the next tending", () => {
  completeLists();
  refuseOnce("update");
  take(blockVerdict("192.0.2.1"));
  expect(told).toEqual(["1 refused: ENOMEM", "192.0.2.1 failed"]);
  expect(blocked("192.0.2.1")).toBeUndefined();
  enforcer.tend();
  expect(told.slice(2)).toEqual(["192.0.2.1 blocked later"]);
  expect(blocked("192.0.2.1")).toBeDefined();
});

it("a list of which a part finds no memory is written to its end as soon as there is some", () => {
  for (const source of ["192.0.2.1", "192.0.2.2", "192.0.2.3"]) take(blockVerdict(source));
  refuseOnce("updateBatch", 0);
  completeLists();
  expect(told[0]).toBe("3 refused: ENOMEM");
  refuseOnce("updateBatch", 0);
  enforcer.tend();
  expect(blocked("192.0.2.3")).toBeUndefined();
  enforcer.tend();
  for (const source of ["192.0.2.1", "192.0.2.2", "192.0.2.3"]) {
    expect(blocked(source)).toBeDefined();
  }
  expect(told.filter((line) => line.includes("refused"))).toHaveLength(1);
});

it("an end that can't be written doesn't keep a lift waiting", () => {
  for (const source of ["192.0.2.1", "192.0.2.2"]) pinned.maps.block(source);
  take(timedBlockVerdict("192.0.2.1", 600));
  refuseOnce("update");
  completeLists();
  expect(told).toEqual(["1 refused: ENOMEM", "192.0.2.1 failed later"]);
  expect(blocked("192.0.2.1")).toMatchObject({ expiresNs: 0n });
  expect(blocked("192.0.2.2")).toBeUndefined();
  enforcer.tend();
  expect(blocked("192.0.2.1")?.expiresNs).toBeGreaterThan(0n);
});

it("a lift that finds the map busy is counted as refused, and done with the next tending", () => {
  take(blockVerdict("192.0.2.1"));
  completeLists();
  vi.spyOn(BpfMap.prototype, "delete").mockImplementationOnce(() => {
    throw bucketIsBusy();
  });
  told.length = 0;
  take(unblockVerdict("192.0.2.1"));
  expect(told).toEqual(["1 refused: EBUSY", "192.0.2.1 failed"]);
  expect(blocked("192.0.2.1")).toBeDefined();
  enforcer.tend();
  expect(blocked("192.0.2.1")).toBeUndefined();
});

it("a list whose lifts find the map busy is followed to its end with the next tending", () => {
  for (const source of ["192.0.2.1", "192.0.2.2"]) pinned.maps.block(source);
  take(blockVerdict("192.0.2.3"));
  vi.spyOn(BpfMap.prototype, "deleteBatch").mockImplementationOnce(() => {
    throw bucketIsBusy();
  });
  completeLists();
  expect(blocked("192.0.2.1")).toBeDefined();
  expect(blocked("192.0.2.3")).toBeDefined();
  enforcer.tend();
  for (const source of ["192.0.2.1", "192.0.2.2"]) expect(blocked(source)).toBeUndefined();
  expect(blocked("192.0.2.3")).toBeDefined();
});
