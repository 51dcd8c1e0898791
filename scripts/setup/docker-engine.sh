#!/usr/bin/env bash
# Leaves in .tools/docker-engine a Docker Engine with its client, compose and buildx: Debian's packages of
# a newer suite, unpacked and not installed. scripts/with-engine.sh starts it where no engine runs.
set -euo pipefail
. "$(dirname "$0")/say.sh"
. "$(dirname "$0")/newer-debian.sh"

home="$tools/docker-engine"
packages=(docker.io docker-cli containerd docker-compose docker-buildx)

is_complete() { [ -e "$home/complete" ] && "$home/unpacked/usr/sbin/dockerd" --version >/dev/null 2>&1; }

fetch() {
  can_fetch_newer || fail "an engine of our own is made of Debian packages, and this system has no apt-get" \
    "install a Docker Engine with compose, start it, and run make again"
  say "fetching a Docker Engine (Debian $newer_suite) into .tools"
  unpack_newer "$home" "${packages[@]}" || fail "the Docker Engine could not be fetched from Debian $newer_suite"
  touch "$home/complete"
}

lock docker-engine
"$(dirname "$0")/system-packages.sh" engine
is_complete || fetch
is_complete || fail "the fetched Docker Engine does not run here: $("$home/unpacked/usr/sbin/dockerd" --version 2>&1 | head -n 1)"
