import type { Field } from "./fields.ts";

export type ServiceName = "capture" | "detector" | "enforcer" | "metrics" | "cli";

/** A variable: the one place that knows its name, meaning, default and readers. */
export type Variable<T = unknown> = {
  readonly name: string;
  readonly field: Field<T>;
  /** The default as one would write it; undefined: no default, the value may be missing. */
  readonly fallback: string | undefined;
  readonly description: string;
  readonly readBy: readonly ServiceName[];
};
