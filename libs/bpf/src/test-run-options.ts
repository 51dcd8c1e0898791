import koffi, { type TypeObject } from "koffi";

/** struct bpf_test_run_opts of <bpf/bpf.h>. */
export interface TestRunOptions {
  readonly sz: number;
  readonly data_in: Uint8Array;
  readonly data_out: Uint8Array;
  readonly data_size_in: number;
  readonly data_size_out: number;
  readonly ctx_in: Uint8Array | null;
  readonly ctx_out: Uint8Array | null;
  readonly ctx_size_in: number;
  readonly ctx_size_out: number;
  readonly retval: number;
  readonly repeat: number;
  readonly duration: number;
  readonly flags: number;
  readonly cpu: number;
  readonly batch_size: number;
}

// Without a name: koffi keeps one table of named types for all realms of a process, and refuses a name twice.
export const testRunOptions: TypeObject = koffi.struct({
  sz: "size_t",
  data_in: "void *",
  data_out: "void *",
  data_size_in: "uint32_t",
  data_size_out: "uint32_t",
  ctx_in: "void *",
  ctx_out: "void *",
  ctx_size_in: "uint32_t",
  ctx_size_out: "uint32_t",
  retval: "uint32_t",
  repeat: "int",
  duration: "uint32_t",
  flags: "uint32_t",
  cpu: "uint32_t",
  batch_size: "uint32_t",
});
