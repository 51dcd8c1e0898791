import { type Verdict, verdictSubject } from "@packetwatch/contracts";
import { formatPrefix, parsePrefix } from "@packetwatch/net";
import { describe, expect, it } from "vitest";
import { DesiredBlocks } from "./desired-blocks.ts";

const NOW_US = 1_800_000_000_000_000;

function blockOf(source: string, expiresUs: number | null = null, id = `block ${source}`): Verdict {
  return {
    version: 1,
    kind: "block",
    id,
    source,
    rule: "vertical",
    decidedBy: "detector/test",
    issuedUs: NOW_US - 5,
    expiresUs,
    evidence: null,
  };
}

function unblockOf(source: string): Verdict {
  return {
    version: 1,
    kind: "unblock",
    id: `unblock ${source}`,
    source,
    decidedBy: "operator/test",
    issuedUs: NOW_US,
  };
}

const subjectOf = (source: string) => verdictSubject(parsePrefix(source));

function createList() {
  const list = new DesiredBlocks();
  let sequence = 0;
  const apply = (verdict: Verdict, nowUs = NOW_US) =>
    list.apply(subjectOf(verdict.source), verdict, { sequence: ++sequence, nowUs });
  const remove = (source: string) => list.remove(subjectOf(source));
  const sources = () => [...list.values()].map(({ source }) => source).toSorted();
  return { list, apply, remove, sources };
}

describe("the desired blocks", () => {
  it("hold the last verdict of each source", () => {
    const { apply, sources } = createList();
    apply(blockOf("192.0.2.1"));
    apply(blockOf("2001:db8:0:1::/64"));
    apply(blockOf("192.0.2.1", NOW_US + 10));
    expect(sources()).toEqual(["192.0.2.1", "2001:db8:0:1::/64"]);
  });

  it("a block says what to write, since when and until when", () => {
    const { apply } = createList();
    expect(apply(blockOf("192.0.2.1", NOW_US + 7))).toEqual({
      kind: "block",
      block: {
        verdictId: "block 192.0.2.1",
        source: "192.0.2.1",
        prefix: parsePrefix("192.0.2.1"),
        expiresUs: NOW_US + 7,
        decidingUs: NOW_US - 5,
        sequence: 1,
      },
    });
  });

  it("an unblock lifts the block, and also one that only the map knows", () => {
    const { apply, sources } = createList();
    apply(blockOf("192.0.2.1"));
    const change = apply(unblockOf("192.0.2.1"));
    expect([change?.kind, sources()]).toEqual(["lift", []]);
    const unknown = apply(unblockOf("198.51.100.7"));
    expect(unknown?.kind === "lift" && formatPrefix(unknown.block.prefix)).toBe("198.51.100.7");
  });

  it.each([
    [NOW_US - 1, undefined],
    [NOW_US, undefined],
    [NOW_US + 1, "block"],
  ])("a block that ends at %d changes: %s", (expiresUs, kind) => {
    expect(createList().apply(blockOf("192.0.2.1", expiresUs))?.kind).toBe(kind);
  });

  it("a block that has ended takes the place of one that was in force, which is lifted", () => {
    const { apply, sources } = createList();
    apply(blockOf("192.0.2.1"));
    expect(apply(blockOf("192.0.2.1", NOW_US - 1))?.kind).toBe("lift");
    expect(sources()).toEqual([]);
  });

  it("the mark of an expired message lifts once", () => {
    const { apply, remove } = createList();
    apply(blockOf("192.0.2.1"));
    expect(remove("192.0.2.1")?.kind).toBe("lift");
    expect(remove("192.0.2.1")).toBeUndefined();
  });

  it("expire() lifts what has ended, and nothing else", () => {
    const { list, apply, sources } = createList();
    apply(blockOf("192.0.2.1", NOW_US + 10));
    apply(blockOf("192.0.2.2", NOW_US + 11));
    apply(blockOf("192.0.2.3"));
    expect(list.expire(NOW_US + 10).map((change) => change.block.source)).toEqual(["192.0.2.1"]);
    expect(sources()).toEqual(["192.0.2.2", "192.0.2.3"]);
  });

  it("a list that is read anew has lost what doesn't come again", () => {
    const { list, apply, sources } = createList();
    for (const source of ["192.0.2.1", "192.0.2.2", "192.0.2.3"]) apply(blockOf(source));
    list.restart();
    apply(blockOf("192.0.2.1"));
    apply(unblockOf("192.0.2.3"));
    expect(sources()).toEqual(["192.0.2.1", "192.0.2.2"]);
    list.finish();
    expect(sources()).toEqual(["192.0.2.1"]);
    apply(blockOf("192.0.2.4"));
    list.finish();
    expect(sources()).toEqual(["192.0.2.1", "192.0.2.4"]);
  });

  it("a list that was lost goes on to hold but for what is lifted, be it while it was read anew", () => {
    const { list, apply, sources } = createList();
    for (const source of ["192.0.2.1", "192.0.2.2", "192.0.2.3"]) apply(blockOf(source));
    list.restart();
    apply(unblockOf("192.0.2.1"));
    list.keep(() => true);
    apply(unblockOf("192.0.2.2"));
    apply(blockOf("192.0.2.4"));
    list.finish();
    expect(sources()).toEqual(["192.0.2.3", "192.0.2.4"]);
    expect(list.leftovers).toBe(1);
  });

  it("of lists that were lost one after the other, only what the kernel holds is kept", () => {
    const { list, apply, sources } = createList();
    for (const held of ["192.0.2.1", "192.0.2.2", "192.0.2.3"]) {
      apply(blockOf(held));
      expect(list.keep(({ source }) => source === held)).toMatchObject([{ source: held }]);
      expect(sources()).toEqual([held]);
    }
    expect(list.leftovers).toBe(1);
  });

  it("leftovers stay however often the new list is read, until they are named, expire or are lifted", () => {
    const { list, apply, remove, sources } = createList();
    for (const source of ["192.0.2.1", "192.0.2.2", "192.0.2.3"]) apply(blockOf(source));
    apply(blockOf("192.0.2.4", NOW_US + 10));
    list.keep(() => true);
    apply(blockOf("192.0.2.1"));
    list.restart();
    list.finish();
    expect(sources()).toEqual(["192.0.2.2", "192.0.2.3", "192.0.2.4"]);
    remove("192.0.2.2");
    list.expire(NOW_US + 10);
    apply(blockOf("192.0.2.3"));
    expect(list.leftovers).toBe(0);
  });

  it("what the kernel holds of a list that was lost is taken in, and changes nothing that is known", () => {
    const { list, apply, sources } = createList();
    const known = apply(blockOf("192.0.2.1"));
    const held = (source: string) => ({ ...known!.block, source, verdictId: "leftover" });
    expect(list.adopt(subjectOf("192.0.2.1"), held("192.0.2.1"))).toBe(false);
    expect(list.adopt(subjectOf("192.0.2.2"), held("192.0.2.2"))).toBe(true);
    expect(sources()).toEqual(["192.0.2.1", "192.0.2.2"]);
    expect(list.leftovers).toBe(1);
    expect([...list.values()][0]?.verdictId).toBe(known?.block.verdictId);
  });
});
