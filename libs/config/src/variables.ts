import {
  boolean,
  bytes,
  integer,
  integerOf,
  interfaces,
  listenAddress,
  natsUrls,
  oneOf,
  path,
  seconds,
  text,
} from "./fields.ts";
import { blocking } from "./blocking-variables.ts";
import type { ServiceName, Variable } from "./variable.ts";

export type { ServiceName, Variable };

export type VariableGroup = {
  readonly title: string;
  readonly variables: readonly Variable[];
};

const everyone = ["capture", "detector", "enforcer", "metrics", "cli"] as const;
const sensor = ["capture", "enforcer", "cli"] as const;

const MAX_WINDOW_SECONDS = 86_400;
const KIB = 1024;
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

const detection = {
  windowSeconds: {
    name: "PW_PORTSCAN_TIME_THRESHOLD",
    field: seconds(0.001, MAX_WINDOW_SECONDS),
    fallback: "60",
    readBy: ["detector", "cli"],
    description:
      "Rule `vertical`: the window in which distinct ports count, in seconds. Both ends belong to it.",
  },
  portThreshold: {
    name: "PW_PORTSCAN_PORT_THRESHOLD",
    field: integer(1, 1024),
    fallback: "3",
    readBy: ["detector", "cli"],
    description:
      "Rule `vertical`: so many distinct ports of one destination within the window are a scan.",
  },
  verticalAction: {
    name: "PW_VERTICAL_ACTION",
    field: oneOf("block", "alert", "off"),
    fallback: "block",
    readBy: ["detector", "cli"],
    description: "Rule `vertical`: what follows when it fires.",
  },
  horizontalWindowSeconds: {
    name: "PW_HORIZONTAL_TIME_THRESHOLD",
    field: seconds(0.001, MAX_WINDOW_SECONDS),
    fallback: "300",
    readBy: ["detector", "cli"],
    description: "Rule `horizontal`: the window in which distinct destinations count, in seconds.",
  },
  horizontalThreshold: {
    name: "PW_HORIZONTAL_ADDRESS_THRESHOLD",
    field: integer(1, 1024),
    fallback: "25",
    readBy: ["detector", "cli"],
    description:
      "Rule `horizontal`: so many distinct destinations on one port within the window fire it.",
  },
  horizontalAction: {
    name: "PW_HORIZONTAL_ACTION",
    field: oneOf("block", "alert", "off"),
    fallback: "alert",
    readBy: ["detector", "cli"],
    description: "Rule `horizontal`: what follows when it fires.",
  },
  spreadWindowSeconds: {
    name: "PW_SPREAD_TIME_THRESHOLD",
    field: seconds(0.001, MAX_WINDOW_SECONDS),
    fallback: "300",
    readBy: ["detector", "cli"],
    description:
      "Rule `spread`: the window in which distinct pairs of destination and port count, in seconds.",
  },
  spreadThreshold: {
    name: "PW_SPREAD_TARGET_THRESHOLD",
    field: integer(1, 1024),
    fallback: "25",
    readBy: ["detector", "cli"],
    description:
      "Rule `spread`: so many distinct pairs of destination and port over the whole fleet fire it.",
  },
  spreadAction: {
    name: "PW_SPREAD_ACTION",
    field: oneOf("block", "alert", "off"),
    fallback: "alert",
    readBy: ["detector", "cli"],
    description: "Rule `spread`: what follows when it fires.",
  },
  count: {
    name: "PW_COUNT",
    field: oneOf("all", "closed"),
    fallback: "all",
    readBy: ["capture", "detector", "cli"],
    description:
      "Which attempts count towards a scan. `closed`: only those on ports that have no listener on their host, so that a visitor of open ports is never blocked; captures then look each port up (PW_LISTENER_LOOKUP). The same on all hosts.",
  },
  ipv6SourceBits: {
    name: "PW_IPV6_PREFIX",
    field: integer(16, 128),
    fallback: "64",
    readBy: ["capture", "detector", "enforcer", "cli"],
    description:
      "IPv6 sources are judged and blocked by prefixes of this length. The same on all hosts: an enforcer refuses verdicts on prefixes of another one, and counts them.",
  },
  detectorTtlSeconds: {
    name: "PW_DETECTOR_TTL",
    field: seconds(1, 300),
    fallback: "5",
    readBy: ["detector"],
    description:
      "A detector that says nothing for so many seconds counts as crashed, and the others take its shards.",
  },
  detectorCapacity: {
    name: "PW_DETECTOR_CAPACITY",
    field: integer(1024, 8_388_608),
    fallback: "65536",
    readBy: ["detector", "cli"],
    description:
      "Sources whose first targets are remembered, and keys each rule keeps windows for beyond that; fixes the memory. The least recently seen leaves first, and is counted.",
  },
} as const satisfies Record<string, Variable>;

