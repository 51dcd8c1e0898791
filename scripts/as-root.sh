#!/usr/bin/env bash
# as-root.sh COMMAND...: runs it as root, with the caller's PW_ variables and those that say where Docker is.
set -euo pipefail
# shellcheck source=scripts/setup/say.sh
. "$(dirname "$0")/setup/say.sh"

if [ "$(id -u)" = 0 ]; then exec "$@"; fi
command -v sudo >/dev/null || fail "attaching XDP needs root, and there is no sudo here; run make as root"

# sudo clears the environment, and what it may keep is up to the machine's sudoers.
mapfile -t settings < <(compgen -e | grep -E '^(PW_.*|CI|DOCKER_.*)$' || true)
assignments=("PATH=$PATH")
for name in "${settings[@]}"; do assignments+=("$name=${!name}"); done
exec sudo env "${assignments[@]}" "$@"
