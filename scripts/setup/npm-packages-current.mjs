// Exits 0 when node_modules holds what package-lock.json says, 1 when it has to be installed.
import { existsSync, readFileSync } from "node:fs";

// npm writes this file when an install has ended, and removes it when one begins.
const installedPath = "node_modules/.package-lock.json";

const packagesOf = (path) => JSON.parse(readFileSync(path, "utf8")).packages;

function isInstalled(wanted, found) {
  // npm leaves out optional packages that are made for other systems.
  if (found === undefined) return wanted.optional === true;
  return wanted.link === true
    ? found.link === true
    : wanted.version === found.version && wanted.integrity === found.integrity;
}

function isUpToDate() {
  if (!existsSync(installedPath)) return false;
  const installed = packagesOf(installedPath);
  return Object.entries(packagesOf("package-lock.json"))
    .filter(([path]) => path.startsWith("node_modules/"))
    .every(([path, wanted]) => isInstalled(wanted, installed[path]));
}

process.exitCode = isUpToDate() ? 0 : 1;
