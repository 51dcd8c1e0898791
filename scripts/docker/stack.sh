#!/usr/bin/env bash
# stack.sh VERB: what a verb of make does in containers. scripts/runtime.sh has chosen them.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/setup/say.sh
. scripts/docker/client.sh

use_docker_client || fail "there is no docker client with compose and buildx here"

stack() { docker compose "$@"; }
# With what a profile has added, named this time or not.
whole_stack() { stack --profile '*' "$@"; }
# The stack beside a tester, whose loopback is watched in place of the host's; apart from the stack that runs.
test_stack() { docker compose --project-name packetwatch-test --file docker-compose.yml --file docker-compose.test.yml "$@"; }

print_sizes() {
  docker image ls --format '{{.Repository}} {{.Size}}' --filter "reference=$1" | sort -u | sed 's/^/image: /'
}

build_app() {
  stack build --quiet nats capture
  print_sizes 'packetwatch'
  print_sizes 'packetwatch-nats'
}

build_test() {
  test_stack build --quiet tester
  print_sizes 'packetwatch-tester'
}

start() {
  build_app
  stack up --detach --wait --remove-orphans
}

say_where() {
  local port
  port=$(stack port metrics 9090)
  echo "packetwatch runs: metrics at http://localhost:${port##*:}/metrics; 'make stop' ends it"
  echo "the command: docker compose run --rm packetwatch status"
}

# Program, maps and pins outlive the containers, as they should while one is replaced; this is for the end.
stop() {
  if [ -z "$(whole_stack ps --all --quiet)" ]; then
    echo "nothing is running"
    return
  fi
  detach_with stack
  whole_stack down --remove-orphans
  echo "stopped; XDP is detached"
}

# From the interfaces that this stack watches, whatever the environment says now.
detach_with() {
  local settings=() name
  for name in PW_IFDEV PW_PIN_DIR; do settings+=(--env "$name=$(setting_of_capture "$1" "$name")"); done
  "$1" stop --timeout 20 capture enforcer
  # The engine mounts no folder that is missing, and a start may have failed before there were keys.
  "$1" run --rm --no-deps -T keys >/dev/null
  "$1" run --rm --no-deps --quiet-pull "${settings[@]}" capture packetwatch detach
}

setting_of_capture() {
  local container
  container=$("$1" ps --all --quiet capture | head -n 1)
  [ -n "$container" ] || return 0
  docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$container" | sed -n "s/^$2=//p"
}

run_log() {
  trap stop EXIT
  start
  local terminal=()
  [ -t 0 ] && [ -t 1 ] || terminal=(-T)
  stack run --rm --no-deps "${terminal[@]}" packetwatch tail || true
}

# The two suites of the ported tool: a whole stack for each, taken down afterwards.
end_to_end() {
  local suite=$1
  build_app
  build_test
  trap stop_test_stack EXIT
  PW_WHITELIST_SELF=$2 PW_PORTSCAN_TIME_THRESHOLD=1 test_stack up --detach --wait --quiet-pull
  if ! test_stack exec -T tester node "build/test/$suite.js"; then
    test_stack logs --no-color --tail 20 capture detector enforcer metrics
    return 1
  fi
}

# Those of libs/bpf load programs, pin maps, and do some of it as another user.
unit_test() {
  local capability flags=()
  for capability in BPF NET_ADMIN PERFMON SETUID SETGID; do flags+=(--cap-add "$capability"); done
  test_stack run --rm --no-deps --user root "${flags[@]}" --volume /sys/fs/bpf:/sys/fs/bpf tester \
    node_modules/.bin/vitest run --project unit
}

stop_test_stack() {
  detach_with test_stack
  test_stack down --volumes --remove-orphans
}

clean() {
  stop
  test_stack down --volumes --remove-orphans --rmi local
  whole_stack down --volumes --remove-orphans
  docker image rm --force packetwatch packetwatch-nats packetwatch-tester >/dev/null 2>&1 || true
}

case $1 in
  build-app) build_app ;;
  build-test) build_test ;;
  exec-app)
    build_app
    stack run --rm --entrypoint bash packetwatch
    ;;
  exec-test)
    build_app
    build_test
    test_stack run --rm --no-deps tester bash
    ;;
  run)
    start
    say_where
    ;;
  run-log) run_log ;;
  unit-test)
    build_test
    unit_test
    ;;
  e2e-black) end_to_end e2e-black False ;;
  e2e-white) end_to_end e2e-white True ;;
  stop) stop ;;
  clean)
    clean
    make native-clean
    ;;
  *) fail "stack.sh knows no verb '$1'" ;;
esac
