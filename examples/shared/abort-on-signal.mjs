/** Aborts on Ctrl-C and SIGTERM. A second one ends the program as usual. */
export function abortOnSignal() {
  const stopping = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stopping.abort());
  return stopping.signal;
}
