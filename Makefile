# `make` prints what there is. Every verb does its own set-up, and does nothing twice.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BUILD := build
TOOLS := .tools
RUN := ./scripts/as-root.sh node $(BUILD)/packetwatch.js
# Two makes in one tree build one after the other.
ONE_AT_A_TIME := mkdir -p $(TOOLS) $(BUILD) && flock $(TOOLS)/build.lock
VITEST := node_modules/.bin/vitest run

PREFIX := /usr/local
LIBDIR = $(PREFIX)/lib/packetwatch
UNITDIR = $(PREFIX)/lib/systemd/system
NODE ?= $(shell command -v node)
PROGRAMS := capture detector enforcer metrics packetwatch

BPF_OBJECT := $(BUILD)/packetwatch.bpf.o
BPF_CFLAGS := -g -O2 -target bpf -Wall -Werror
# <asm/types.h> lies in a folder of the host's architecture, which the bpf target doesn't search.
BPF_INCLUDES := -I/usr/include/$(shell uname -m)-linux-gnu

TYPESCRIPT = $(shell find libs services cli -name '*.ts' -not -name '*.test.ts' -not -path '*/node_modules/*')
SUITES = $(shell find test -name '*.ts' -not -name '*.test.ts' -not -path '*/node_modules/*')
# The benches in the order of their page, and what they load beside the product's program.
BENCHES := $(addprefix bench-,$(shell tr '[],"' ' ' <bench/benches.json))
BENCH_SOURCES = $(shell find bench -name '*.ts' -not -path '*/node_modules/*')
BENCH_OBJECTS := $(patsubst bench/bpf/%.bpf.c,$(BUILD)/bench-%.bpf.o,$(wildcard bench/bpf/*.bpf.c))
BUILD_INPUTS := scripts/build.mjs package-lock.json tsconfig.json

RUNTIME_VERBS := build-app build-test exec-app exec-test run run-log stop unit-test e2e-black e2e-white clean

.PHONY: $(RUNTIME_VERBS) $(addprefix native-,$(RUNTIME_VERBS)) build-all help setup setup-build setup-test build build-tests test lint typecheck format format-check \
	kernel-test integration-test docker-test sbom fuzz install installable-node e2e-netns chaos docs distclean \
	build-bench bench bench-page $(BENCHES)

help: ## Print this help
	@echo "Packetwatch finds port scanners and drops them in XDP."
	@echo
	@echo "make VERB [VARIABLE=value ...]"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-18s%s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Variables, as an argument of make or from the environment:"
	@echo "  PW_IFDEV=lo                     interfaces to watch, separated by commas"
	@echo "  PW_PORTSCAN_TIME_THRESHOLD=60   seconds in which the ports of one source are counted"
	@echo "  PW_PORTSCAN_PORT_THRESHOLD=3    distinct ports that make a source a scanner"
	@echo "  PW_PROMETHEUS_PORT=9090         port of http://localhost:9090/metrics"
	@echo "  PW_WHITELIST_SELF=True          never block the addresses of the watched interfaces"
	@echo "  PW_RUNTIME=docker|native        in containers, or not; without it, in containers where an engine answers"
	@echo
	@echo "All variables are in docs/variables.md."

setup: setup-build ## Fetch what is missing: system packages, nats-server, npm packages

setup-build:
	@scripts/setup/node-version.sh
	@scripts/setup/system-packages.sh build
	@scripts/setup/nats-server.sh
	@scripts/setup/npm-packages.sh

setup-test: setup-build
	@scripts/setup/system-packages.sh test
	@scripts/setup/bpffs.sh

build: setup-build ## Compile the XDP program and bundle the services and the command
	@$(MAKE) --silent $(BPF_OBJECT) $(BUILD)/.programs

build-tests: setup-test build
	@$(MAKE) --silent $(BUILD)/.suites

build-bench: setup-test build
	@$(MAKE) --silent $(BENCH_OBJECTS) $(BUILD)/bench-syn-generator $(BUILD)/.benches

$(BPF_OBJECT): $(wildcard bpf/*.c bpf/*.h)
	@echo "build: $@"
	@$(ONE_AT_A_TIME) clang $(BPF_CFLAGS) $(BPF_INCLUDES) -c bpf/packetwatch.bpf.c -o $@

$(BUILD)/.programs: $(TYPESCRIPT) $(BUILD_INPUTS)
	@echo "build: capture, detector, enforcer, metrics, packetwatch"
	@$(ONE_AT_A_TIME) node scripts/build.mjs
	@touch $@

$(BUILD)/.suites: $(TYPESCRIPT) $(SUITES) $(BUILD_INPUTS)
	@echo "build: end-to-end suites"
	@$(ONE_AT_A_TIME) node scripts/build.mjs --tests
	@touch $@

$(BUILD)/bench-%.bpf.o: bench/bpf/%.bpf.c $(wildcard bpf/*.c bpf/*.h)
	@echo "build: $@"
	@$(ONE_AT_A_TIME) clang $(BPF_CFLAGS) $(BPF_INCLUDES) -c $< -o $@

$(BUILD)/bench-syn-generator: bench/load/syn-generator.c
	@echo "build: $@"
	@$(ONE_AT_A_TIME) gcc -O2 -Wall -Wextra -Werror -o $@ $<

$(BUILD)/.benches: $(TYPESCRIPT) $(SUITES) $(BENCH_SOURCES) bench/benches.json $(BUILD_INPUTS)
	@echo "build: benches"
	@$(ONE_AT_A_TIME) node scripts/build.mjs --bench
	@touch $@

run: ## Start NATS and the services in the background
run-log: ## Start them, and print the console table until Ctrl-C
stop: ## Stop everything and detach XDP
build-app: ## Build the product: its image, or natively
build-test: ## Build what the end-to-end suites run in
build-all: build-app build-test ## Both
exec-app: ## A shell where the product is, without running it
exec-test: ## A shell where the suites are
unit-test: ## Run the unit tests
e2e-black: ## Scan nginx on a loopback and see the scanner blocked
e2e-white: ## The same with the own addresses whitelisted: nobody is blocked
clean: ## Stop, and remove what was built and run

# In containers where a Docker Engine answers, natively elsewhere; PW_RUNTIME=docker|native decides it.
$(RUNTIME_VERBS):
	@exec ./scripts/runtime.sh $@

native-build-app: build

native-build-test: build-tests

native-exec-app native-exec-test: native-exec-%: build
	@mkdir -p $(TOOLS)/bin && ln -sfn ../../build/packetwatch.js $(TOOLS)/bin/packetwatch
	@PATH="$(CURDIR)/$(TOOLS)/bin:$(CURDIR)/node_modules/.bin:$$PATH" ./scripts/as-root.sh bash

native-run: build
	@exec $(RUN) up --detach

native-run-log: build
	@exec $(RUN) up

native-stop:
	@test ! -e $(BUILD)/packetwatch.js || exec $(RUN) down

test: setup-test build build-tests build-bench ## Run everything: format, lint, types, unit, kernel, integration, end-to-end, benches in small
	@exec ./scripts/as-root.sh ./scripts/with-engine.sh node scripts/test.mjs

lint: setup-build ## Lint the TypeScript, with types
	@node_modules/.bin/oxlint --type-aware

typecheck: setup-build ## Check the types
	@node_modules/.bin/tsc --noEmit -p .

format: setup-test ## Format the TypeScript and the C
	@node_modules/.bin/oxfmt
	@clang-format -i bpf/*.c bpf/*.h

format-check: setup-test
	@node_modules/.bin/oxfmt --check
	@clang-format --dry-run -Werror bpf/*.c bpf/*.h

native-unit-test: setup-build
	@$(VITEST) --project unit

kernel-test: setup-test build ## Run the XDP program on built packets, on veth and on lo
	@./scripts/as-root.sh $(VITEST) --project kernel

integration-test: setup-test build ## Run the services against a real NATS
	@./scripts/as-root.sh $(VITEST) --project integration

native-e2e-black native-e2e-white: native-%: build-tests
	@./scripts/as-root.sh node $(BUILD)/test/$*.js

docker-test: build-tests ## Run the stack of docker-compose.yml on a Docker Engine, its own where none runs
	@./scripts/as-root.sh ./scripts/with-engine.sh bash -c 'scripts/docker/images.sh && exec $(VITEST) --project docker'

e2e-netns: build-tests ## Scan with nmap, masscan and hping3 between network namespaces; print the table
	@./scripts/as-root.sh node $(BUILD)/test/scanners.js

chaos: build-tests ## Kill, stop and freeze everything at random for DURATION=120 s; SEED=... does it again
	@./scripts/as-root.sh node $(BUILD)/test/chaos.js $(if $(SEED),--seed $(SEED)) $(if $(DURATION),--duration $(DURATION))

bench: build-bench ## Measure everything, and write docs/benchmarks.md; bench-xdp and so on runs one alone
	@./scripts/as-root.sh node $(BUILD)/bench/all.js

$(BENCHES): bench-%: build-bench
	@./scripts/as-root.sh node $(BUILD)/bench/$*.js

bench-page: build-bench ## Write docs/benchmarks.md from what the benches found last
	@node $(BUILD)/bench/write-page.js

docs: setup-build ## Write the pages of docs/ that are generated from the code
	@$(ONE_AT_A_TIME) node scripts/build.mjs --docs
	@node $(BUILD)/generate-docs.js

sbom: setup-build ## Write build/sbom.json: every package, library and server that this is made of
	@node scripts/sbom.mjs

fuzz: setup-test build ## Fuzz for FUZZ_FACTOR=10 times as long as make test; FUZZ_SEED=... does it again
	@FUZZ_FACTOR=$(or $(FUZZ_FACTOR),10) $(if $(FUZZ_SEED),FUZZ_SEED=$(FUZZ_SEED)) ./scripts/as-root.sh $(VITEST) \
		--project unit --project kernel hostile mutated

# The units see no home directories (ProtectHome), where nvm and its like put theirs.
installable-node:
	@for path in "$(NODE)" "$$(readlink -m "$(NODE)")"; do \
		case $$path in /home/* | /root/* | /run/user/*) \
			echo "install: the units can't run $$path, which lies in a home directory; NODE=/usr/bin/node make install" >&2; \
			exit 1 ;; \
		esac; \
	done

# koffi alone is not bundled. NATS of `packetwatch up` includes the file of deploy/.
install: installable-node build ## Install programs, command and systemd units under DESTDIR and PREFIX (/usr/local)
	@install -d $(DESTDIR)$(LIBDIR)/build $(DESTDIR)$(LIBDIR)/node_modules $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(UNITDIR)
	@install -m 644 package.json $(DESTDIR)$(LIBDIR)
	@install -D -m 644 deploy/nats/native.conf $(DESTDIR)$(LIBDIR)/deploy/nats/native.conf
	@install -m 644 $(BPF_OBJECT) $(DESTDIR)$(LIBDIR)/build
	@for name in $(PROGRAMS); do install -m 755 $(BUILD)/$$name.js $(BUILD)/$$name.js.map $(DESTDIR)$(LIBDIR)/build; done
	@cp -R node_modules/koffi node_modules/@koromix $(DESTDIR)$(LIBDIR)/node_modules
	@ln -sf $(LIBDIR)/build/packetwatch.js $(DESTDIR)$(PREFIX)/bin/packetwatch
	@for unit in deploy/systemd/*.service; do sed -e 's|@NODE@|$(NODE)|' -e 's|@LIBDIR@|$(LIBDIR)|' $$unit \
		> $(DESTDIR)$(UNITDIR)/$$(basename $$unit); done
	@echo "install: $(DESTDIR)$(LIBDIR), $(DESTDIR)$(PREFIX)/bin/packetwatch, $(DESTDIR)$(UNITDIR)"

native-clean: native-stop
	@rm -rf $(BUILD)
	@test ! -e .run -a ! -e test-results || ./scripts/as-root.sh rm -rf .run test-results

distclean: clean ## clean, and remove what set-up fetched into this folder
	@rm -rf $(TOOLS) node_modules
