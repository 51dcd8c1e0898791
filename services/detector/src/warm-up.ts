import {
  decodeVerdict,
  encodeVerdict,
  SYN_RECORD_BYTES,
  SYN_RECORD_VERSION,
  SynBatchWriter,
  synRecordLayout as layout,
} from "@packetwatch/contracts";
import {
  createDetector,
  createVerdict,
  type Detection,
  type RulesConfig,
} from "@packetwatch/detection";
import { type BatchOrigin, ShardFeed } from "./shard-feed.ts";

/** As many as V8 takes to compile what they go through. */
const SCANS = 50;
const PORTS_PER_SCAN = 8;
const TABLE_ENTRIES = 1024;
/** IPv4-mapped 192.0.2.0, of the documentation: nothing of this leaves the process. */
const FIRST_SOURCE = [0, 0, 0xffff, 0xc0000200] as const;

/**
 * Judges scans that never were, on tables of its own, so that the first real
 * one finds code that is compiled: without it that took four times as long as
 * those that followed. Returns how many verdicts came of it.
 */
export function warmUp(rules: RulesConfig): number {
  let verdicts = 0;
  const feed = createFeed(rules, (detection, origin) => {
    const context = { ...origin, decidedBy: "detector/warm-up", windowSeconds: 1 };
    decodeVerdict(encodeVerdict(createVerdict(detection, context)));
    verdicts++;
  });
  for (let scan = 0; scan < SCANS; scan++) feed.take(batchOf(scan));
  return verdicts;
}

function createFeed(
  rules: RulesConfig,
  onDetection: (detection: Detection, origin: BatchOrigin) => void,
): ShardFeed {
  const detector = createDetector({
    rules,
    capacity: TABLE_ENTRIES,
    maxQuietSources: TABLE_ENTRIES,
    blockTtlUs: 0,
    seed: 1,
  });
  return new ShardFeed({
    detector,
    onDetections: (detections, origin) => {
      for (const detection of detections) onDetection(detection, origin);
    },
    onRejected: (_, error) => {
      throw error;
    },
  });
}

/** A source's attempts on one port after the other, as capture would publish them. */
function batchOf(scan: number): Uint8Array {
  const names = { host: "warm-up", interfaceName: "warm-up" };
  const writer = new SynBatchWriter({ family: 4, ipv6SourceBits: 64, ...names });
  const record = new DataView(new ArrayBuffer(SYN_RECORD_BYTES));
  record.setUint8(layout.version, SYN_RECORD_VERSION);
  for (const [word, value] of FIRST_SOURCE.entries()) {
    record.setUint32(layout.source + word * 4, word === 3 ? value + scan : value);
  }
  for (let port = 1; port <= PORTS_PER_SCAN; port++) {
    record.setUint16(layout.destination_port, port);
    writer.append(scan * PORTS_PER_SCAN + port, record, 0);
  }
  return writer.take();
}
