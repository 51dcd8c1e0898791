export { attachXdp, type AttachXdpOptions, type XdpMode } from "./attach-xdp.ts";
export {
  BpfError,
  bpfErrorCodes,
  type BpfErrorCode,
  type BpfFailure,
  type VerifierLog,
} from "./bpf-error.ts";
export { BpfLink, type LinkInfo, openPinnedLink } from "./bpf-link.ts";
export { BpfMap, type MapEntry, openPinnedMap, type UpdateMode } from "./bpf-map.ts";
export { BpfObject } from "./bpf-object.ts";
export {
  BpfProgram,
  type ProgramInfo,
  type TestRun,
  type TestRunResult,
  type XdpAction,
  xdpAction,
  xdpActions,
} from "./bpf-program.ts";
export { bpffsName, removePin, requireBpffs } from "./bpffs.ts";
export type { Btf, GlobalVariable, StructLayout, StructMember } from "./btf.ts";
export { bootTimeNs, type ClockOffset, realTimeNs, sampleClockOffset } from "./clock.ts";
export { findInterface, interfaceIndex, interfaceMtu } from "./interface.ts";
export {
  type KernelFeature,
  type KernelFeatures,
  kernelFeatures,
  kernelFeatureTable,
  requireKernel,
} from "./kernel-features.ts";
export type { MapChunk } from "./map-chunks.ts";
export type { MapExpectation, MapInfo, MapSpec } from "./map-spec.ts";
export { BPF_F_XDP_HAS_FRAGS, ObjectSpec, openObject, type ProgramSpec } from "./object-spec.ts";
export { type AttachedXdp, queryXdp } from "./query-xdp.ts";
export { openRingBuffer, RingBuffer, type RingViews } from "./ring-buffer.ts";
export type { RecordVisitor } from "./ring-cursor.ts";
