import { describe, expect, test } from "vitest";
import { DistinctWindow, MAX_THRESHOLD } from "./distinct-window.ts";
import type { EventTuple } from "./event-tuple.ts";
import { SECOND_US, START_US } from "./testing/streams.ts";

const MINUTE_US = 60 * SECOND_US;
const MILLISECOND_US = 1_000;

type Options = {
  readonly capacity?: number;
  readonly extensionCapacity?: number;
  readonly threshold?: number;
};

type Sight = {
  readonly key?: number;
  readonly item?: number;
  readonly timeUs?: number;
  readonly floorUs?: number;
};

/** Keys and items of one word each; the hash is the key, spread over the 32 bits. Times count from START_US. */
function tupleOf({ key = 7, item = 0, timeUs = 0, floorUs = -Infinity }: Sight): EventTuple {
  const words = Uint32Array.of(key, item, Math.imul(key, 0x9e3779b1));
  return { words, times: Float64Array.of(START_US + timeUs, START_US + floorUs) };
}

function createWindow({ threshold = 3, capacity = 64, ...options }: Options = {}) {
  const layout = { keyStart: 0, keyWords: 1, hashAt: 2, itemStart: 1, itemWords: 1 };
  const window = new DistinctWindow({
    layout,
    ...options,
    capacity,
    threshold,
    windowUs: MINUTE_US,
  });
  const observe = (timeUs: number, item: number, key = 7) =>
    window.observe(tupleOf({ key, item, timeUs }));
  const held = (key = 7) =>
    (window.inspect(tupleOf({ key }))?.items ?? []).map(({ item }) => item[0]);
  return { window, observe, held };
}

/** [time in microseconds, item] */
type Sighting = readonly [timeUs: number, item: number];

type Case = {
  readonly title: string;
  readonly threshold?: number;
  readonly before: readonly Sighting[];
  readonly last: Sighting;
  readonly decides: boolean;
};

const cases: readonly Case[] = [
  {
    title: "the third distinct item of three decides",
    before: [
      [0, 80],
      [1, 81],
    ],
    last: [2, 82],
    decides: true,
  },
  {
    title: "the second distinct item of three does not",
    before: [[0, 80]],
    last: [1, 81],
    decides: false,
  },
  {
    title: "the same item again does not",
    before: [
      [0, 80],
      [1, 81],
    ],
    last: [2, 81],
    decides: false,
  },
  {
    title: "with a threshold of one the first event decides",
    threshold: 1,
    before: [],
    last: [0, 80],
    decides: true,
  },
  {
    title: "with a threshold of two the second item decides",
    threshold: 2,
    before: [[0, 80]],
    last: [1, 81],
    decides: true,
  },
  {
    title: "three items in the same microsecond decide",
    before: [
      [0, 80],
      [0, 81],
    ],
    last: [0, 82],
    decides: true,
  },
  {
    title: "an item seen exactly the window ago counts",
    before: [
      [0, 80],
      [1, 81],
    ],
    last: [MINUTE_US, 82],
    decides: true,
  },
  {
    title: "an item a microsecond older does not",
    before: [
      [0, 80],
      [1, 81],
    ],
    last: [MINUTE_US + 1, 82],
    decides: false,
  },
  {
    title: "an item a millisecond older does not",
    before: [
      [0, 80],
      [1, 81],
    ],
    last: [MINUTE_US + MILLISECOND_US, 82],
    decides: false,
  },
  {
    title: "an item that was seen again counts from then on",
    before: [
      [0, 80],
      [1, 81],
      [MILLISECOND_US, 80],
    ],
    last: [MINUTE_US + 1, 82],
    decides: true,
  },
  {
    title: "an item that was seen again out of order keeps its later time",
    before: [
      [1, 80],
      [0, 80],
      [1, 81],
    ],
    last: [MINUTE_US + 1, 82],
    decides: true,
  },
  {
    title: "an event out of order inside the window counts",
    before: [
      [MINUTE_US, 80],
      [MINUTE_US, 81],
    ],
    last: [1, 82],
    decides: true,
  },
  {
    title: "an event exactly the window behind the newest counts",
    before: [
      [MINUTE_US, 80],
      [MINUTE_US, 81],
    ],
    last: [0, 82],
    decides: true,
  },
  {
    title: "an event a microsecond further behind is late",
    before: [
      [MINUTE_US, 80],
      [MINUTE_US, 81],
    ],
    last: [-1, 82],
    decides: false,
  },
  {
    title: "a late event does not renew an item",
    before: [
      [0, 80],
      [MINUTE_US + 1, 81],
      [0, 80],
    ],
    last: [MINUTE_US + 1, 82],
    decides: false,
  },
  {
    title: "a step back of the clock does not widen the window",
    before: [
      [0, 80],
      [MINUTE_US, 81],
      [MINUTE_US + 1, 81],
    ],
    last: [MINUTE_US - 10, 82],
    decides: false,
  },
];

