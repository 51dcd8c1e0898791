import { describe, expect, it } from "vitest";
import { MAX_MEMBERS, MemberList } from "./member-list.ts";

describe("the member list", () => {
  it("a member is alive for the TTL after it was heard, and not a millisecond longer", () => {
    const list = new MemberList(5000);
    list.hear("a", 0);
    expect(list.alive(5000)).toEqual(["a"]);
    expect(list.alive(5001)).toEqual([]);
  });

  it("one that leaves is gone at once, and may come back", () => {
    const list = new MemberList(5000);
    list.hear("b", 0);
    list.hear("a", 0);
    list.leave("b");
    expect(list.alive(1)).toEqual(["a"]);
    list.hear("b", 2);
    expect(list.alive(3)).toEqual(["a", "b"]);
  });

  it("nobody expires for the time in which nobody could be heard", () => {
    const list = new MemberList(5000);
    list.hear("a", 0);
    list.excuse(60_000);
    expect(list.alive(64_000)).toEqual(["a"]);
  });

  it("a full list turns newcomers away and goes on hearing those it knows", () => {
    const list = new MemberList(5000);
    for (let index = 0; index < MAX_MEMBERS; index++) list.hear(`member-${index}`, 0);
    expect(list.hear("one too many", 0)).toBe(false);
    expect(list.hear("member-7", 1000)).toBe(true);
  });
});
