import { describe, expect, it } from "vitest";
import {
  type Announcement,
  AnnouncementQueue,
  MAX_QUEUED_ANNOUNCEMENTS,
} from "./announcement-queue.ts";

type Answer = "stored" | "known" | "again" | "refused" | "stream_full";

function createQueue(answers: (announcement: Announcement) => Answer | Promise<Answer>) {
  const log: string[] = [];
  const queue = new AnnouncementQueue({
    publish: async (announcement) => {
      const answer = await answers(announcement);
      if (answer !== "stored" && answer !== "known") throw new Error(answer);
      return answer === "stored";
    },
    judge: (error) => (error as Error).message as Exclude<Answer, "stored" | "known">,
    onFailed: ({ messageId }, error) =>
      log.push(`${messageId} failed: ${(error as Error).message}`),
    onDropped: ({ messageId }, reason) => log.push(`${messageId} dropped: ${reason}`),
  });
  const push = (messageId: string) =>
    queue.push({
      subject: "packetwatch.v1.verdict.ip4.192.0.2.1",
      payload: new Uint8Array(),
      messageId,
      ttlSeconds: 0,
      onStored: () => log.push(`${messageId} stored`),
      onRefused: () => undefined,
    });
  return { queue, log, push };
}

describe("the announcement queue", () => {
  it("publishes until it is stored, and closing waits for that", async () => {
    let tries = 0;
    const { queue, log, push } = createQueue(() => (++tries < 3 ? "again" : "stored"));
    push("a");
    await queue.close();
    expect(log).toEqual(["a failed: again", "a failed: again", "a stored"]);
  });

  it("tells nothing of what was stored by somebody else", async () => {
    const { queue, log, push } = createQueue(() => "known");
    push("a");
    await queue.close();
    expect(log).toEqual([]);
  });

  it.each(["refused", "stream_full"] as const)("gives up at once what is %s", async (answer) => {
    const { queue, log, push } = createQueue(({ messageId }) =>
      messageId === "a" ? answer : "stored",
    );
    push("a");
    push("b");
    await queue.close();
    expect(log.toSorted()).toEqual([`a dropped: ${answer}`, "b stored"]);
  });

  it("turns away what is one too many, and keeps what waits", () => {
    const { queue, log, push } = createQueue(() => new Promise(() => undefined));
    for (let index = 0; index < MAX_QUEUED_ANNOUNCEMENTS; index++) push(String(index));
    push("one too many");
    expect([queue.size, log]).toEqual([
      MAX_QUEUED_ANNOUNCEMENTS,
      ["one too many dropped: queue_full"],
    ]);
  });

  it("closing an empty queue returns at once, also twice", async () => {
    const { queue } = createQueue(() => "stored");
    await queue.close();
    await queue.close();
    expect(queue.size).toBe(0);
  });
});
