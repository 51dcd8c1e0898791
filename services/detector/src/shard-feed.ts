import {
  ContractError,
  type ContractErrorCode,
  createSynEvent,
  SynBatch,
  type SynEvent,
} from "@packetwatch/contracts";
import { cutToSourceKey, type Detection, type Detector } from "@packetwatch/detection";
import { sourceMaskWords } from "@packetwatch/net";

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

/** Shows every record of a batch to the detector. Without allocation, but for what is detected. */
export class ShardFeed {
  readonly #options: ShardFeedOptions;
  readonly #event: SynEvent = createSynEvent();

  constructor(options: ShardFeedOptions) {
    this.#options = options;
  }

  /** Takes a batch; one that doesn't follow the contract is rejected whole. */
  take(payload: Uint8Array): void {
    const batch = this.#open(payload);
    if (!batch) return;
    const { detector, onDetections } = this.#options;
    const event = this.#event;
    const mask = sourceMaskWords(batch.header.ipv6SourceBits);
    for (let index = 0; index < batch.count; index++) {
      batch.read(index, event);
      cutToSourceKey(event, mask);
      const detections = detector.observe(event);
      if (detections) onDetections(detections, batch.header);
    }
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
