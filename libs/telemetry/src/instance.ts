import { randomBytes } from "node:crypto";
import { subjectToken } from "@packetwatch/contracts";

const NONCE_BYTES = 6;

/** An instance id for this process: new at each start, because its counters start anew. */
export function processInstance(host: string): string {
  const nonce = randomBytes(NONCE_BYTES).toString("hex");
  return `${subjectToken(host)}-${process.pid}-${nonce}`;
}

export type KernelInstanceOptions = {
  readonly host: string;
  readonly interfaceName: string;
  readonly countersMapId: number;
  /** /proc/sys/kernel/random/boot_id. */
  readonly bootId: string;
};

/**
 * The instance id of one kernel program's counters: the same for as long as
 * the counters map lives. The kernel numbers its maps anew at each boot, so a
 * rebooted host would meet its own old number with smaller counts.
 */
export function kernelInstance(options: KernelInstanceOptions): string {
  const { host, interfaceName, countersMapId, bootId } = options;
  const boot = bootId.trim().slice(0, 8);
  return [host, interfaceName, boot, String(countersMapId)].map(subjectToken).join("-");
}
