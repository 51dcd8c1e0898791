import { expect, test } from "vitest";
import type { Logger } from "./logger.ts";
import { createSharedLogger } from "./shared-logger.ts";

function createRecorded() {
  const said: string[] = [];
  const clock = { ms: 0 };
  const log = (_: object, message: string) => void said.push(message);
  const logger: Logger = { debug: log, info: log, warn: log, error: log };
  return { said, clock, logger: createSharedLogger(logger, () => clock.ms) };
}

test("what one has said the others don't repeat", () => {
  const { said, logger } = createRecorded();
  for (let shard = 0; shard < 64; shard++) logger.warn({ shard }, "the stream was made anew");
  logger.warn({}, "another thing");
  expect(said).toEqual(["the stream was made anew", "another thing"]);
});

test("it is said again after 10 seconds in which nobody wanted to", () => {
  const { said, clock, logger } = createRecorded();
  for (const ms of [0, 9999, 19_998, 29_998]) {
    clock.ms = ms;
    logger.info({}, "again");
  }
  expect(said).toEqual(["again", "again"]);
});
