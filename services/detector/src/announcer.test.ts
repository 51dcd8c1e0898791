import type { Bus } from "@packetwatch/bus";
import { loadConfig } from "@packetwatch/config";
import { type Detection, defaultRules } from "@packetwatch/detection";
import { parseAddress } from "@packetwatch/net";
import type { Logger } from "@packetwatch/runtime";
import { expect, it } from "vitest";
import { Announcer } from "./announcer.ts";
import { LastVerdicts } from "./last-verdicts.ts";
import type { DetectorTelemetry } from "./telemetry.ts";

/** What NATS answers to a publish; it throws where there is none. */
type Answer = () => { readonly sequence: number; readonly duplicate: boolean };

const stored: Answer = () => ({ sequence: 1, duplicate: false });
const known: Answer = () => ({ sequence: 1, duplicate: true });
const unanswered: Answer = () => {
  throw new Error("no acknowledgement");
};
const VERDICT = "packetwatch.v1.verdict.ip4.192.0.2.1";
const ALERT = "packetwatch.v1.alert.vertical.ip4.192.0.2.1";
const ORIGIN = { host: "host-a", ipv6SourceBits: 64 };

/** A vertical scan that ended now. */
function blockUntil(quietUntilUs: number): Detection {
  const timeUs = Date.now() * 1000;
  const destination = parseAddress("198.51.100.1");
  const ports = [1, 2, 3];
  return {
    rule: "vertical",
    action: "block",
    sourceKey: parseAddress("192.0.2.1"),
    event: { timeUs, destination, sourcePort: 40_000, destinationPort: 3 },
    evidence: {
      destinations: [destination],
      ports,
      count: ports.length,
      firstSeenUs: timeUs,
      lastSeenUs: timeUs,
    },
    quietUntilUs,
  };
}

/** An announcer whose NATS gives these answers, one to each publish; what happened is in `log`. */
function createAnnouncer(answers: readonly Answer[], breaker = { isOpen: false }) {
  const log: string[] = [];
  const waiting = [...answers];
  const publish = async ({ subject }: { readonly subject: string }) => {
    log.push(`published ${subject}`);
    return (waiting.shift() ?? unanswered)();
  };
  const telemetry: DetectorTelemetry = {
    rejected: () => undefined,
    announced: ({ action }) => log.push(`counted ${action}`),
    failed: () => undefined,
    dropped: (reason) => log.push(`lost ${reason}`),
    discarded: () => undefined,
    held: () => undefined,
    observe: () => undefined,
    publish: () => undefined,
  };
  const say = (_: object, message: string) => void log.push(`said ${message}`);
  const announcer = new Announcer({
    bus: { acknowledgements: { publish }, connection: { isClosed: () => false } } as unknown as Bus,
    config: loadConfig("detector", {}),
    instance: "detector-1",
    rules: defaultRules,
    detector: { applyVerdict: ({ kind }) => log.push(`forgot by ${kind}`) },
    breaker: {
      get isOpen() {
        return breaker.isOpen;
      },
      noteHeld: () => void log.push("held"),
    },
    lastVerdicts: new LastVerdicts(),
    telemetry,
    logger: { debug: () => undefined, info: say, warn: say, error: say } as unknown as Logger,
  });
  return { announcer, log };
}

it("a block that is over before it is decided is counted and said", async () => {
  const { announcer, log } = createAnnouncer([]);
  announcer.announce([blockUntil(Date.now() * 1000 - 1)], ORIGIN);
  await announcer.close();
  expect(log).toEqual([
    "lost ended",
    "said blocks were over before they were decided: a sensor's clock is slow, or detectors lag (PW_BLOCK_TTL)",
  ]);
});

it("a block that is held back is so once and for all, however often NATS doesn't take its alert", async () => {
  const breaker = { isOpen: false };
  const answers = [
    () => {
      breaker.isOpen = true;
      return unanswered();
    },
    unanswered,
    () => {
      breaker.isOpen = false;
      return unanswered();
    },
    stored,
  ];
  const { announcer, log } = createAnnouncer(answers, breaker);
  announcer.announce([blockUntil(Infinity)], ORIGIN);
  await announcer.close();
  expect(log).toEqual([
    `published ${VERDICT}`,
    "forgot by unblock",
    "held",
    `published ${ALERT}`,
    `published ${ALERT}`,
    `published ${ALERT}`,
    "counted alert",
  ]);
});

it("a block that another detector has stored counts there", async () => {
  const { announcer, log } = createAnnouncer([known]);
  announcer.announce([blockUntil(Infinity)], ORIGIN);
  await announcer.close();
  expect(log).toEqual([`published ${VERDICT}`]);
});

it("a block that was stored by a try without an answer counts", async () => {
  const { announcer, log } = createAnnouncer([unanswered, known]);
  announcer.announce([blockUntil(Infinity)], ORIGIN);
  await announcer.close();
  expect(log).toEqual([`published ${VERDICT}`, `published ${VERDICT}`, "counted block"]);
});
