import { describe, expect, it } from "vitest";
import {
  decodeHostBlocksReply,
  decodeHostBlocksRequest,
  encodeHostBlocksReply,
  encodeHostBlocksRequest,
  type HostBlocksReply,
  type HostBlocksRequest,
  MAX_ASKED_SOURCES,
} from "./host-blocks.v1.ts";
import { jsonBytes, type Member, withMember } from "./testing/json-message.ts";
import { refusal } from "./testing/refusal.ts";

const request: HostBlocksRequest = { version: 1, sources: ["192.0.2.56", "2001:db8::/64"] };
const reply: HostBlocksReply = {
  version: 1,
  host: "web-1",
  interfaces: ["eth0"],
  blocks: [
    {
      source: "192.0.2.56",
      interfaces: 1,
      dropped: 12,
      firstDropUs: 1_619_623_685_001_000,
      allowed: false,
    },
  ],
};

// Published messages: they are read for ever.
const goldenRequest = '{"version":1,"sources":["192.0.2.56","2001:db8::/64"]}';
const goldenReply =
  '{"version":1,"host":"web-1","interfaces":["eth0"],"blocks":[{"source":"192.0.2.56","interfaces":1,"dropped":12,"firstDropUs":1619623685001000,"allowed":false}]}';

describe("host blocks", () => {
  it("requests and replies are written and read as published", () => {
    expect(new TextDecoder().decode(encodeHostBlocksRequest(request))).toBe(goldenRequest);
    expect(decodeHostBlocksRequest(new TextEncoder().encode(goldenRequest))).toEqual(request);
    expect(new TextDecoder().decode(encodeHostBlocksReply(reply))).toBe(goldenReply);
    expect(decodeHostBlocksReply(new TextEncoder().encode(goldenReply))).toEqual(reply);
  });

  const refusedRequests: readonly (readonly [path: readonly Member[], value: unknown])[] = [
    [["version"], 2],
    [["sources"], []],
    [["sources"], Array.from({ length: MAX_ASKED_SOURCES + 1 }, () => "192.0.2.1")],
    [["sources", 0], "192.0.2.0/24"],
    [["sources", 0], "example.com"],
  ];
  it.each(refusedRequests)("a request where %j is wrong is refused", (path, value) => {
    const payload = jsonBytes(withMember(request, path, value));
    expect(refusal(() => decodeHostBlocksRequest(payload)).code).toBe("bad_schema");
  });

  const refusedReplies: readonly (readonly [path: readonly Member[], value: unknown])[] = [
    [["host"], ""],
    [["interfaces"], Array.from({ length: 65 }, () => "eth0")],
    [["blocks", 0, "dropped"], -1],
    [["blocks", 0, "interfaces"], 0.5],
    [["blocks", 0, "firstDropUs"], undefined],
    [["blocks", 0, "allowed"], "yes"],
  ];
  it.each(refusedReplies)("a reply where %j is %j is refused", (path, value) => {
    const payload = jsonBytes(withMember(reply, path, value));
    expect(refusal(() => decodeHostBlocksReply(payload)).code).toBe("bad_schema");
  });
});
