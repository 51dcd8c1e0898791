/** Where a scanner is, and what it scans. */
export type ScanTarget = {
  readonly ipv4: string;
  readonly ipv6: string;
  /** The MAC address behind both. */
  readonly mac: string;
  /** The scanner's own IPv4 address, for those that bring their own stack. */
  readonly source: string;
};

/** A scanner of the field. */
export type Scanner = {
  readonly name: string;
  readonly family: 4 | 6;
  readonly commandLine: (target: ScanTarget) => readonly [string, ...string[]];
};

/** In the network of the test, and nobody's. */
const DECOYS = ["198.19.250.1", "198.19.250.2", "198.19.250.3"];

/** More than are scanned before the block. */
const PORTS = "1-10000";
/** A dropped probe is not sent again, so that a blocked nmap ends in time. */
const NMAP_COMMON = ["-n", "-Pn", "-p", PORTS, "--max-retries", "0"];

export function nmap(name: string, ...options: readonly string[]): Scanner {
  return {
    name: `nmap ${name}`,
    family: 4,
    commandLine: ({ ipv4 }) => ["nmap", ...options, ...NMAP_COMMON, ipv4],
  };
}

export function masscan(rate: number): Scanner {
  return {
    name: `masscan --rate ${rate}`,
    family: 4,
    // It has a stack of its own, so it is told what the kernel would know.
    commandLine: ({ ipv4, mac, source }) => [
      "masscan",
      ipv4,
      ...["-p", "1-20000", "--rate", String(rate), "--wait", "0"],
      ...["--adapter", "eth0", "--adapter-ip", source, "--router-mac", mac],
    ],
  };
}

const timings = ["-T3", "-T4", "-T5"] as const;
const techniques = ["-sS", "-sT"] as const;

/** Those of the users' scorecards that send SYNs. */
export const scanners: readonly Scanner[] = [
  ...techniques.flatMap((technique) =>
    timings.map((timing) => nmap(`${technique} ${timing}`, technique, timing)),
  ),
  nmap("-sS -f (fragments)", "-sS", "-T4", "-f"),
  nmap("-sS -g 53 (source port)", "-sS", "-T4", "-g", "53"),
  nmap("-sS -D (decoys)", "-sS", "-T4", "-D", [...DECOYS, "ME"].join(",")),
  {
    name: "nmap -6 -sS",
    family: 6,
    commandLine: ({ ipv6 }) => ["nmap", "-6", "-sS", "-T4", ...NMAP_COMMON, ipv6],
  },
  masscan(1000),
  masscan(10_000),
  {
    name: "hping3 --scan",
    family: 4,
    commandLine: ({ ipv4 }) => ["hping3", "--scan", PORTS, "-S", ipv4],
  },
  {
    name: "hping3 -p ++1 -i u1000",
    family: 4,
    commandLine: ({ ipv4 }) => ["hping3", "-S", "-q", "-p", "++1", "-i", "u1000", ipv4],
  },
];
