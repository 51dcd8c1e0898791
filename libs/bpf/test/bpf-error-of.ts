import { BpfError } from "../src/bpf-error.ts";

/** The BpfError that a function throws; it is a failure to throw none, or another error. */
export function bpfErrorOf(run: () => unknown): BpfError {
  try {
    run();
  } catch (error) {
    if (error instanceof BpfError) return error;
    throw error;
  }
  throw new Error("it threw nothing");
}