const capture = {
  interfaces: {
    name: "PW_IFDEV",
    field: interfaces(),
    fallback: "lo",
    readBy: sensor,
    description: "Interfaces to watch. Each gets a program and maps of its own.",
  },
  xdpMode: {
    name: "PW_XDP_MODE",
    field: oneOf("auto", "native", "skb"),
    fallback: "auto",
    readBy: ["capture"],
    description:
      "How the program is attached: `native` in the driver, `skb` in the stack; `auto` tries them in this order.",
  },
  listenerLookup: {
    name: "PW_LISTENER_LOOKUP",
    field: boolean(),
    fallback: "False",
    readBy: ["capture"],
    description:
      "Look up whether a probed port has a listener, and say so in each record. Costs a socket lookup per attempt.",
  },
  ringBytes: {
    name: "PW_RING_BYTES",
    field: bytes(4 * KIB, GIB),
    fallback: "16MiB",
    readBy: ["capture"],
    description:
      "Size of an interface's ring buffer; rounded up to a power of two. An attempt takes 64 bytes.",
  },
  publishBufferBytes: {
    name: "PW_PUBLISH_BUFFER_BYTES",
    field: bytes(MIB, 4 * GIB),
    fallback: "64MiB",
    readBy: ["capture"],
    description:
      "What capture holds back while NATS is slow or away; then the oldest goes, and is counted.",
  },
  bpffsDir: {
    name: "PW_PIN_DIR",
    field: path(),
    fallback: "/sys/fs/bpf/packetwatch",
    readBy: sensor,
    description: "Folder for pins, in a BPF file system. Each interface has a folder in it.",
  },
  bpfObject: {
    name: "PW_BPF_OBJECT",
    field: path(),
    fallback: "build/packetwatch.bpf.o",
    readBy: ["capture"],
    description: "The compiled BPF program.",
  },
} as const satisfies Record<string, Variable>;

const nats = {
  natsServers: {
    name: "PW_NATS_URL",
    field: natsUrls(),
    fallback: "nats://127.0.0.1:4222",
    readBy: everyone,
    description: "The NATS servers of the fleet.",
  },
  natsNkeyFile: {
    name: "PW_NATS_NKEY_FILE",
    field: path(),
    fallback: undefined,
    readBy: everyone,
    description:
      "File with the seed of the nkey by which NATS knows this service. `packetwatch keys` makes them; the command finds the operator's of `packetwatch up` by itself.",
  },
  natsCredsFile: {
    name: "PW_NATS_CREDS_FILE",
    field: path(),
    fallback: undefined,
    readBy: everyone,
    description:
      "Credentials file (JWT and seed, as `nsc` writes it), for a NATS that is run by JWT. In place of PW_NATS_NKEY_FILE.",
  },
  natsTlsCa: {
    name: "PW_NATS_TLS_CA",
    field: path(),
    fallback: undefined,
    readBy: everyone,
    description:
      "PEM file of the authorities that may vouch for NATS; without it, the system's. With it, or with a `tls:` URL, there is no connection without TLS.",
  },
  natsTlsCert: {
    name: "PW_NATS_TLS_CERT",
    field: path(),
    fallback: undefined,
    readBy: everyone,
    description:
      "PEM file of the certificate to show to NATS, for mutual TLS. Together with PW_NATS_TLS_KEY.",
  },
  natsTlsKey: {
    name: "PW_NATS_TLS_KEY",
    field: path(),
    fallback: undefined,
    readBy: everyone,
    description: "PEM file of that certificate's private key.",
  },
  streamReplicas: {
    name: "PW_STREAM_REPLICAS",
    field: integerOf(1, 3, 5),
    fallback: "1",
    readBy: ["detector", "cli"],
    description: "Copies of each stream in a NATS cluster of at least so many servers.",
  },
  synStorage: {
    name: "PW_SYN_STORAGE",
    field: oneOf("memory", "file"),
    fallback: "memory",
    readBy: ["detector", "cli"],
    description:
      "Where NATS keeps connection attempts for replay. In `memory`, one server that restarts forgets those no detector has read yet.",
  },
  synStreamBytes: {
    name: "PW_SYN_STREAM_BYTES",
    field: bytes(MIB, 1024 * GIB),
    fallback: "256MiB",
    readBy: ["detector", "cli"],
    description:
      "Size of the stream that keeps connection attempts for replay; then the oldest leave.",
  },
  maxVerdicts: {
    name: "PW_MAX_VERDICTS",
    field: integer(16, 16_777_216),
    fallback: "262144",
    readBy: ["detector", "cli"],
    description: "Verdicts that the verdict stream holds. A full one refuses more, and says so.",
  },
  historySeconds: {
    name: "PW_HISTORY_SECONDS",
    field: integer(60, 10 * 365 * 86_400),
    fallback: "604800",
    readBy: ["detector", "cli"],
    description: "How long verdicts, alerts and what enforcers did can be read back, in seconds.",
  },
  historyBytes: {
    name: "PW_HISTORY_BYTES",
    field: bytes(MIB, 1024 * GIB),
    fallback: "256MiB",
    readBy: ["detector", "cli"],
    description: "Disk space of that history.",
  },
} as const satisfies Record<string, Variable>;

