import { streamSpecs, type StreamSizes, type StreamSpec } from "@packetwatch/contracts";

const SMALL: StreamSizes = {
  longestWindowSeconds: 60,
  synStorage: "memory",
  synBytes: 16 * 1024 ** 2,
  verdictMessages: 1000,
  historySeconds: 3600,
  historyBytes: 16 * 1024 ** 2,
  replicas: 1,
};

/** The product's streams, small. */
export function testStreams(sizes: Partial<StreamSizes> = {}): readonly StreamSpec[] {
  return streamSpecs({ ...SMALL, ...sizes });
}

/** A stream of this name with subjects `<name>.>`, where the product's own would be in the way. */
export function plainStream(name: string, changes: Partial<StreamSpec> = {}): StreamSpec {
  return {
    name,
    description: "A test's stream",
    subjects: [`${name}.>`],
    storage: "memory",
    replicas: 1,
    maxBytes: 64 * 1024 ** 2,
    maxMessages: -1,
    maxMessagesPerSubject: -1,
    maxAgeSeconds: 0,
    duplicateWindowSeconds: 10,
    discard: "old",
    ...changes,
  };
}
