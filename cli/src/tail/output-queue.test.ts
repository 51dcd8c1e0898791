import { describe, expect, it } from "vitest";
import { MAX_HELD_CHARACTERS, MAX_HELD_VERDICT_CHARACTERS, OutputQueue } from "./output-queue.ts";

/** A sink whose writes end when the test says so, and a turn of the event loop that ends so, too. */
function createQueue() {
  const writes: string[] = [];
  const failures: Error[] = [];
  let done: (error?: Error | null) => void = () => undefined;
  let endTurn: () => void = () => undefined;
  const queue = new OutputQueue({
    sink: {
      write: (text, onDone) => {
        writes.push(text);
        done = onDone;
      },
    },
    describeSkipped: ({ attempts, verdicts }) => `[skipped ${attempts} ${verdicts}]`,
    defer: (task) => {
      endTurn = task;
    },
    onFailure: (error) => failures.push(error),
  });
  return {
    queue,
    writes,
    failures,
    endTurn: () => endTurn(),
    written: (error?: Error) => done(error),
  };
}

const full = "x".repeat(MAX_HELD_CHARACTERS);

describe("the output queue", () => {
  it("writes once for what a turn of the event loop brings", () => {
    const { queue, writes, endTurn } = createQueue();
    queue.appendAttempts("a");
    queue.append("b");
    expect(writes).toEqual([]);
    endTurn();
    expect(writes).toEqual(["ab"]);
  });

  it("gathers while a write is under way, and writes it all when that is done", () => {
    const { queue, writes, endTurn, written } = createQueue();
    queue.append("a");
    endTurn();
    queue.append("b");
    queue.append("c");
    expect(writes).toEqual(["a"]);
    written();
    expect(writes).toEqual(["a", "bc"]);
  });

  it("is not full in one turn for a sink that takes everything", () => {
    const { queue, writes, written } = createQueue();
    queue.appendAttempts(full);
    expect(writes).toHaveLength(1);
    expect(queue.isFull).toBe(false);
    written();
  });

  it("is full for a sink that is slow; says how many were skipped, keeps verdicts, and has room again", () => {
    const { queue, writes, written } = createQueue();
    queue.appendAttempts(full);
    queue.appendAttempts(full);
    expect(queue.isFull).toBe(true);
    queue.skipAttempts(7);
    queue.append("verdict\n");
    queue.skipAttempts(5);
    written();
    expect(writes[1]?.slice(MAX_HELD_CHARACTERS)).toBe("verdict\n[skipped 12 0]");
    expect(queue.isFull).toBe(false);
    written();
    expect(writes).toHaveLength(2);
  });

  it("holds a bounded amount of verdicts, too", () => {
    const { queue, writes, written } = createQueue();
    queue.appendAttempts(full);
    for (let held = 0; held < MAX_HELD_VERDICT_CHARACTERS; held += full.length) queue.append(full);
    queue.append("one too many");
    written();
    expect(writes[1]).toHaveLength(MAX_HELD_VERDICT_CHARACTERS + "[skipped 0 1]".length);
  });

  it("is drained when everything is written, whether the turn has ended or not", async () => {
    const { queue, writes, written } = createQueue();
    queue.append("a");
    const drained = queue.drained();
    expect(writes).toEqual(["a"]);
    queue.append("b");
    written();
    written();
    await drained;
    expect(writes).toEqual(["a", "b"]);
    await queue.drained();
  });

  it("reports a failure once, writes nothing more, and counts as drained", async () => {
    const { queue, writes, failures, written } = createQueue();
    queue.append("a");
    const drained = queue.drained();
    queue.append("b");
    written(new Error("ENOSPC"));
    await drained;
    queue.append("c");
    await queue.drained();
    expect(writes).toEqual(["a"]);
    expect(failures.map(({ message }) => message)).toEqual(["ENOSPC"]);
  });
});
