#!/usr/bin/env bash
# runtime.sh VERB: does a verb of make in containers, or natively. The first line says which, and why.
# PW_RUNTIME=docker|native decides it; without it, containers are taken where an engine with compose answers.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup/say.sh
. scripts/docker/client.sh

choose_runtime() {
  local version
  case ${PW_RUNTIME:-} in
    native)
      runtime=native why="PW_RUNTIME says so"
      ;;
    '' | docker)
      if use_docker_client && version=$(engine_version); then
        runtime=docker why="Engine $version at $(engine_address)${PW_RUNTIME:+; PW_RUNTIME says so}"
      elif [ -n "${PW_RUNTIME:-}" ]; then
        fail "PW_RUNTIME=docker, and no Docker Engine with compose and buildx answers 'docker version'" \
          "start one, set DOCKER_HOST, or take PW_RUNTIME=native"
      else
        runtime=native why="no Docker Engine with compose answers"
      fi
      ;;
    *)
      say "PW_RUNTIME is \"$PW_RUNTIME\"; it may hold docker or native"
      exit 2
      ;;
  esac
}

# cli/src/native/run-layout.ts names what lies there.
runs_natively() {
  local folder=${PW_RUN_DIR:-.run}
  [ -e "$folder/runtime.json" ] || [ -e "$folder/supervisor.pid" ]
}

verb=$1
choose_runtime
# What was started natively is ended natively, whoever answers now. `clean` does both anyway.
if [ "$verb" = stop ] && [ "$runtime" = docker ] && [ -z "${PW_RUNTIME:-}" ] && runs_natively; then
  echo "runtime: native (it was started so)"
  make native-stop
fi
echo "runtime: $runtime ($why)"
if [ "$runtime" = docker ]; then exec scripts/docker/stack.sh "$verb"; fi
exec make "native-$verb"
