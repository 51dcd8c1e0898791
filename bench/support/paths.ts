import { fileURLToPath } from "node:url";

/** A file of the build folder; benches run from build/bench/. */
export function built(name: string): string {
  return fileURLToPath(new URL(`../${name}`, import.meta.url));
}
