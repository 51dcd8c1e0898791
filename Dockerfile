# One image with all programs, one with NATS and one with the tests. `docker compose build` builds the first two.
# docs/docker.md says how to build for another architecture.
ARG NODE_IMAGE=node:24-bookworm-slim
ARG NATS_IMAGE=nats:2.15-alpine

# Compiles and bundles; nothing of its compilers reaches the images below.
FROM ${NODE_IMAGE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends clang libbpf-dev linux-libc-dev make \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
WORKDIR /src
COPY .npmrc Makefile package.json package-lock.json tsconfig.json ./
COPY bench bench
COPY bpf bpf
COPY cli cli
COPY libs libs
COPY scripts scripts
COPY services services
COPY test test
RUN --mount=type=cache,target=/root/.npm npm ci
RUN make --silent build/packetwatch.bpf.o build/.programs

# The suites need the packages that they are run and checked with.
FROM build AS build-tests
COPY . .
RUN make --silent build/.suites

# capture, detector, enforcer, metrics and the command: their bundles share all but a few hundred kilobytes.
FROM ${NODE_IMAGE} AS packetwatch
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libbpf1 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
WORKDIR /opt/packetwatch
# koffi alone is not bundled: it comes with a library for the architecture of the build stage.
COPY --from=build /src/node_modules/koffi node_modules/koffi
COPY --from=build /src/node_modules/@koromix node_modules/@koromix
COPY --from=build /src/package.json ./
COPY --from=build /src/build build
COPY deploy/docker/packetwatch-healthy /usr/local/bin/
RUN ln -s /opt/packetwatch/build/packetwatch.js /usr/local/bin/packetwatch
ENV NODE_ENV=production \
    PW_HEALTH_FILE=/run/packetwatch/health \
    NODE_OPTIONS=--enable-source-maps \
    PW_BPF_OBJECT=/opt/packetwatch/build/packetwatch.bpf.o
USER node
CMD ["packetwatch", "--help"]

# The nats-server of the stack, as another user than root: the folder of its store has to be that user's.
FROM ${NATS_IMAGE} AS nats
RUN mkdir /data && chown 1000:1000 /data
COPY deploy/nats /etc/nats
USER 1000:1000
CMD ["nats-server", "--config", "/etc/nats/docker.conf"]

# The suites with what they scan and run with: nginx, curl, and the compiler, which unit tests call.
FROM build-tests AS tester
RUN apt-get update \
 && apt-get install --yes --no-install-recommends curl iproute2 nginx-light procps \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
USER node
CMD ["bash"]
