#!/usr/bin/env bash
# Refuses a Node that is older than package.json's "engines" says.
set -euo pipefail
. "$(dirname "$0")/say.sh"

command -v node >/dev/null || fail "node is missing; install Node 20.19 or newer"
command -v npm >/dev/null || fail "npm is missing; install it with Node 20.19 or newer"
IFS=. read -r major minor _ <<<"$(node --version | tr -d v)"
if ((major < 20 || (major == 20 && minor < 19))); then
  fail "node is $(node --version), needed is 20.19 or newer"
fi
