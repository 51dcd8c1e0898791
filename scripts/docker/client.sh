# shellcheck shell=bash
# Where the docker client with compose and buildx is, and whether an engine answers it. Source it after say.sh.

engine_home="$tools/docker-engine"

# The system's client, or the one that scripts/setup/docker-engine.sh has unpacked.
use_docker_client() {
  docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1 && return
  [ -e "$engine_home/complete" ] || return 1
  export PATH="$engine_home/unpacked/usr/bin:$PATH"
  export DOCKER_CONFIG="$engine_home/client"
  mkdir -p "$DOCKER_CONFIG"
  printf '{ "cliPluginsExtraDirs": ["%s"] }\n' "$engine_home/unpacked/usr/libexec/docker/cli-plugins" \
    >"$DOCKER_CONFIG/config.json"
}

# Prints the engine's version; fails where none answers.
engine_version() { timeout 20 docker version --format '{{.Server.Version}}' 2>/dev/null | grep .; }

engine_address() { docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || printf 'unknown'; }
