import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { packetKinds } from "../support/packet-kinds.ts";
import { ethernet, ipv4, ipv6 } from "../support/packets.ts";
import { pcapFile } from "../support/pcap.ts";
import { icmp, icmpv6, tcp, udp } from "../support/segments.ts";

const FAULTS = /incorrect|bad .*cksum|wrong|invalid|truncated/;

function tcpdump(frame: Uint8Array): string {
  const input = pcapFile([frame]);
  const stdio: ("pipe" | "ignore")[] = ["pipe", "pipe", "ignore"];
  return execFileSync("tcpdump", ["-n", "-vv", "-r", "-"], { input, encoding: "utf8", stdio });
}

describe("what the packet builder makes", () => {
  it.each(packetKinds)("is faultless to tcpdump: $name", ({ frame }) => {
    const text = tcpdump(frame);
    expect(text).not.toBe("");
    expect(text).not.toMatch(FAULTS);
  });

  const checked = [
    { what: "TCP over IPv4", datagram: ipv4(tcp()) },
    { what: "UDP over IPv4", datagram: ipv4(udp()) },
    { what: "ICMP", datagram: ipv4(icmp()) },
    { what: "TCP over IPv6", datagram: ipv6(tcp()) },
    { what: "UDP over IPv6", datagram: ipv6(udp()) },
    { what: "ICMPv6", datagram: ipv6(icmpv6()) },
  ];
  it.each(checked)("would not be if a checksum were wrong: $what", ({ datagram }) => {
    const damaged = ethernet(datagram);
    const last = damaged.length - 1;
    damaged[last] = (damaged[last] ?? 0) ^ 1;
    expect(tcpdump(damaged)).toMatch(FAULTS);
  });
});
