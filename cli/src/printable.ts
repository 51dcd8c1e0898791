/**
 * Text that others wrote, safe for a terminal: control characters, which could
 * move the cursor or hide rows, become `?`.
 */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, "?");
}

/** JSON on one line; also the control characters that JSON leaves alone are escaped. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /[\u007f-\u009f]/g,
    (control) => `\\u00${control.charCodeAt(0).toString(16)}`,
  );
}

/** What Node says of a system call that failed, less the call and the file: whoever tells it has named them. */
export function causeText({ message }: Error): string {
  return message.replace(/, [a-z]+( '.*')?$/s, "");
}

/** `1 port`, `3 ports`, `2 batches`, `4 entries`, `8 keys`. */
export function counted(count: number, noun: string): string {
  const plural = pluralOf(noun);
  return `${count} ${count === 1 ? noun : plural}`;
}

function pluralOf(noun: string): string {
  if (/[^aeiou]y$/.test(noun)) return `${noun.slice(0, -1)}ies`;
  return /(s|ch)$/.test(noun) ? `${noun}es` : `${noun}s`;
}
