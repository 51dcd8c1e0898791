import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { formatAddress, readAddress } from "@packetwatch/net";
import { waitUntil, within } from "../support/eventually.ts";
import type { NetworkNamespace } from "../support/network-namespace.ts";
import type { Attempt } from "./attempts.ts";

/** A lone SYN: in byte 13 of the TCP header, SYN is set and ACK is not. */
const FILTER = "tcp[13] & 0x12 = 2 or (ip6 and ip6[6] = 6 and ip6[53] & 0x12 = 2)";
/** Ample for headers. */
const SNAP_BYTES = 128;
const BUFFER_KIB = 32 * 1024;
const TIMEOUT_MS = 15_000;

// pcap-savefile(5), and the headers of RFC 791, 8200 and 9293.
const FILE_HEADER_BYTES = 24;
const PACKET_HEADER_BYTES = 16;
const ETHERNET_BYTES = 14;
const ETHERTYPE_IPV4 = 0x0800;
const IPV6_BYTES = 40;

/**
 * tcpdump on a host's interface. It sees what XDP lets pass, by another way
 * than the ring buffer: who was in the kernel, and when.
 */
export class Witness {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #closed: Promise<unknown>;
  readonly #chunks: Buffer[] = [];
  #said = "";

  constructor(namespace: NetworkNamespace, interfaceName: string) {
    const output = ["-w", "-", "-U", "-s", String(SNAP_BYTES), "-B", String(BUFFER_KIB)];
    const args = ["-i", interfaceName, "-n", "-Q", "in", "-Z", "root", ...output, FILTER];
    const child = spawn(...namespace.commandLine("tcpdump", args), {
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stdout.on("data", (chunk: Buffer) => this.#chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => (this.#said += chunk.toString()));
    this.#child = child;
    this.#closed = once(child, "close");
  }

  async ready(): Promise<void> {
    const what = () => `tcpdump to listen: ${this.#said}`;
    await waitUntil(() => this.#said.includes("listening on"), {
      timeoutMs: TIMEOUT_MS,
      what: what(),
    });
  }

  /** Ends it, and gives all that it saw; throws where it could not see everything. */
  async conclude(): Promise<readonly Attempt[]> {
    this.#child.kill("SIGINT");
    await within(this.#closed, { timeoutMs: TIMEOUT_MS, what: "tcpdump to end" });
    if (!/^0 packets dropped by kernel/m.test(this.#said)) {
      throw new Error(`a witness was too slow: ${this.#said}`);
    }
    return readAttempts(Buffer.concat(this.#chunks));
  }

  async close(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
  }
}

function readAttempts(file: Buffer): readonly Attempt[] {
  const attempts: Attempt[] = [];
  for (let at = FILE_HEADER_BYTES; at + PACKET_HEADER_BYTES <= file.length;) {
    const timeUs = file.readUInt32LE(at) * 1e6 + file.readUInt32LE(at + 4);
    const start = at + PACKET_HEADER_BYTES;
    const end = start + file.readUInt32LE(at + 8);
    attempts.push(readAttempt(file.subarray(start, end), timeUs));
    at = end;
  }
  return attempts;
}

function readAttempt(frame: Buffer, timeUs: number): Attempt {
  const isIpv4 = frame.readUInt16BE(12) === ETHERTYPE_IPV4;
  const ip = frame.subarray(ETHERNET_BYTES);
  const tcp = ip.subarray(isIpv4 ? ((ip[0] ?? 0) & 15) * 4 : IPV6_BYTES);
  return {
    source: isIpv4 ? ipv4At(ip, 12) : ipv6At(ip, 8),
    destination: isIpv4 ? ipv4At(ip, 16) : ipv6At(ip, 24),
    sourcePort: tcp.readUInt16BE(0),
    destinationPort: tcp.readUInt16BE(2),
    timeUs,
  };
}

function ipv4At(ip: Buffer, offset: number): string {
  return ip.subarray(offset, offset + 4).join(".");
}

function ipv6At(ip: Buffer, offset: number): string {
  return formatAddress(readAddress(new DataView(ip.buffer, ip.byteOffset), offset));
}
