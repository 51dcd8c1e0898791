import { type Bus, StreamReader } from "@packetwatch/bus";
import { type Bucket, bucketStream, buckets, everyKey } from "@packetwatch/contracts";
import type { Logger, Scope } from "@packetwatch/runtime";
import type { Enforcer } from "./enforcer.ts";
import type { BucketValues, OperatorSettings } from "./operator-settings.ts";

const PREFETCH = 1000;

export type SettingsReadersOptions = {
  readonly bus: Bus;
  readonly settings: OperatorSettings;
  readonly enforcer: Enforcer;
  /** Before the marks of what has left a bucket are gone themselves. */
  readonly rereadAfterMs: number;
  /** Called when a change has reached the kernel. */
  readonly onFollowed: () => void;
  readonly logger: Logger;
};

/** Follows what operators have set, and brings each change into the kernel at once. */
export function readSettings(scope: Scope, options: SettingsReadersOptions): void {
  for (const list of ["allowlist", "enforcement"] as const) {
    scope.own(readBucket(options, { list, bucket: buckets[list], values: options.settings[list] }));
  }
}

type Followed = {
  readonly list: "allowlist" | "enforcement";
  readonly bucket: Bucket;
  readonly values: BucketValues<unknown>;
};

function readBucket(
  { bus, enforcer, rereadAfterMs, onFollowed, logger }: SettingsReadersOptions,
  { list, bucket, values }: Followed,
): StreamReader {
  return new StreamReader({
    bus,
    stream: bucketStream(bucket),
    filter: everyKey(bucket),
    start: { kind: "last_per_subject" },
    prefetch: PREFETCH,
    onMessage: (message) => {
      values.take(message);
      // Of many that come at once, with the last.
      if (message.pending > 0) return;
      values.finish();
      enforcer.followSettings();
      onFollowed();
    },
    onCaughtUp: (streamSequence) => {
      // A bucket that never held anything says nothing: NATS has lost its disk.
      if (streamSequence > 0) values.finish();
      enforcer.completeList(list);
    },
    onStreamLost: () => values.restart(),
    rereadAfterMs,
    onReread: () => values.restart(),
    logger,
  });
}
