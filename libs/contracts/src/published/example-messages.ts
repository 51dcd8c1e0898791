/** One message of each kind, as it is on the bus: what docs/asyncapi.yaml shows. */
import type { Alert } from "../alert.v1.ts";
import type { AllowEntry } from "../allow-entry.v1.ts";
import type { Applied } from "../applied.v1.ts";
import type { BreakerMessage } from "../breaker.v1.ts";
import type { Enforcement } from "../enforcement.v1.ts";
import type { HostBlocksReply, HostBlocksRequest } from "../host-blocks.v1.ts";
import type { HostState } from "../host-state.v1.ts";
import type { Telemetry } from "../telemetry.v1.ts";
import type { BlockVerdict, UnblockVerdict } from "../verdict.v1.ts";

const block: BlockVerdict = {
  version: 1,
  id: "vertical-3f2a9c",
  source: "203.0.113.9",
  decidedBy: "detector/web-1-77-0c9f2e6b1a3d",
  issuedUs: 1_619_623_685_000_250,
  kind: "block",
  rule: "vertical",
  expiresUs: null,
  evidence: {
    count: 3,
    windowSeconds: 60,
    destinations: ["10.0.0.5"],
    ports: [80, 81, 82],
    hosts: ["web-1"],
    firstSeenUs: 1_619_623_684_000_000,
    lastSeenUs: 1_619_623_685_000_000,
  },
};

const operatorBlock: BlockVerdict = {
  version: 1,
  id: "operator-17",
  source: "2001:db8:0:1::/64",
  decidedBy: "operator/ada",
  issuedUs: 1_619_623_685_000_250,
  kind: "block",
  rule: "operator",
  expiresUs: 1_619_627_285_000_000,
  evidence: null,
  reason: "abuse report 17",
};

const unblock: UnblockVerdict = {
  version: 1,
  id: "unblock-1",
  source: "203.0.113.9",
  decidedBy: "operator/ada",
  issuedUs: 1_619_623_690_000_000,
  kind: "unblock",
};

const alert: Alert = {
  version: 1,
  id: "horizontal-9c3f2a",
  source: "203.0.113.9",
  rule: "horizontal",
  decidedBy: "detector/web-1-77-0c9f2e6b1a3d",
  issuedUs: 1_619_623_685_000_250,
  evidence: {
    count: 25,
    windowSeconds: 300,
    destinations: ["10.0.0.5", "10.0.0.6"],
    ports: [22],
    hosts: ["web-1", "web-2"],
    firstSeenUs: 1_619_623_684_000_000,
    lastSeenUs: 1_619_623_685_000_000,
  },
};

const applied: Applied = {
  version: 1,
  host: "web-1",
  interfaces: ["eth0"],
  verdictId: "vertical-3f2a9c",
  source: "203.0.113.9",
  action: "blocked",
  streamSequence: 42,
  appliedUs: 1_619_623_685_002_100,
  reactionUs: 2100,
};

const telemetry: Telemetry = {
  version: 1,
  service: "detector",
  instance: "web-1-77-0c9f2e6b1a3d",
  host: "web-1",
  sentUs: 1_619_623_685_000_250,
  metrics: [
    {
      name: "packetwatch_nats_reconnects_total",
      help: "Reconnects to NATS",
      type: "counter",
      aggregator: "sum",
      values: [{ value: 0, labels: { service: "detector" } }],
    },
  ],
};

const hostBlocksRequest: HostBlocksRequest = { version: 1, sources: ["203.0.113.9"] };

const hostBlocksReply: HostBlocksReply = {
  version: 1,
  host: "web-1",
  interfaces: ["eth0"],
  blocks: [
    {
      source: "203.0.113.9",
      interfaces: 1,
      dropped: 12,
      firstDropUs: 1_619_623_685_004_000,
      allowed: false,
    },
  ],
};

const allowEntry: AllowEntry = {
  version: 1,
  prefix: "192.0.2.0/24",
  comment: "the monitoring",
  addedBy: "operator/ada@desk",
  addedUs: 1_619_623_685_000_250,
  expiresUs: null,
};

const enforcement: Enforcement = {
  version: 1,
  host: null,
  enforce: "on",
  setBy: "operator/ada@desk",
  setUs: 1_619_623_685_000_250,
  untilUs: 1_619_623_745_000_250,
};

const hostState: HostState = {
  version: 1,
  host: "web-1",
  sentUs: 1_619_623_685_000_250,
  interfaces: ["eth0"],
  enforcing: "on",
  enforcedBy: "fleet",
  trialUntilUs: 1_619_623_745_000_250,
  allowlistSequence: 7,
  enforcementSequence: 3,
  allowed: [{ prefix: "192.0.2.1", reasons: ["gateway", "resolver"] }],
  omitted: 0,
  refused: 0,
};

const breaker: BreakerMessage = {
  version: 1,
  state: "open",
  reason: "rate",
  changedBy: "detector/web-1-77-0c9f2e6b1a3d",
  changedUs: 1_619_623_685_000_250,
  fromSequence: 1042,
  lastHeldUs: 1_619_623_685_000_250,
  periods: [{ fromUs: 1_619_623_675_000_250, untilUs: null }],
};

export const exampleMessages = {
  block,
  operatorBlock,
  unblock,
  alert,
  applied,
  telemetry,
  hostBlocksRequest,
  hostBlocksReply,
  allowEntry,
  enforcement,
  hostState,
  breaker,
};
