import { hostname } from "node:os";
import { ConfigError, type ConfigProblem } from "./config-error.ts";
import type { Field } from "./fields.ts";
import { type ServiceName, type Variable, variables } from "./variables.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

type Variables = typeof variables;
type ValueOf<V> = V extends { field: Field<infer T>; fallback: infer F }
  ? F extends string
    ? T
    : T | undefined
  : never;
type KeysReadBy<S extends ServiceName> = {
  [K in keyof Variables]: S extends Variables[K]["readBy"][number] ? K : never;
}[keyof Variables];

type KeysReadByAll = {
  [K in keyof Variables]: [ServiceName] extends [Variables[K]["readBy"][number]] ? K : never;
}[keyof Variables];
type Values<K extends keyof Variables> = {
  readonly [P in K]: P extends "host" ? string : ValueOf<Variables[P]>;
};

/** What every service and the command read. */
export type CommonConfig = Values<KeysReadByAll>;

/** What a service reads, typed, each under the name it has in `variables`. */
export type Config<S extends ServiceName> = CommonConfig & Values<KeysReadBy<S>>;

/** The process's environment: this room is its only reader. */
export const environment: Environment = process.env;

/**
 * The variables that `service` reads. A missing or empty one takes its
 * default. Throws one ConfigError that names every bad one.
 */
export function loadConfig<S extends ServiceName>(
  service: S,
  from: Environment = environment,
): Config<S> {
  const problems: ConfigProblem[] = [];
  const values = Object.entries<Variable>(variables)
    .filter(([, { readBy }]) => readBy.includes(service))
    .map(([key, variable]) => [key, readVariable(variable, from, problems)]);
  problems.push(...combinationProblems(from));
  if (problems.length > 0) throw new ConfigError(problems);
  const config = Object.fromEntries(values) as Record<string, unknown>;
  config["host"] ??= hostname();
  return config as Config<S>;
}

/** What is wrong with variables that are right each by itself. */
function combinationProblems(from: Environment): readonly ConfigProblem[] {
  const { natsNkeyFile, natsCredsFile, natsTlsCert, natsTlsKey } = variables;
  const [nkey, creds, cert, key] = [natsNkeyFile, natsCredsFile, natsTlsCert, natsTlsKey].map(
    ({ name }) => from[name]?.trim() ?? "",
  );
  const problems: ConfigProblem[] = [];
  if (nkey && creds) {
    const expected = `nothing beside ${natsNkeyFile.name}`;
    problems.push({ variable: natsCredsFile.name, value: creds, expected });
  }
  if (cert && !key) {
    const expected = `something only together with ${natsTlsKey.name}`;
    problems.push({ variable: natsTlsCert.name, value: cert, expected });
  }
  if (key && !cert) {
    const expected = `something only together with ${natsTlsCert.name}`;
    problems.push({ variable: natsTlsKey.name, value: key, expected });
  }
  return problems;
}

function readVariable(variable: Variable, from: Environment, problems: ConfigProblem[]): unknown {
  const { name, field, fallback } = variable;
  const given = from[name]?.trim() || undefined;
  const text = given ?? fallback;
  if (text === undefined) return undefined;
  const value = field.parse(text);
  if (value === undefined) problems.push({ variable: name, value: text, expected: field.expected });
  return value;
}
