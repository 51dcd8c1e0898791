#!/usr/bin/env bash
# Leaves .tools/bin/nats-server pointing at a nats-server that is new enough:
# the one on PATH, or else Debian's package of a newer suite, unpacked into
# .tools with an apt state of its own, so that the system stays as it is.
set -euo pipefail
. "$(dirname "$0")/say.sh"
. "$(dirname "$0")/newer-debian.sh"

# Per-message TTL came with 2.11.
oldest_major=2 oldest_minor=11
link="$tools/bin/nats-server"
home="$tools/nats-server"

is_new_enough() {
  local version major minor
  version=$("$1" --version 2>/dev/null) || return 1
  [[ $version =~ v([0-9]+)\.([0-9]+) ]] || return 1
  major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]}
  ((major > oldest_major || (major == oldest_major && minor >= oldest_minor)))
}

point_link_at() {
  mkdir -p "$tools/bin"
  ln -sfn "$1" "$link"
}

give_up() {
  fail "$1" \
    "needed is nats-server $oldest_major.$oldest_minor or newer: install it from your system's packages or from the" \
    "NATS project's releases, put it on PATH, and run make again"
}

fetch() {
  can_fetch_newer ||
    give_up "nats-server is missing or older than $oldest_major.$oldest_minor, and this system has no apt-get to fetch it with"
  say "fetching nats-server (Debian $newer_suite) into .tools"
  unpack_newer "$home" nats-server || give_up "nats-server could not be fetched from Debian $newer_suite"
}

main() {
  local on_path
  on_path=$(command -v nats-server || true)
  if [ -n "$on_path" ] && is_new_enough "$on_path"; then
    point_link_at "$on_path"
    return
  fi
  is_new_enough "$link" && return
  fetch
  point_link_at ../nats-server/unpacked/usr/sbin/nats-server
  is_new_enough "$link" || give_up "the fetched nats-server does not run here"
}

lock nats-server
main
