#!/usr/bin/env bash
# Installs the npm packages when node_modules is not what package-lock.json says.
set -euo pipefail
. "$(dirname "$0")/say.sh"
cd "$repository"

main() {
  node scripts/setup/npm-packages-current.mjs && return
  say "installing npm packages"
  quietly npm npm ci --no-audit --no-fund ||
    fail "npm ci failed; see above, and run make again"
}

lock npm-packages
main
