#!/usr/bin/env bash
# with-engine.sh COMMAND...: runs it with a Docker Engine within reach: the one that is there, or else one of
# our own. That one lives in network, process and mount namespaces of its own, and COMMAND runs in its network:
# localhost is the engine's, and the machine's own network and packet filter stay as they are.
set -euo pipefail
. "$(dirname "$0")/setup/say.sh"
. "$(dirname "$0")/docker/client.sh"

export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

START_TIMEOUT_SECONDS=60
STOP_TIMEOUT_SECONDS=40

name="pw-engine-$$"
data="$engine_home/data"
engine_pid='' uplink_pid='' home=''

# Leaves the client on PATH, and says whether an engine answers it.
use_engine_that_runs() {
  local version
  use_docker_client && version=$(engine_version) || return 1
  say "Docker Engine $version at $(engine_address)"
}

# CI must have an engine; elsewhere COMMAND says which of its tests it leaves out.
without_engine() {
  local why=$1
  shift
  [ -z "${CI:-}" ] || fail "no Docker Engine: $why"
  say "no Docker Engine: $why"
  exec env PW_NO_ENGINE="$why" "$@"
}

start_own_engine() {
  lock docker-engine-run
  home=$(mktemp -d "${TMPDIR:-/tmp}/pw-engine.XXXXXX")
  mkdir -p "$data"
  echo '{}' >"$home/daemon.json"
  trap stop_own_engine EXIT
  ip netns add "$name"
  ip -n "$name" link set lo up
  give_uplink
  start_dockerd
  export DOCKER_HOST="unix://$home/docker.sock"
  # What testcontainers leaves behind is ended with the engine; the image that would do it may be out of reach.
  export TESTCONTAINERS_RYUK_DISABLED=true
  wait_for_dockerd
  remove_leftovers
  say "Docker Engine $(engine_version), our own, in the network namespace $name"
}

# What images are built from is fetched through this process, as in a rootless engine: no bridge to the machine's
# network, no address translation in its packet filter.
give_uplink() {
  setpriv --pdeathsig KILL slirp4netns --configure --mtu=65520 --netns-type=path "/run/netns/$name" tap0 \
    >"$home/slirp4netns.log" 2>&1 9>&- &
  uplink_pid=$!
}

# The first process of the namespace is the engine: when it goes, the kernel ends all that it has started.
# It goes with this script, even where that is killed.
start_dockerd() {
  PATH="$engine_home/unpacked/usr/sbin:$engine_home/unpacked/usr/bin:$PATH" \
    setsid setpriv --pdeathsig KILL nsenter --net="/run/netns/$name" \
    unshare --mount --propagation slave --pid --fork --kill-child --mount-proc \
    dockerd --config-file "$home/daemon.json" --data-root "$data" --exec-root "$home/exec" \
    --pidfile "$home/dockerd.pid" --host "unix://$home/docker.sock" --cgroup-parent "/$name" \
    --feature containerd-snapshotter=false >"$home/dockerd.log" 2>&1 </dev/null 9>&- &
  engine_pid=$!
}

wait_for_dockerd() {
  local deadline=$((SECONDS + START_TIMEOUT_SECONDS))
  until engine_version >/dev/null; do
    if ! kill -0 "$engine_pid" 2>/dev/null || ((SECONDS > deadline)); then
      tail -n 20 "$home/dockerd.log" | sed 's/^/  | /' >&2
      fail "the Docker Engine did not start; see above"
    fi
    sleep 0.2
  done
}

# Of a run that was killed.
remove_leftovers() { docker ps --all --quiet | xargs --no-run-if-empty docker rm --force --volumes >/dev/null; }

stop_own_engine() {
  local status=$?
  trap - EXIT
  trap '' INT TERM
  if [ -S "$home/docker.sock" ] && ! nothing_is_left; then status=1; fi
  stop_dockerd
  [ -z "$uplink_pid" ] || kill "$uplink_pid" 2>/dev/null || true
  ip netns del "$name" 2>/dev/null || true
  find /sys/fs/cgroup -depth -type d -path "*/$name*" -exec rmdir {} + 2>/dev/null || true
  rm -rf "$home"
  exit "$status"
}

nothing_is_left() {
  local left
  left=$(docker ps --format '{{.Names}}' | paste -sd' ')
  [ -n "$left" ] || return 0
  say "containers were left behind: $left"
  remove_leftovers
  return 1
}

stop_dockerd() {
  local inner deadline=$((SECONDS + STOP_TIMEOUT_SECONDS))
  [ -n "$engine_pid" ] || return 0
  inner=$(cat "/proc/$engine_pid/task/$engine_pid/children" 2>/dev/null || true)
  [ -z "$inner" ] || kill -TERM ${inner} 2>/dev/null || true
  while kill -0 "$engine_pid" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.1; done
  kill -KILL "$engine_pid" 2>/dev/null || true
}

main() {
  if use_engine_that_runs; then exec "$@"; fi
  [ "$(id -u)" = 0 ] || without_engine "none answers, and one of our own needs root" "$@"
  "$(dirname "$0")/setup/docker-engine.sh" || without_engine "none answers, and none can be set up here" "$@"
  # With a client that has compose, the engine of the system may do after all.
  if use_engine_that_runs; then exec "$@"; fi
  start_own_engine
  nsenter --net="/run/netns/$name" "$@"
}

main "$@"
