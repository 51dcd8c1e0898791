import { realpathSync } from "node:fs";
import path from "node:path";

/** Where the command lies: it is bundled into the repository's build/. */
export function repositoryFolder(): string {
  return path.resolve(path.dirname(realpathSync(process.argv[1] ?? "")), "..");
}