const metrics = {
  prometheusPort: {
    name: "PW_PROMETHEUS_PORT",
    field: integer(1, 65_535),
    fallback: "9090",
    readBy: ["metrics", "cli"],
    description: "Where `metrics` serves /metrics, /healthz and /readyz.",
  },
  prometheusAddress: {
    name: "PW_PROMETHEUS_ADDRESS",
    field: listenAddress(),
    fallback: "0.0.0.0",
    readBy: ["metrics"],
    description: "The address that `metrics` listens on.",
  },
} as const satisfies Record<string, Variable>;

/** What PW_HOST may hold. */
export const HOST_NAME = /^[A-Za-z0-9_.-]{1,253}$/;

const everyService = {
  host: {
    name: "PW_HOST",
    field: text(
      "a host name: letters, digits, dots, dashes and underscores, at most 253",
      HOST_NAME,
    ),
    fallback: undefined,
    readBy: everyone,
    description: "This host's name in messages and metrics; without it, what the system says.",
  },
  logLevel: {
    name: "PW_LOG_LEVEL",
    field: oneOf("trace", "debug", "info", "warn", "error", "fatal"),
    fallback: "info",
    readBy: everyone,
    description: "The least severity that is logged.",
  },
  drainTimeoutSeconds: {
    name: "PW_DRAIN_TIMEOUT",
    field: seconds(0, 300),
    fallback: "5",
    readBy: everyone,
    description:
      "How long a service that is told to stop may take to finish what it holds, in seconds.",
  },
  healthFile: {
    name: "PW_HEALTH_FILE",
    field: path(),
    fallback: undefined,
    readBy: ["capture", "detector", "enforcer", "metrics"],
    description:
      "File that says every second whether the service is well: `ok`, or why not. Health checks of containers read it.",
  },
} as const satisfies Record<string, Variable>;

const startUp = {
  runtime: {
    name: "PW_RUNTIME",
    field: oneOf("native", "docker"),
    fallback: undefined,
    readBy: ["cli"],
    description:
      "Where `make run` and its like run NATS and the services: as processes of this host, or in containers. Without it, in containers where a Docker Engine with compose answers.",
  },
  runDir: {
    name: "PW_RUN_DIR",
    field: path(),
    fallback: ".run",
    readBy: ["cli"],
    description:
      "Folder for process ids, logs and the data of NATS; from the repository, where it is relative.",
  },
  natsPort: {
    name: "PW_NATS_PORT",
    field: integer(1, 65_535),
    fallback: "4222",
    readBy: ["cli"],
    description:
      "Port of the NATS server that `make run` starts. `packetwatch up` starts none where PW_NATS_URL is set.",
  },
  natsAddress: {
    name: "PW_NATS_ADDRESS",
    field: listenAddress(),
    fallback: "127.0.0.1",
    readBy: ["cli"],
    description:
      "Address of this host at which containers' NATS is reached. Other hosts of a fleet need another than the default.",
  },
} as const satisfies Record<string, Variable>;

/** All variables, under the names that a Config has. */
export const variables = {
  ...detection,
  ...blocking,
  ...capture,
  ...nats,
  ...metrics,
  ...everyService,
  ...startUp,
} as const satisfies Record<string, Variable>;

/** The same for readers: in the order in which docs/variables.md shows them. */
export const variableGroups: readonly VariableGroup[] = [
  { title: "Detection", variables: Object.values(detection) },
  { title: "Blocking", variables: Object.values(blocking) },
  { title: "Capture", variables: Object.values(capture) },
  { title: "NATS", variables: Object.values(nats) },
  { title: "Metrics", variables: Object.values(metrics) },
  { title: "Every service", variables: Object.values(everyService) },
  { title: "make and packetwatch up", variables: Object.values(startUp) },
];
