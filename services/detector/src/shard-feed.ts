import {
  ContractError,
  type ContractErrorCode,
  SynBatch,
  type SynEvent,
} from "@packetwatch/contracts";
import {
  cutToSourceKey,
  type Detection,
  type Detector,
  type SynReader,
} from "@packetwatch/detection";
import { type AddressWords, sourceMaskWords } from "@packetwatch/net";

/** Where a detection comes from. */
export type BatchOrigin = {
  readonly host: string;
  readonly ipv6SourceBits: number;
};

export type ShardFeedOptions = {
  readonly detector: Detector;
  readonly onDetections: (detections: readonly Detection[], origin: BatchOrigin) => void;
  readonly onRejected: (reason: ContractErrorCode, error: ContractError) => void;
};

/** Shows every record of a batch to the detector. Without allocation for a record, but for what is detected. */
export class ShardFeed {
  readonly #options: ShardFeedOptions;

  constructor(options: ShardFeedOptions) {
    this.#options = options;
  }

  /** Takes a batch; one that doesn't follow the contract is rejected whole. */
  take(payload: Uint8Array): void {
    const batch = this.#open(payload);
    if (!batch) return;
    const { detector, onDetections } = this.#options;
    const { header } = batch;
    detector.observeBatch(new SourceKeyReader(batch), (found) => onDetections(found, header));
  }

  #open(payload: Uint8Array): SynBatch | undefined {
    try {
      return new SynBatch(payload);
    } catch (error) {
      if (!(error instanceof ContractError)) throw error;
      this.#options.onRejected(error.code, error);
      return undefined;
    }
  }
}

/** A batch with its sources cut to their keys. */
class SourceKeyReader implements SynReader {
  readonly #batch: SynBatch;
  readonly #mask: AddressWords;

  constructor(batch: SynBatch) {
    this.#batch = batch;
    this.#mask = sourceMaskWords(batch.header.ipv6SourceBits);
  }

  get count(): number {
    return this.#batch.count;
  }

  read(index: number, event: SynEvent): void {
    this.#batch.read(index, event);
    cutToSourceKey(event, this.#mask);
  }
}
