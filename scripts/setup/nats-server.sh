#!/usr/bin/env bash
# Leaves .tools/bin/nats-server pointing at a nats-server that is new enough:
# the one on PATH, or else Debian's package of a newer suite, unpacked into
# .tools with an apt state of its own, so that the system stays as it is.
set -euo pipefail
. "$(dirname "$0")/say.sh"

# Per-message TTL came with 2.11.
oldest_major=2 oldest_minor=11
suite=forky
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

# The stanza or line with which this machine reads its own release, pointed at the newer suite.
# The release's security and update archives have other suites, and are left out.
newer_source() {
  local codename file
  codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-stable}")
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -e "$file" ] && deb822_source "$file" "$codename" >"$home/sources/newer.sources"
    [ -s "$home/sources/newer.sources" ] && return 0
  done
  rm -f "$home/sources/newer.sources"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -e "$file" ] && one_line_source "$file" "$codename" >"$home/sources/newer.list"
    [ -s "$home/sources/newer.list" ] && return 0
  done
  return 1
}

deb822_source() {
  awk -v codename="$2" -v suite="$suite" '
    function stanza_is_wanted() { return types ~ / deb / && suites ~ " (" codename "|stable|oldstable) " && !disabled }
    function end_stanza() {
      if (!found && stanza_is_wanted()) { printf "%s", stanza; found = 1 }
      stanza = types = suites = ""; disabled = 0
    }
    /^[[:space:]]*$/ { end_stanza(); next }
    /^#/ { next }
    /^Types:/ { types = " " substr($0, 7) " "; $0 = "Types: deb" }
    /^Suites:/ { suites = " " substr($0, 8) " "; $0 = "Suites: " suite }
    /^Components:/ { $0 = "Components: main" }
    /^Enabled:[[:space:]]*no/ { disabled = 1 }
    { stanza = stanza $0 "\n" }
    END { end_stanza() }
  ' "$1"
}

one_line_source() {
  sed -nE "s/^(deb[[:space:]]+(\[[^]]*\][[:space:]]+)?[^[:space:]]+)[[:space:]]+($2|stable|oldstable)[[:space:]].*/\1 $suite main/p" "$1" |
    head -n 1
}

private_apt() {
  (cd "$home" && apt-get -q \
    -o Dir::State="$home/state" \
    -o Dir::State::Lists="$home/lists" \
    -o Dir::State::status=/dev/null \
    -o Dir::Cache="$home/cache" \
    -o Dir::Etc::SourceList=/dev/null \
    -o Dir::Etc::SourceParts="$home/sources" \
    -o APT::Sandbox::User=root \
    -o Acquire::Languages=none \
    -o Acquire::Retries=3 \
    "$@")
}

unpack_debian_package() {
  quietly nats-server-update private_apt update || return 1
  quietly nats-server-download private_apt download nats-server || return 1
  dpkg -x "$home"/nats-server_*.deb "$home/unpacked"
}

fetch() {
  if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
    give_up "nats-server is missing or older than $oldest_major.$oldest_minor, and this system has no apt-get to fetch it with"
  fi
  say "fetching nats-server (Debian $suite) into .tools"
  rm -rf "$home"
  mkdir -p "$home"/{sources,state,lists/partial,cache/archives/partial,unpacked}
  newer_source || give_up "no Debian source for this machine's own release was found under /etc/apt"
  unpack_debian_package || give_up "nats-server could not be fetched from Debian $suite"
  rm -rf "$home"/{state,lists,cache} "$home"/*.deb
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
