import { expect, test } from "vitest";
import { createEventTuple, DESTINATION, PORT, TIME } from "./event-tuple.ts";
import { LIST_TARGETS, NO_LIST, TargetLists } from "./target-lists.ts";
import { START_US } from "./testing/streams.ts";

const thresholds = { vertical: Infinity, horizontal: Infinity, spread: Infinity };

function targetOf(host: number, port: number) {
  const tuple = createEventTuple();
  tuple.words.set([0, 0, 0xffff, host], DESTINATION);
  tuple.words[PORT] = port;
  tuple.times[TIME] = START_US;
  return tuple;
}

test("lists are lent until there are none, and those that are given back again", () => {
  const lists = new TargetLists({ capacity: 3, thresholds });
  const lent = [0, 1, 2].map(() => lists.lend(targetOf(1, 80)));
  expect(new Set(lent).size).toBe(3);
  expect(lists.lend(targetOf(1, 80))).toBe(NO_LIST);
  lists.giveBack(lent[1]!);
  expect(lists.lend(targetOf(1, 80))).toBe(lent[1]);
  expect(lists.lend(targetOf(1, 80))).toBe(NO_LIST);
});

test("a list that is lent again is empty, and the others keep what they hold", () => {
  const lists = new TargetLists({ capacity: 2, thresholds });
  const [first, second] = [lists.lend(targetOf(1, 80)), lists.lend(targetOf(1, 80))];
  for (let port = 1; port <= LIST_TARGETS; port++) {
    expect([lists.see(first, targetOf(7, port)), lists.see(second, targetOf(8, port))]).toEqual([
      true,
      true,
    ]);
  }
  lists.giveBack(first);
  const again = lists.lend(targetOf(1, 80));
  expect(portsOf(lists, again)).toEqual([]);
  expect(lists.see(again, targetOf(0xffffffff, 65_535))).toBe(true);
  expect(portsOf(lists, again)).toEqual([65_535]);
  expect(portsOf(lists, second)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

function portsOf(lists: TargetLists, list: number): number[] {
  const ports: number[] = [];
  lists.tell(list, createEventTuple(), ({ words }) => ports.push(words[PORT]!));
  return ports;
}
