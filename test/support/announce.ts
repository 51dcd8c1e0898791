const announced = new Set<string>();

/** Says something once in a process, where whoever runs the tests reads it. */
export function announce(line: string): void {
  if (announced.has(line)) return;
  announced.add(line);
  process.stderr.write(`${line}\n`);
}
