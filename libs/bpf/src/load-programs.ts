import koffi from "koffi";
import type { BpfError } from "./bpf-error.ts";
import { kernelFeatures, kernelTooOld } from "./kernel-features.ts";
import { captureLibbpfLog } from "./libbpf-log.ts";
import { libbpf } from "./libbpf.ts";
import type { Pointer } from "./libc.ts";
import { readMapSpec } from "./map-spec.ts";
import { syscallFailure } from "./syscall-failure.ts";
import { verifierRefusal } from "./verifier-refusal.ts";

/** What libbpf itself uses at most; the kernel cuts a longer log at its beginning (since 6.4). */
const logBytes = 16 * 1024 * 1024 - 1;

interface ProgramLog {
  readonly programName: string;
  readonly buffer: Pointer;
}

export interface LoadTarget {
  readonly object: Pointer;
  readonly path: string;
  readonly programs: readonly Pointer[];
  readonly maps: readonly Pointer[];
}

/** bpf_object__load, with its failures explained: VERIFIER, NO_PERMISSION, KERNEL_TOO_OLD or OBJECT_LOAD. */
export function loadPrograms(target: LoadTarget): void {
  // The kernel fills a log only when it refuses, so memory is touched only then.
  const logs = target.programs.map(attachLog);
  try {
    const { result, log } = captureLibbpfLog(() => libbpf().bpf_object__load(target.object));
    if (result < 0)
      throw refusedProgram(logs, -result) ?? loadFailure({ ...target, errno: -result, log });
  } finally {
    for (const { buffer } of logs) koffi.free(buffer);
  }
}

function attachLog(program: Pointer): ProgramLog {
  const buffer = koffi.alloc("char", logBytes) as Pointer;
  libbpf().bpf_program__set_log_buf(program, buffer, logBytes);
  return { programName: libbpf().bpf_program__name(program), buffer };
}

function refusedProgram(logs: readonly ProgramLog[], errno: number): BpfError | undefined {
  for (const { programName, buffer } of logs) {
    const log = koffi.decode.string(buffer);
    if (log !== "") return verifierRefusal({ programName, errno, log });
  }
  return undefined;
}

interface LoadFailure extends LoadTarget {
  readonly errno: number;
  /** libbpf's warnings. */
  readonly log: readonly string[];
}

function loadFailure({ path, maps, errno, log }: LoadFailure): BpfError {
  const features = kernelFeatures();
  const wantsRing = maps.some((map) => readMapSpec(map).type === "ringbuf");
  if (wantsRing && !features.ringBuffer) return kernelTooOld("ringBuffer", features.release);
  const failure = { operation: "load", subject: path, errno };
  const plain = syscallFailure(failure);
  if (plain.code === "NO_PERMISSION") return plain;
  const reason = log.join(" | ") || "libbpf gave no reason";
  return syscallFailure({ ...failure, code: "OBJECT_LOAD", reason });
}
