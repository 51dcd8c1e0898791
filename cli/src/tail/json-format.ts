import {
  type Alert,
  type BlockVerdict,
  type Evidence,
  type SynBatchHeader,
  type SynEvent,
  synFlags,
} from "@packetwatch/contracts";
import { jsonText } from "../printable.ts";
import { AddressText } from "./address-text.ts";
import type { RowFormat, SkippedRows, UnblockRow, WhitelistRow } from "./row-format.ts";
import { IsoTime } from "./time-text.ts";

/** One object a line. Members may be added; those that are here keep their names and meaning. */
export class JsonFormat implements RowFormat {
  readonly #time = new IsoTime();
  readonly #addresses = new AddressText();

  opening(): string {
    return "";
  }

  /** Written by hand: what JSON.stringify would escape is in the batch's header, and escaped once. */
  connections({ host, interfaceName }: SynBatchHeader): (event: SynEvent) => string {
    const place = `"host":${jsonText(host)},"interface":${jsonText(interfaceName)}`;
    return (event) => {
      const source = `"source":"${this.#addresses.source(event)}","sourcePort":${event.sourcePort}`;
      const destination = `"destination":"${this.#addresses.destination(event)}","destinationPort":${event.destinationPort}`;
      const flags = `"allowed":${has(event, synFlags.allowed)},"wouldDrop":${has(event, synFlags.wouldDrop)}`;
      return `{"kind":"connection","time":"${this.#time.format(event.timeUs)}",${place},${source},${destination},${flags}}\n`;
    };
  }

  block(verdict: BlockVerdict): string {
    const { issuedUs, id, source, rule, decidedBy, expiresUs, evidence, offence, reason } = verdict;
    return line({
      kind: "block",
      time: this.#time.format(issuedUs),
      id,
      source,
      rule,
      decidedBy,
      expires: expiresUs === null ? null : this.#time.format(expiresUs),
      evidence: evidence === null ? null : this.#evidence(evidence),
      ...(offence === undefined ? {} : { offence }),
      reason: reason ?? null,
    });
  }

  unblock({ timeUs, verdictId, source, decidedBy, reason }: UnblockRow): string {
    const time = this.#time.format(timeUs);
    return line({ kind: "unblock", time, id: verdictId, source, decidedBy, reason });
  }

  alert({ issuedUs, id, source, rule, decidedBy, evidence }: Alert): string {
    return line({
      kind: "alert",
      time: this.#time.format(issuedUs),
      id,
      source,
      rule,
      decidedBy,
      evidence: this.#evidence(evidence),
    });
  }

  whitelist({ timeUs, action, host, address }: WhitelistRow): string {
    const time = this.#time.format(timeUs);
    return line({ kind: "whitelist", time, action, host, address });
  }

  skipped({ timeUs, attempts, verdicts }: SkippedRows): string {
    return line({ kind: "skipped", time: this.#time.format(timeUs), attempts, verdicts });
  }

  #evidence({ firstSeenUs, lastSeenUs, ...rest }: Evidence): object {
    return {
      ...rest,
      firstSeen: this.#time.format(firstSeenUs),
      lastSeen: this.#time.format(lastSeenUs),
    };
  }
}

function line(row: object): string {
  return `${jsonText(row)}\n`;
}

function has({ flags }: SynEvent, flag: number): boolean {
  return (flags & flag) !== 0;
}
