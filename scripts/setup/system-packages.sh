#!/usr/bin/env bash
# system-packages.sh build|test|engine: installs what is missing, and only that.
set -euo pipefail
. "$(dirname "$0")/say.sh"

# Each row: how to see that it is there, the Debian package, what other systems call it.
build_needs=(
  "command clang|clang|clang"
  "header bpf/bpf_helpers.h|libbpf-dev|libbpf headers (libbpf-devel, libbpf-dev or libbpf)"
  "header linux/bpf.h|linux-libc-dev|Linux user-space headers (kernel-headers, linux-headers or linux-api-headers)"
  "library libbpf.so.1|libbpf1|libbpf 1.x (libbpf)"
)
test_needs=(
  "command bpftool|bpftool|bpftool"
  "command clang-format|clang-format|clang-format (clang-tools-extra or clang)"
  "command curl|curl|curl"
  "command hping3|hping3|hping3 (hping)"
  "command ip|iproute2|iproute2 (iproute)"
  "command masscan|masscan|masscan"
  "command nginx|nginx-light|nginx"
  "command nmap|nmap|nmap"
  "command openssl|openssl|openssl"
  "command promtool|prometheus|prometheus, with promtool"
  "command systemd-analyze|systemd|systemd, for systemd-analyze"
  "command tcpdump|tcpdump|tcpdump"
  "command xdp-filter|xdp-tools|xdp-tools"
)

# What a Docker Engine of our own needs besides itself, and what makes base images without a registry.
engine_needs=(
  "command iptables|iptables|iptables"
  "command mmdebstrap|mmdebstrap|mmdebstrap"
  "command runc|runc|runc"
  "command slirp4netns|slirp4netns|slirp4netns"
  "library libsystemd.so.0|libsystemd0|libsystemd"
)

# Debian keeps some of these commands in folders that are not on everybody's PATH.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

is_there() {
  local kind=$1 name=$2
  case $kind in
    command) command -v "$name" >/dev/null ;;
    header) [ -e "/usr/include/$name" ] || [ -e "/usr/local/include/$name" ] ;;
    library) ldconfig -p | grep -F "$name " >/dev/null ;;
  esac
}

# Prints the rows whose need is not met.
missing_of() {
  local row kind name
  for row in "$@"; do
    read -r kind name <<<"${row%%|*}"
    is_there "$kind" "$name" || printf '%s\n' "$row"
  done
}

column() { printf '%s\n' "$2" | cut -d'|' -f"$1"; }

# A package that brings a service must not leave it running: the tests start servers of their own.
forbid_service_starts() {
  [ -e /usr/sbin/policy-rc.d ] && return
  trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
  printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
  as_root chmod 755 /usr/sbin/policy-rc.d
}

# Nor may it run after the next boot. Only what was installed just now is disabled: a service that
# was here before is somebody's.
disable_services_of() {
  local package
  for package in "$@"; do
    case $package in
      nginx-light) disable_service nginx ;;
      prometheus) disable_service prometheus ;;
    esac
  done
}

disable_service() {
  [ -d /run/systemd/system ] || return 0
  as_root systemctl disable --quiet "$1"
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

install_with_apt() {
  local packages=("$@")
  say "installing ${packages[*]}"
  forbid_service_starts
  # Stale lists are no reason to stop: what they still offer may be all that is needed.
  quietly apt-update apt update || say "apt-get update failed; trying with the package lists that are there"
  quietly apt-install apt install --no-install-recommends "${packages[@]}" ||
    fail "apt-get could not install: ${packages[*]}" \
      "install them by hand (apt-get install ${packages[*]}) and run make again"
  disable_services_of "${packages[@]}"
}

name_what_is_missing() {
  say "this system has no apt-get, so these are yours to install, with its package manager:"
  column 3 "$1" | sed 's/^/  - /' >&2
  fail "run make again when they are there"
}

main() {
  local needs=("${build_needs[@]}") missing packages
  case $1 in
    test) needs+=("${test_needs[@]}") ;;
    engine) needs=("${engine_needs[@]}") ;;
  esac
  missing=$(missing_of "${needs[@]}")
  [ -n "$missing" ] || return 0
  command -v apt-get >/dev/null || name_what_is_missing "$missing"

  mapfile -t packages < <(column 2 "$missing")
  install_with_apt "${packages[@]}"
  missing=$(missing_of "${needs[@]}")
  [ -z "$missing" ] || fail "apt-get installed its packages, and still missing are: $(column 1 "$missing" | paste -sd,)"
}

lock system-packages
main "$1"
