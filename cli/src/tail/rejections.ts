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
      this.#counts.set(error.code, (this.#counts.get(error.code) ?? 0) + 1);
      return undefined;
    }
  }

  /** `3 payloads rejected: bad_version`; undefined when none was. */
  describe(): string | undefined {
    const counts = [...this.#counts];
    if (counts.length === 0) return undefined;
    const total = counts.reduce((sum, [, count]) => sum + count, 0);
    const reasons = counts.map(([code, count]) =>
      counts.length === 1 ? code : `${count} ${code}`,
    );
    return `${counted(total, "payload")} rejected: ${reasons.join(", ")}`;
  }
}
