export type ScanTarget = {
  readonly ipv4: string;
  readonly ipv6: string;
  /** The MAC address behind both. */
  readonly mac: string;
  /** Every host's IPv4 address. */
  readonly all: readonly string[];
};

export type ScanOrigin = {
  /** The address that this scan alone comes from. */
  readonly source: string;
  /** For what a scanner would leave to chance. */
  readonly seed: number;
};

export type Scanner = {
  readonly name: string;
  readonly family: 4 | 6;
  readonly commandLine: (target: ScanTarget, origin: ScanOrigin) => readonly [string, ...string[]];
};

/** Two pauses of the slow scanner are just shorter than the window. */
export const WINDOW_SECONDS = 4.2;
const SLOW_PAUSE_SECONDS = 2;

/** What is dropped is not sent again, so that a blocked nmap ends in time. */
const NMAP = ["nmap", "-sS", "-n", "-Pn", "-T4", "--max-retries", "0", "-e", "eth0"] as const;

/** Each sends at least three SYNs to distinct ports, and ends by itself, blocked or not. */
export const scanners: readonly Scanner[] = [
  {
    name: "nmap -sS",
    family: 4,
    commandLine: ({ ipv4 }, { source }) => [...NMAP, "-p", "1-60", "-S", source, ipv4],
  },
  {
    name: "nmap -sS, all hosts",
    family: 4,
    commandLine: ({ all }, { source }) => [...NMAP, "-p", "1-20", "-S", source, ...all],
  },
  {
    name: "nmap -6 -sS",
    family: 6,
    commandLine: ({ ipv6 }, { source }) => [...NMAP, "-6", "-p", "1-60", "-S", source, ipv6],
  },
  {
    name: "masscan",
    family: 4,
    // It has a stack of its own, so it is told what the kernel would know.
    commandLine: ({ ipv4, mac }, { source, seed }) => [
      "masscan",
      ...[ipv4, "-p", "1-300", "--rate", "500", "--wait", "0", "--seed", String(seed)],
      ...["--adapter", "eth0", "--adapter-ip", source, "--router-mac", mac],
    ],
  },
  {
    name: "hping3",
    family: 4,
    commandLine: ({ ipv4 }, { source }) => [
      ...(["hping3", "-S", "-q", "-p", "++1", "-i", "u2000", "-c", "50"] as const),
      ...["-a", source, ipv4],
    ],
  },
  {
    name: "hping3, slow",
    family: 4,
    commandLine: ({ ipv4 }, { source }) => [
      ...(["hping3", "-S", "-q", "-p", "++1", "-c", "3"] as const),
      ...["-i", String(SLOW_PAUSE_SECONDS), "-a", source, ipv4],
    ],
  },
];
