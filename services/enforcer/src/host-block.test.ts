import {
  type Block,
  decodeHostBlocksReply,
  encodeHostBlocksReply,
  HOST_BLOCKS_VERSION,
  type HostBlocksReply,
} from "@packetwatch/contracts";
import { describe, expect, it } from "vitest";
import { hostBlockOf } from "./host-block.ts";

const clock = { nowNs: 1_000_000n, offsetNs: 5_000_000n };
const LARGEST = 2n ** 64n - 1n;
const source = "192.0.2.1";
const block = (members: Partial<Block>): Block => ({
  expiresNs: 0n,
  dropped: 0n,
  firstDropNs: 0n,
  ...members,
});
const of = (...held: Block[]) => hostBlockOf({ source, held, allowed: false }, clock);

describe("what a host tells of a source", () => {
  it("adds up its interfaces, of which those count whose block is not over", () => {
    const held = [
      block({ expiresNs: 0n, dropped: 2n, firstDropNs: 9000n }),
      block({ expiresNs: 1_000_001n, dropped: 3n, firstDropNs: 7000n }),
      block({ expiresNs: 1_000_000n, dropped: 4n }),
      block({ expiresNs: 1n }),
    ];
    expect(of(...held)).toMatchObject({ interfaces: 2, dropped: 9, firstDropUs: 5007 });
  });

  it("keeps to its contract whatever a map holds", () => {
    const nonsense = of(
      block({ expiresNs: LARGEST, dropped: LARGEST, firstDropNs: LARGEST }),
      block({ dropped: LARGEST, firstDropNs: 1_000_001n }),
    );
    expect(nonsense).toMatchObject({ dropped: Number.MAX_SAFE_INTEGER, firstDropUs: null });
    const reply = {
      version: HOST_BLOCKS_VERSION,
      host: "web-1",
      interfaces: ["eth0"],
      blocks: [nonsense],
    } satisfies HostBlocksReply;
    expect(decodeHostBlocksReply(encodeHostBlocksReply(reply))).toEqual(reply);
  });
});
