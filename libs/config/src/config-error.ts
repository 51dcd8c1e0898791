const MAX_SHOWN_CHARACTERS = 80;

/** One variable that holds what it may not. */
export type ConfigProblem = {
  readonly variable: string;
  /** As it may be shown: cut when long, without passwords. */
  readonly value: string;
  readonly expected: string;
};

/** Variables that can't be used: all of them at once, so that one start finds every mistake. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly code = "CONFIG_INVALID";
  readonly retryable = false;
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    const shown = problems.map((problem) => ({ ...problem, value: showable(problem.value) }));
    const lines = shown.map(
      ({ variable, value, expected }) =>
        `  ${variable} is ${JSON.stringify(value)}; it may hold ${expected}`,
    );
    const count = shown.length === 1 ? "1 variable" : `${shown.length} variables`;
    super(`${count} can't be used:\n${lines.join("\n")}`);
    this.problems = shown;
  }
}

function showable(value: string): string {
  const text = value.replaceAll(/\/\/[^\s,]*@/g, "//***@");
  if (text.length <= MAX_SHOWN_CHARACTERS) return text;
  return `${text.slice(0, MAX_SHOWN_CHARACTERS)}... (${text.length} characters)`;
}
