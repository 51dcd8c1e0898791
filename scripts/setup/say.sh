# shellcheck shell=bash
# How the set-up scripts speak: progress on stderr, one message when they give up.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools="$repository/.tools"

say() { printf 'setup: %s\n' "$*" >&2; }

fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

# Runs a command quietly; its output is kept in .tools/log and shown only when it fails.
quietly() {
  local log="$tools/log/$1.log"
  shift
  mkdir -p "$tools/log"
  "$@" </dev/null >"$log" 2>&1 && return 0
  excerpt "$log" | sed 's/^/  | /' >&2
  printf 'setup: the whole output is in %s\n' "$log" >&2
  return 1
}

# Some tools say what is wrong first, others last.
excerpt() {
  if [ "$(wc -l <"$1")" -le 24 ]; then
    cat "$1"
  else
    head -n 12 "$1"
    echo ...
    tail -n 12 "$1"
  fi
}

# Two makes may set up at once; the second waits and then finds everything done.
# The descriptor is inherited by nothing that outlives this script.
lock() {
  mkdir -p "$tools"
  exec 9>"$tools/$1.lock"
  flock --nonblock 9 && return 0
  say "another set-up is running; waiting for it"
  flock --timeout 900 9 || fail "waited 15 minutes for another set-up; if none is running, remove $tools/$1.lock"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "this needs root and there is no sudo: $*" "run make as root"
  fi
}
