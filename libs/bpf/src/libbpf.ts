// oxlint-disable max-params -- the signatures are C's.
import koffi from "koffi";
import { BpfError } from "./bpf-error.ts";
import type { Pointer } from "./libc.ts";
import { once } from "./once.ts";
import { testRunOptions, type TestRunOptions } from "./test-run-options.ts";

type Bytes = ArrayBufferView;

/**
 * The functions of libbpf that are used here, by their C names. Functions that return an int return -errno
 * on failure (libbpf 1.0); those that return a pointer return null and leave errno.
 */
export interface Libbpf {
  readonly libbpf_set_print: (print: Pointer | null) => Pointer | null;
  readonly libbpf_num_possible_cpus: () => number;
  readonly libbpf_probe_bpf_map_type: (type: number, options: null) => number;
  readonly libbpf_bpf_map_type_str: (type: number) => string | null;
  readonly libbpf_version_string: () => string;

  readonly bpf_object__open_file: (path: string, options: null) => Pointer | null;
  readonly bpf_object__load: (object: Pointer) => number;
  readonly bpf_object__close: (object: Pointer) => void;
  readonly bpf_object__btf: (object: Pointer) => Pointer | null;
  readonly bpf_object__next_map: (object: Pointer, previous: Pointer | null) => Pointer | null;
  readonly bpf_object__next_program: (object: Pointer, previous: Pointer | null) => Pointer | null;
  readonly bpf_object__find_map_by_name: (object: Pointer, name: string) => Pointer | null;
  readonly bpf_object__find_program_by_name: (object: Pointer, name: string) => Pointer | null;
  readonly btf__raw_data: (btf: Pointer, size: Uint32Array) => Pointer | null;

  readonly bpf_map__name: (map: Pointer) => string;
  readonly bpf_map__type: (map: Pointer) => number;
  readonly bpf_map__key_size: (map: Pointer) => number;
  readonly bpf_map__value_size: (map: Pointer) => number;
  readonly bpf_map__max_entries: (map: Pointer) => number;
  readonly bpf_map__map_flags: (map: Pointer) => number;
  readonly bpf_map__fd: (map: Pointer) => number;
  readonly bpf_map__pin_path: (map: Pointer) => string | null;
  readonly bpf_map__set_pin_path: (map: Pointer, path: string) => number;
  readonly bpf_map__set_max_entries: (map: Pointer, maxEntries: number) => number;
  readonly bpf_map__initial_value: (map: Pointer, size: BigUint64Array) => Pointer | null;
  readonly bpf_map__set_initial_value: (map: Pointer, value: Bytes, size: number) => number;

  readonly bpf_program__name: (program: Pointer) => string;
  readonly bpf_program__section_name: (program: Pointer) => string;
  readonly bpf_program__fd: (program: Pointer) => number;
  readonly bpf_program__flags: (program: Pointer) => number;
  readonly bpf_program__set_flags: (program: Pointer, flags: number) => number;
  readonly bpf_program__set_log_buf: (program: Pointer, log: Pointer, size: number) => number;

  readonly bpf_prog_test_run_opts: (fd: number, options: TestRunOptions) => number;
  readonly bpf_obj_get_info_by_fd: (fd: number, info: Bytes, length: Uint32Array) => number;
  readonly bpf_obj_pin: (fd: number, path: string) => number;
  readonly bpf_obj_get: (path: string) => number;

  readonly bpf_link_create: (
    programFd: number,
    ifindex: number,
    attachType: number,
    options: Bytes,
  ) => number;
  readonly bpf_link_update: (linkFd: number, programFd: number, options: null) => number;
  readonly bpf_link_detach: (linkFd: number) => number;
  readonly bpf_xdp_query: (ifindex: number, flags: number, options: Bytes) => number;

  readonly bpf_map_lookup_elem: (fd: number, key: Bytes, value: Bytes) => number;
  readonly bpf_map_update_elem: (fd: number, key: Bytes, value: Bytes, flags: number) => number;
  readonly bpf_map_delete_elem: (fd: number, key: Bytes) => number;
  readonly bpf_map_get_next_key: (fd: number, key: Bytes | null, nextKey: Bytes) => number;
  readonly bpf_map_update_batch: (
    fd: number,
    keys: Bytes,
    values: Bytes,
    count: Uint32Array,
    options: null,
  ) => number;
  readonly bpf_map_delete_batch: (
    fd: number,
    keys: Bytes,
    count: Uint32Array,
    options: null,
  ) => number;
  readonly bpf_map_lookup_batch: (
    fd: number,
    inBatch: Bytes | null,
    outBatch: Bytes,
    keys: Bytes,
    values: Bytes,
    count: Uint32Array,
    options: null,
  ) => number;
}

