import { ContractError, type ContractErrorCode } from "@packetwatch/contracts";
import { counted } from "../printable.ts";

/** Payloads that did not follow their contract, by reason. */
export class Rejections {
  readonly #counts = new Map<ContractErrorCode, number>();

  /** Runs `decode`; a ContractError is counted, and gives undefined. */
  orCount<T>(decode: () => T): T | undefined {
    try {
      return decode();
    } catch (error) {
      if (!(error instanceof ContractError)) throw error;
      this.count(error);
      return undefined;
    }
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  count({ code }: ContractError): void {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
  }

  /** `3 payloads rejected: bad_version`; undefined when none was. */
  describe(): string | undefined {
    const counts = [...this.#counts];
    if (counts.length === 0) return undefined;
    const reasons = counts.map(([code, count]) =>
      counts.length === 1 ? code : `${count} ${code}`,
    );
    return `${counted(this.total, "payload")} rejected: ${reasons.join(", ")}`;
  }
}
