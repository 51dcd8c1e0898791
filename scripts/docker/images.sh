#!/usr/bin/env bash
# Builds all images from the Dockerfile, on stand-ins for its base images where those can't be pulled.
set -euo pipefail
cd "$(dirname "$0")/../.."
scripts/docker/base-images.sh
scripts/docker/stack.sh build-app
scripts/docker/stack.sh build-test
