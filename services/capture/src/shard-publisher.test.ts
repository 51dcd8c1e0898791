import { describe, expect, it } from "vitest";
import { type SealedBatch, ShardPublisher, type ShardPublisherOptions } from "./shard-publisher.ts";

/** A bus whose acknowledgements the test gives by hand. */
function createBus() {
  const sent: { shard: number; batch: SealedBatch; id: string; settle: (error?: Error) => void }[] =
    [];
  const publish = (shard: number, batch: SealedBatch, id: string) =>
    new Promise<void>((resolve, reject) => {
      sent.push({ shard, batch, id, settle: (error) => (error ? reject(error) : resolve()) });
    });
  return { sent, publish };
}

function createPublisher(options: Partial<ShardPublisherOptions> = {}) {
  const bus = createBus();
  const counts = { published: 0, buffer_full: 0, shutdown: 0, failed: 0 };
  const idle: number[] = [];
  const publisher = new ShardPublisher({
    publish: bus.publish,
    events: {
      onPublished: (batch) => (counts.published += batch.records),
      onDropped: (reason, { records }) => (counts[reason] += records),
      onFailed: () => counts.failed++,
    },
    onIdle: (shard) => idle.push(shard),
    maxBufferedBytes: 1000,
    idPrefix: "test",
    ...options,
  });
  return { publisher, counts, idle, sent: bus.sent };
}

const batchOf = (records: number, bytes = 100): SealedBatch => ({
  interfaceName: "eth0",
  records,
  payload: new Uint8Array(bytes),
});
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("the shard publisher", () => {
  it("sends at once when nothing is in flight, and the next when that is acknowledged", async () => {
    const { publisher, sent } = createPublisher();
    publisher.push(7, batchOf(1));
    publisher.push(7, batchOf(2));
    expect(sent.map(({ batch }) => batch.records)).toEqual([1]);
    sent[0]?.settle();
    await settled();
    expect(sent.map(({ batch }) => batch.records)).toEqual([1, 2]);
  });

  it("a shard in flight makes no other wait", () => {
    const { publisher, sent } = createPublisher();
    publisher.push(1, batchOf(1));
    publisher.push(2, batchOf(1));
    expect(sent.map(({ shard }) => shard)).toEqual([1, 2]);
    expect([publisher.isIdle(1), publisher.isIdle(3)]).toEqual([false, true]);
  });

  it("asks for what was gathered when a shard has nothing left, and sends it before it rests", async () => {
    const { publisher, sent } = createPublisher({
      onIdle: (shard) => gathered.splice(0).forEach((batch) => publisher.push(shard, batch)),
    });
    const gathered = [batchOf(5)];
    publisher.push(3, batchOf(1));
    sent[0]?.settle();
    await settled();
    expect(sent.map(({ batch }) => batch.records)).toEqual([1, 5]);
    sent[1]?.settle();
    await settled();
    expect(publisher.isIdle(3)).toBe(true);
  });

  it("tries a batch again under the same id until it is stored", async () => {
    const { publisher, sent, counts } = createPublisher();
    publisher.push(0, batchOf(4));
    sent[0]?.settle(new Error("timeout"));
    await settled();
    publisher.retry();
    await settled();
    expect(sent.map(({ id }) => id)).toEqual(["test.0.0.0", "test.0.0.0"]);
    sent[1]?.settle();
    await settled();
    expect(counts).toMatchObject({ published: 4, failed: 1 });
    expect([publisher.bufferedBytes, publisher.bufferedRecords]).toEqual([0, 0]);
  });

  it("when the buffer is full the longest queue loses its oldest batch, but never the one in flight", () => {
    const { publisher, counts } = createPublisher({ maxBufferedBytes: 400 });
    publisher.push(9, batchOf(1000));
    for (const records of [1, 10, 100]) publisher.push(5, batchOf(records));
    publisher.push(5, batchOf(0));
    expect(counts.buffer_full).toBe(10);
    expect(publisher.bufferedBytes).toBe(400);
    expect(publisher.bufferedRecords).toBe(1101);
  });

  it("a batch larger than the whole buffer is dropped and counted", () => {
    const { publisher, counts, sent } = createPublisher({ maxBufferedBytes: 50 });
    publisher.push(0, batchOf(1, 100));
    expect([sent.length, counts.buffer_full]).toEqual([0, 1]);
  });

  it("closing waits for what is in flight", async () => {
    const { publisher, sent, counts } = createPublisher();
    publisher.push(0, batchOf(1));
    const closing = publisher.close(10_000);
    sent[0]?.settle();
    await closing;
    expect(counts).toMatchObject({ published: 1, shutdown: 0 });
  });

  it("what can't be stored by the drain timeout is dropped and counted, and never tried again", async () => {
    const { publisher, sent, counts } = createPublisher();
    publisher.push(0, batchOf(2));
    publisher.push(0, batchOf(3));
    await publisher.close(0);
    sent[0]?.settle();
    await settled();
    expect(counts).toMatchObject({ published: 0, shutdown: 5 });
    expect(sent).toHaveLength(1);
  });

  it("the books balance: pushed = published + dropped + buffered", async () => {
    const { publisher, sent, counts } = createPublisher({ maxBufferedBytes: 700 });
    let pushed = 0;
    for (let round = 0; round < 200; round++) {
      pushed += round;
      publisher.push(round % 5, batchOf(round));
      if (round % 3 === 0)
        sent[Math.floor(round / 3)]?.settle(round % 2 === 0 ? undefined : new Error("x"));
      await settled();
      const { published, buffer_full, shutdown } = counts;
      expect(published + buffer_full + shutdown + publisher.bufferedRecords).toBe(pushed);
    }
    expect(counts.buffer_full).toBeGreaterThan(0);
  });
});
