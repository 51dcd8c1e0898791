#!/usr/bin/env bash
# Sees that the images which are not ours are there, those which the Dockerfile is built from and those of the profile
# observability: those of the engine, or of the registry, or else stand-ins under the same names, for machines that reach
# no registry. A stand-in is a minimal Debian made from the mirror that this machine uses, with Node from its npm package,
# with the nats-server of set-up, or with the Prometheus of a newer Debian. Neither Debian nor npm has Grafana: its stand-in
# shows what Grafana would be given, and nothing more.
set -euo pipefail
. "$(dirname "$0")/../setup/say.sh"
. "$(dirname "$0")/../setup/newer-debian.sh"
. "$(dirname "$0")/client.sh"

PULL_TIMEOUT_SECONDS=300
STANDIN_ROOT=packetwatch-standin-root

work=''

# The default of an argument of the Dockerfile.
base_of() { sed -nE "s/^ARG $1=(.+)$/\1/p" "$repository/Dockerfile"; }

# The image of a service that compose takes as it is, by its name without the tag.
image_of() { sed -nE "s|^ +image: ($1:.+)\$|\1|p" "$repository/docker-compose.yml"; }

is_there() { docker image inspect "$1" >/dev/null 2>&1; }

ensure_image() {
  local image=$1 make_standin=$2
  is_there "$image" && return
  if quietly "pull-${image//[:\/]/-}" timeout "$PULL_TIMEOUT_SECONDS" docker pull --quiet "$image" 2>/dev/null; then return; fi
  say "$image can't be pulled; making a stand-in for it"
  "$make_standin" "$image"
}

# Everything that a build would otherwise have to be told about this network is in here: mirror, certificates, npm registry.
ensure_standin_root() {
  is_there "$STANDIN_ROOT" && return
  mkdir -p "$work/sources"
  write_debian_source "$(own_codename)" "$work/sources" || fail "no Debian source of this machine's release was found under /etc/apt"
  quietly standin-root debian_into_engine || fail "a minimal Debian could not be made; see above"
}

debian_into_engine() {
  mmdebstrap --mode=root --variant=minbase --include=ca-certificates,wget --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$(own_codename)" - "$work"/sources/debian.* | docker import - "$STANDIN_ROOT"
}

make_node_standin() {
  local image=$1 context="$work/node" major=${1#*:}
  ensure_standin_root
  mkdir -p "$context/npm"
  unpack_npm_package "node-linux-$(node -p process.arch)@${major%%[.-]*}" "$context/node"
  # The machine's own npm: the registry's would be one download more.
  cp -RL "$(npm root --global)/npm/." "$context/npm"
  cp /etc/ssl/certs/ca-certificates.crt "$context"
  printf 'registry=%s\ncafile=/etc/ssl/certs/ca-certificates.crt\n' "$(npm config get registry 2>/dev/null)" >"$context/npmrc"
  build_standin "$image" "$context" <<EOF
FROM $STANDIN_ROOT
COPY ca-certificates.crt /etc/ssl/certs/
COPY npmrc /usr/local/etc/npmrc
COPY node/bin/node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
 && useradd --uid 1000 --create-home node
CMD ["node"]
EOF
}

# build_standin IMAGE CONTEXT: the Dockerfile comes on standard input.
build_standin() {
  cat >"$2/Dockerfile"
  quietly standin docker build --tag "$1" --label packetwatch.standin=true "$2" ||
    fail "the stand-in for $1 could not be built; see above"
}

unpack_npm_package() {
  local package=$1 folder=$2
  mkdir -p "$folder"
  (cd "$work" && quietly npm-pack npm pack --silent "$package") || fail "npm could not fetch $package"
  tar -xzf "$work/${package%@*}"-*.tgz -C "$folder" --strip-components=1
}

make_nats_standin() {
  local image=$1 context="$work/nats"
  ensure_standin_root
  mkdir -p "$context"
  cp -L "$tools/bin/nats-server" "$context"
  build_standin "$image" "$context" <<EOF
FROM $STANDIN_ROOT
COPY nats-server /usr/local/bin/nats-server
CMD ["nats-server"]
EOF
}

make_prometheus_standin() {
  local image=$1 context="$work/prometheus"
  ensure_standin_root
  unpack_newer "$context" prometheus || fail "Prometheus could not be fetched from Debian $newer_suite"
  build_standin "$image" "$context/unpacked" <<EOF
FROM $STANDIN_ROOT
COPY usr/bin/prometheus /bin/prometheus
RUN mkdir /prometheus && chown nobody:nogroup /prometheus
WORKDIR /prometheus
USER nobody
ENTRYPOINT ["/bin/prometheus"]
EOF
}

# With the user that Grafana's image has.
make_grafana_standin() {
  local image=$1 context="$work/grafana"
  mkdir -p "$context"
  cp "$repository/scripts/docker/grafana-standin.mjs" "$context"
  build_standin "$image" "$context" <<EOF
FROM $(base_of NODE_IMAGE)
COPY grafana-standin.mjs /
RUN mkdir /var/lib/grafana && chown 472:0 /var/lib/grafana
USER 472
CMD ["node", "/grafana-standin.mjs"]
EOF
}

use_docker_client || fail "there is no docker client with compose and buildx here"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ensure_image "$(base_of NODE_IMAGE)" make_node_standin
ensure_image "$(base_of NATS_IMAGE)" make_nats_standin
ensure_image "$(image_of prom/prometheus)" make_prometheus_standin
ensure_image "$(image_of grafana/grafana)" make_grafana_standin
