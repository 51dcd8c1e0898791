import { boolean, decimal, integer, prefixes, seconds } from "./fields.ts";
import type { Variable } from "./variable.ts";

const sensor = ["capture", "enforcer", "cli"] as const;

export const blocking = {
  enforce: {
    name: "PW_ENFORCE",
    field: boolean(),
    fallback: "True",
    readBy: ["capture"],
    description:
      "False: a dry run. Everything works, would-be drops are counted, nothing is dropped.",
  },
  blockTtlSeconds: {
    name: "PW_BLOCK_TTL",
    field: seconds(0, 10 * 365 * 86_400),
    fallback: "0",
    readBy: ["detector", "cli"],
    description: "How long a source stays blocked, in seconds; 0: until it is unblocked.",
  },
  blockTtlFactor: {
    name: "PW_BLOCK_TTL_FACTOR",
    field: decimal(1, 100),
    fallback: "1",
    readBy: ["detector", "cli"],
    description:
      "Where PW_BLOCK_TTL gives blocks an end: each block of a source lasts so many times as long as the one before, less up to a tenth, at random. 1: all are equally long. An unblock forgives.",
  },
  blockTtlMaxSeconds: {
    name: "PW_BLOCK_TTL_MAX",
    field: seconds(1, 10 * 365 * 86_400),
    fallback: "604800",
    readBy: ["detector", "cli"],
    description: "The longest that a block grows to by PW_BLOCK_TTL_FACTOR.",
  },
  blockMemorySeconds: {
    name: "PW_BLOCK_MEMORY",
    field: seconds(0, 365 * 86_400),
    fallback: "86400",
    readBy: ["detector", "cli"],
    description:
      "With PW_BLOCK_TTL_FACTOR: so many seconds after the end of a block the source's next one counts as a repetition. So long the verdict stays in the list (PW_MAX_VERDICTS).",
  },
  maxBlocksPerMinute: {
    name: "PW_MAX_BLOCKS_PER_MINUTE",
    field: integer(0, 1_000_000),
    fallback: "1000",
    readBy: ["detector"],
    description:
      "More sources than these that detectors block within a minute open the breaker: then they alert, and block nobody. 0: any number.",
  },
  maxBlocked: {
    name: "PW_MAX_BLOCKED",
    field: integer(0, 16_777_216),
    fallback: "100000",
    readBy: ["detector"],
    description:
      "More sources than these that are blocked at once, by operators too, open the breaker. 0: any number.",
  },
  breakerQuietSeconds: {
    name: "PW_BREAKER_QUIET",
    field: seconds(1, 86_400),
    fallback: "300",
    readBy: ["detector"],
    description:
      "An open breaker closes when detectors have found nobody to block for so many seconds, or by 'packetwatch breaker close'.",
  },
  whitelistSelf: {
    name: "PW_WHITELIST_SELF",
    field: boolean(),
    fallback: "True",
    readBy: sensor,
    description: "Never block the addresses of the watched interfaces. Followed when they change.",
  },
  allow: {
    name: "PW_ALLOW",
    field: prefixes(),
    fallback: "",
    readBy: ["capture", "enforcer"],
    description:
      "Addresses and CIDRs that are never dropped and never counted as scanners, besides the host's own.",
  },
  allowGateways: {
    name: "PW_ALLOW_GATEWAYS",
    field: boolean(),
    fallback: "True",
    readBy: ["enforcer"],
    description:
      "Never block the gateways of the host's default routes. Followed when they change.",
  },
  allowResolvers: {
    name: "PW_ALLOW_RESOLVERS",
    field: boolean(),
    fallback: "True",
    readBy: ["enforcer"],
    description:
      "Never block the host's DNS resolvers: those of /etc/resolv.conf, and those that systemd-resolved asks.",
  },
  allowNatsServers: {
    name: "PW_ALLOW_NATS_SERVERS",
    field: boolean(),
    fallback: "True",
    readBy: ["enforcer"],
    description: "Never block the NATS servers of PW_NATS_URL, nor those that their cluster names.",
  },
  allowSshPeers: {
    name: "PW_ALLOW_SSH_PEERS",
    field: boolean(),
    fallback: "True",
    readBy: ["enforcer"],
    description:
      "Never block an address from which somebody is logged in (utmp, systemd-logind) over a connection that is open. One who only connects to sshd is not logged in.",
  },
  blockedEntries: {
    name: "PW_BLOCKED_ENTRIES",
    field: integer(16, 16_777_216),
    fallback: "262144",
    readBy: ["capture"],
    description:
      "Sources that an interface's block map can hold. A full map refuses more, and says so.",
  },
  allowedEntries: {
    name: "PW_ALLOWED_ENTRIES",
    field: integer(16, 1_048_576),
    fallback: "16384",
    readBy: ["capture"],
    description: "Prefixes that an interface's allow list can hold.",
  },
} as const satisfies Record<string, Variable>;