type Parameter = string | ReturnType<typeof koffi.inout>;
type Signature = readonly [result: string, ...parameters: Parameter[]];

const pointer = "void *";

const signatures: Readonly<Record<keyof Libbpf, Signature>> = {
  libbpf_set_print: [pointer, pointer],
  libbpf_num_possible_cpus: ["int"],
  libbpf_probe_bpf_map_type: ["int", "int", pointer],
  libbpf_bpf_map_type_str: ["str", "int"],
  libbpf_version_string: ["str"],

  bpf_object__open_file: [pointer, "str", pointer],
  bpf_object__load: ["int", pointer],
  bpf_object__close: ["void", pointer],
  bpf_object__btf: [pointer, pointer],
  bpf_object__next_map: [pointer, pointer, pointer],
  bpf_object__next_program: [pointer, pointer, pointer],
  bpf_object__find_map_by_name: [pointer, pointer, "str"],
  bpf_object__find_program_by_name: [pointer, pointer, "str"],
  btf__raw_data: [pointer, pointer, pointer],

  bpf_map__name: ["str", pointer],
  bpf_map__type: ["int", pointer],
  bpf_map__key_size: ["uint32_t", pointer],
  bpf_map__value_size: ["uint32_t", pointer],
  bpf_map__max_entries: ["uint32_t", pointer],
  bpf_map__map_flags: ["uint32_t", pointer],
  bpf_map__fd: ["int", pointer],
  bpf_map__pin_path: ["str", pointer],
  bpf_map__set_pin_path: ["int", pointer, "str"],
  bpf_map__set_max_entries: ["int", pointer, "uint32_t"],
  bpf_map__initial_value: [pointer, pointer, pointer],
  bpf_map__set_initial_value: ["int", pointer, pointer, "size_t"],

  bpf_program__name: ["str", pointer],
  bpf_program__section_name: ["str", pointer],
  bpf_program__fd: ["int", pointer],
  bpf_program__flags: ["uint32_t", pointer],
  bpf_program__set_flags: ["int", pointer, "uint32_t"],
  bpf_program__set_log_buf: ["int", pointer, pointer, "size_t"],

  bpf_prog_test_run_opts: ["int", "int", koffi.inout(koffi.pointer(testRunOptions))],
  bpf_obj_get_info_by_fd: ["int", "int", pointer, pointer],
  bpf_obj_pin: ["int", "int", "str"],
  bpf_obj_get: ["int", "str"],

  bpf_link_create: ["int", "int", "int", "int", pointer],
  bpf_link_update: ["int", "int", "int", pointer],
  bpf_link_detach: ["int", "int"],
  bpf_xdp_query: ["int", "int", "int", pointer],

  bpf_map_lookup_elem: ["int", "int", pointer, pointer],
  bpf_map_update_elem: ["int", "int", pointer, pointer, "uint64_t"],
  bpf_map_delete_elem: ["int", "int", pointer],
  bpf_map_get_next_key: ["int", "int", pointer, pointer],
  bpf_map_update_batch: ["int", "int", pointer, pointer, pointer, pointer],
  bpf_map_delete_batch: ["int", "int", pointer, pointer, pointer],
  bpf_map_lookup_batch: ["int", "int", pointer, pointer, pointer, pointer, pointer, pointer],
};

/** Binds libbpf from a library's name or path; LIBBPF_MISSING if it isn't there or lacks a function. */
export function loadLibbpf(library: string): Libbpf {
  try {
    const handle = koffi.load(library);
    const bind = ([name, [result, ...parameters]]: [string, Signature]) => [
      name,
      handle.func(name, result, parameters),
    ];
    return Object.fromEntries(Object.entries(signatures).map(bind)) as Libbpf;
  } catch (cause) {
    throw libbpfMissing(library, cause);
  }
}

function libbpfMissing(library: string, cause: unknown): BpfError {
  return new BpfError({
    code: "LIBBPF_MISSING",
    operation: "load",
    subject: library,
    reason: cause instanceof Error ? cause.message : String(cause),
    hint: "install libbpf 1.x (Debian and Ubuntu: apt-get install libbpf1; Fedora: dnf install libbpf)",
    cause,
  });
}

/** libbpf, bound on first use and kept for the life of the process: a binding holds no kernel resource. */
export const libbpf: () => Libbpf = once(() => {
  const bpf = loadLibbpf("libbpf.so.1");
  // libbpf prints warnings to stderr unless told otherwise; captureLibbpfLog collects them where they explain.
  bpf.libbpf_set_print(null);
  return bpf;
});