describe("the deciding event", () => {
  test.each(cases)("$title", ({ threshold = 3, before, last, decides }) => {
    const { observe } = createWindow({ threshold });
    for (const [timeUs, item] of before) expect(observe(timeUs, item)).toBe(false);
    expect(observe(...last)).toBe(decides);
  });

  test.each([2, 3, 4, 25, MAX_THRESHOLD])(
    "of a threshold of %i is the one that makes it so many",
    (threshold) => {
      const { observe } = createWindow({ threshold });
      for (let item = 1; item < threshold; item++) expect(observe(item, item)).toBe(false);
      for (let item = 1; item < threshold; item++) expect(observe(threshold, item)).toBe(false);
      expect(observe(threshold, threshold)).toBe(true);
    },
  );

  test("comes again for every new item as long as the key is not released", () => {
    const { window, observe } = createWindow();
    observe(0, 80);
    observe(0, 81);
    expect([observe(1, 82), observe(2, 83)]).toEqual([true, true]);
    window.release(tupleOf({}));
    expect([observe(3, 84), observe(4, 85), observe(5, 86)]).toEqual([false, false, true]);
  });

  test("of one key has nothing to do with another key's items", () => {
    const { observe } = createWindow();
    expect([observe(0, 80, 1), observe(0, 81, 2), observe(0, 82, 3), observe(0, 83, 1)]).toEqual([
      false,
      false,
      false,
      false,
    ]);
    expect(observe(0, 84, 1)).toBe(true);
  });
});

describe("a floor", () => {
  test.each([
    { title: "an item seen at the floor counts", floorUs: 0, decides: true },
    { title: "an item seen a microsecond before it does not", floorUs: 1, decides: false },
  ])("$title", ({ floorUs, decides }) => {
    const { window, observe } = createWindow();
    observe(0, 80);
    observe(5, 81);
    expect(window.observe(tupleOf({ item: 82, timeUs: 6, floorUs }))).toBe(decides);
  });
});

test("late events are counted and change nothing", () => {
  const { window, observe, held } = createWindow();
  observe(MINUTE_US, 80);
  observe(-1, 81);
  observe(-2, 82);
  expect(window.late).toBe(2);
  expect(held()).toEqual([80]);
});

test("the items of a window are told oldest first, without those that have left it", () => {
  const { observe, held } = createWindow({ threshold: 10 });
  for (const [timeUs, item] of [
    [0, 79],
    [5, 83],
    [3, 81],
    [9, 80],
    [4, 82],
  ] as const)
    observe(timeUs, item);
  expect(held()).toEqual([79, 81, 82, 83, 80]);
  observe(MINUTE_US + 4, 84);
  expect(held()).toEqual([82, 83, 80, 84]);
});

