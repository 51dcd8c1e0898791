import { type BlockVerdict, decodeBreaker, subjects, verdictSubject } from "@packetwatch/contracts";
import { parsePrefix } from "@packetwatch/net";
import { expect, it } from "vitest";
import type { Announcement } from "./announcement-queue.ts";
import { BreakerControl } from "./breaker-control.ts";

const START_US = 1_800_000_000_000_000;
const QUIET_US = 1_000_000;
const LATER_US = START_US + 10 * QUIET_US;

function block(source: string): BlockVerdict {
  return {
    version: 1,
    kind: "block",
    id: source,
    source,
    rule: "vertical",
    decidedBy: "detector/other",
    issuedUs: START_US,
    expiresUs: null,
    evidence: null,
  };
}

function messageOf(subject: string, payload: Uint8Array, sequence: number) {
  const common = { messageId: "", pending: 0, markerReason: undefined };
  return { subject, payload, sequence, storedUs: START_US, ...common };
}

/** A control that lets one block through, and what it publishes of the breaker. */
function createControl() {
  const published: Announcement[] = [];
  const control = new BreakerControl({
    limits: { maxPerMinute: 0, maxBlocked: 1 },
    quietUs: QUIET_US,
    instance: "detector-1",
    publish: (announcement) => {
      if (announcement.subject === subjects.breaker) published.push(announcement);
    },
    onHold: () => undefined,
    onChanged: () => undefined,
    onHeld: () => undefined,
  });
  control.completeList();
  const take = (source: string, sequence: number) => {
    const subject = verdictSubject(parsePrefix(source));
    control.count(messageOf(subject, new Uint8Array(), sequence), block(source));
  };
  /** NATS stores what was published last. */
  const store = (sequence: number) => {
    const { payload } = published.at(-1) as Announcement;
    control.follow(messageOf(subjects.breaker, payload, sequence));
  };
  const last = () => {
    const { payload, lastSubjectSequence } = published.at(-1) as Announcement;
    return { state: decodeBreaker(payload).state, behind: lastSubjectSequence };
  };
  return { control, published, take, store, last };
}

function createOpen() {
  const created = createControl();
  created.take("192.0.2.1", 1001);
  created.take("192.0.2.2", 1002);
  created.store(1003);
  return created;
}

it("an open breaker is told anew in a stream that was made anew, and closes there", () => {
  const { control, store, last } = createOpen();
  control.restartList();
  expect(last()).toEqual({ state: "open", behind: 0 });
  control.completeList();
  store(1);
  control.tend(LATER_US);
  expect(last()).toEqual({ state: "closed", behind: 1 });
  store(2);
  expect(control.isOpen).toBe(false);
});

it("where the stream has gone back, what it says of the breaker counts", () => {
  const { control, store, last, published } = createOpen();
  control.tend(LATER_US);
  expect(last()).toEqual({ state: "closed", behind: 1003 });
  store(1004);
  control.restartList();
  // The word that it is closed was lost; that it is open is still there.
  published.pop();
  store(1003);
  control.completeList();
  expect(control.isOpen).toBe(true);
  control.tend(LATER_US);
  expect(last()).toEqual({ state: "closed", behind: 1003 });
});

it("blocks of the stream that is gone count no more", () => {
  const { control, take, published } = createControl();
  take("192.0.2.1", 1001);
  control.restartList();
  control.completeList();
  take("192.0.2.2", 1);
  expect(control.isOpen).toBe(false);
  take("192.0.2.3", 2);
  expect(control.isOpen).toBe(true);
  expect(published).toHaveLength(1);
});
