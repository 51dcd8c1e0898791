/**
 * Fills the ring of a watched interface at a rate, by BPF_PROG_TEST_RUN with its pinned maps: what a sensor would see of a
 * link with so many SYNs, without the link. Prints what it sent as JSON.
 *
 *     node ring-load.js '{"pinFolder": ..., "rate": ..., "seconds": ..., "sources": ...}'
 */
import { setTimeout as delay } from "node:timers/promises";
import { ethernet, ipv4 } from "../../test/support/packets.ts";
import { PinnedProgram } from "../../test/support/pinned-program.ts";
import { tcp } from "../../test/support/segments.ts";
import { addressRange, VariedPackets } from "../support/varied-packets.ts";

export type RingLoad = {
  /** The folder of an interface's pins. */
  readonly pinFolder: string;
  readonly rate: number;
  readonly seconds: number;
  readonly sources: number;
};

export type RingLoadResult = { readonly sent: number; readonly seconds: number };

/** A run of many packets costs the kernel 17 ms beside them, so a burst is what came due meanwhile. */
const BURST_MS = 25;
/** Nobody's networks (RFC 2544); each source visits one port, so that nothing is ever decided. */
const SOURCES = "11.0.0.0";

async function send({ pinFolder, rate, seconds, sources }: RingLoad): Promise<RingLoadResult> {
  const program = new PinnedProgram({ pinFolder, thinning: "on" });
  const packets = new VariedPackets(program.program);
  packets.vary({ sources: addressRange(SOURCES, sources) });
  const frame = ethernet(ipv4(tcp()));
  const startMs = performance.now();
  const total = rate * seconds;
  let sent = 0;
  while (sent < total) {
    const due = Math.min(total, Math.floor(((performance.now() - startMs) / 1000) * rate));
    if (due > sent) packets.run(frame, due - sent);
    sent = due;
    await delay(BURST_MS / 5);
  }
  const result = { sent, seconds: (performance.now() - startMs) / 1000 };
  packets.close();
  program.close();
  return result;
}

console.log(JSON.stringify(await send(JSON.parse(process.argv[2] ?? "{}") as RingLoad)));