describe("a full table", () => {
  const keys = Array.from({ length: 1000 }, (_, index) => index);

  test("lets go of the least recently seen key of a set", () => {
    const { observe, held } = createWindow({ capacity: 8 });
    for (let key = 1; key <= 8; key++) observe(key, 80, key);
    observe(9, 80, 1);
    observe(10, 80, 9);
    expect(held(2)).toEqual([]);
    for (const key of [1, 3, 4, 5, 6, 7, 8, 9]) expect(held(key)).toEqual([80]);
  });

  test("counts a key that leaves inside the window, to the microsecond", () => {
    for (const [timeUs, evictedLive] of [
      [MINUTE_US, 1],
      [MINUTE_US + 1, 0],
    ] as const) {
      const { window, observe } = createWindow({ capacity: 8 });
      for (let key = 1; key <= 8; key++) observe(key === 1 ? 0 : MINUTE_US, 80, key);
      observe(timeUs, 80, 9);
      expect(window.evictedLive).toBe(evictedLive);
    }
  });

  test("holds no more keys than its capacity and takes no more memory", () => {
    const { window, observe } = createWindow({ capacity: 100 });
    const { bytes } = window;
    for (const key of keys) observe(key, 80, key);
    expect(window.capacity).toBe(128);
    expect(window.trackedKeys).toBe(128);
    expect(window.evictedLive).toBe(keys.length - 128);
    expect(window.bytes).toBe(bytes);
  });

  test("keeps what a new key finds in a record from counting for it", () => {
    const { observe } = createWindow({ capacity: 8, threshold: 10 });
    for (const key of keys) {
      for (let item = 80; item < 89; item++) expect(observe(key, item, key)).toBe(false);
    }
  });
});

describe("when all extensions are lent", () => {
  /** More than a record has room for. */
  const items = [80, 81, 82, 83, 84, 85];

  test("a key with many items makes room by letting an older such key go", () => {
    const { window, observe, held } = createWindow({ threshold: 10, extensionCapacity: 2 });
    for (const key of [1, 2, 3]) for (const item of items) observe(key, item, key);
    expect(held(1)).toEqual([]);
    expect(held(2)).toEqual(items);
    expect(held(3)).toEqual(items);
    expect(window.evictedLive).toBe(1);
  });

  test("an extension comes back with the release of its key", () => {
    const { window, observe, held } = createWindow({ threshold: 10, extensionCapacity: 1 });
    for (const item of items) observe(0, item, 1);
    window.release(tupleOf({ key: 1 }));
    for (const item of items) observe(1, item, 2);
    expect(held(2)).toEqual(items);
    expect(window.evictedLive).toBe(0);
  });

  describe("and a key needs several", () => {
    /** As many as two extensions have room for, behind a full record. */
    const many = Array.from({ length: 24 }, (_, index) => 80 + index);

    test("they come back together", () => {
      const { window, observe, held } = createWindow({ threshold: 25, extensionCapacity: 2 });
      for (const key of [1, 2, 3]) {
        for (const item of many) expect(observe(0, item, key)).toBe(false);
        expect(held(key)).toEqual(many);
        window.release(tupleOf({ key }));
      }
      expect(window.evictedLive).toBe(0);
    });

    test("it makes room by letting another key go, even a younger one", () => {
      const { window, observe, held } = createWindow({ threshold: 25, extensionCapacity: 3 });
      for (const item of many.slice(0, 14)) observe(0, item, 1);
      for (const item of many) observe(100, item, 2);
      for (const item of many) observe(0, item, 1);
      expect(held(1)).toEqual(many);
      expect(held(2)).toEqual([]);
      expect(window.evictedLive).toBe(1);
    });

    test("there are as many as one key needs, however few were asked for", () => {
      const { observe, held } = createWindow({ threshold: 25, extensionCapacity: 1 });
      for (const item of many) observe(0, item, 1);
      expect(held(1)).toEqual(many);
      expect(observe(0, 79, 1)).toBe(true);
    });
  });

  test("an extension comes back with the eviction of its key", () => {
    const { window, observe, held } = createWindow({
      threshold: 10,
      capacity: 8,
      extensionCapacity: 1,
    });
    for (const item of items) observe(0, item, 1);
    for (let key = 2; key <= 9; key++) observe(2 * MINUTE_US, 80, key);
    for (const item of items) observe(2 * MINUTE_US, item, 9);
    expect(held(9)).toEqual(items);
    expect(window.evictedLive).toBe(0);
  });
});
