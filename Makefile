# The only front door. Everything runs in the toolchain that docker/toolchain/enter finds or makes.
#
# Variables:  KAFKA_BROKERS=3   three brokers, min.insync.replicas 2 (run)
#             FLEET=200         simulated devices, 0 for none (run)
#             ONCE=1            stop again when everything was up and fed (run)
#             TESTS=REGEX       only the test programs and tests/ folders whose name matches (test, itest)
#             SEEDS=1000        runs; SEED=n repeats one with every event shown, FAULTS=name,… picks some (sim)
#             UPDATE=1          write the charts' generated and golden files anew (charts)
#             SECONDS=600       of faults; SEED=n repeats a run, FAULTS=name,… picks some (chaos)
#             PRESET=asan       another preset of CMakePresets.json: asan, tsan (test, itest)
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PRESET ?= dev
BUILD := build/$(PRESET)
KAFKA_BROKERS ?= 1
FLEET ?= 200
SECONDS ?= 600
SERVICES := $(patsubst services/%/main.cpp,%,$(wildcard services/*/main.cpp))

# TERM for the toolchain when make itself is killed, so that not even then anything stays behind.
ENTER := $(if $(shell command -v setpriv),setpriv --pdeathsig TERM) docker/toolchain/enter
# Configures once; later CMake looks after itself. $(1): what to build, empty for everything.
build = $(ENTER) bash -euc '[ -f $(BUILD)/build.ninja ] || cmake --preset $(PRESET) >/dev/null; cmake --build $(BUILD) $(1)'

.PHONY: help run test itest sanitize sim chaos bench bench-path fuzz conformance lint fmt images charts sbom clean doctor

help: ## Show this
	@echo 'make TARGET [VARIABLE=value]'; echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 15
	@echo; sed -n 's/^#  *\(Variables:\)\{0,1\}  *\([A-Z_]*=[^ ]*\)  *\(.*\)/  \2\t\3/p' Makefile | expand -t 21
	@echo; echo '  services: $(or $(SERVICES),none yet)'

run: ## Build, start the real stack and every service, feed them, print where to look; Ctrl-C ends it
	@$(if $(SERVICES),$(call build,--target $(SERVICES) sluice-sim))
	@exec $(ENTER) python3 docker/stack/run.py --bin $(BUILD)/bin --brokers $(KAFKA_BROKERS) $(if $(ONCE),--once) \
	  $(if $(filter-out 0,$(FLEET)),--background 'tests/sim/feed.py --devices $(FLEET) --bin $(BUILD)/bin')

test: ## Build everything and run all tests against the real stack
	@$(call build)
	@exec $(ENTER) python3 docker/stack/run_tests.py --build $(BUILD) $(if $(TESTS),--only '$(TESTS)')

itest: ## Only the tests that need the real stack
	@$(call build)
	@exec $(ENTER) python3 docker/stack/run_tests.py --build $(BUILD) --label stack $(if $(TESTS),--only '$(TESTS)')

# The C++ programs alone: tests/hardening, for one, expects what sanitizers switch off. gRPC is not built for
# ThreadSanitizer; libs/grpc/README.md says what this hides.
sanitize: ## Build and run the C++ tests under ASan and UBSan, then under TSan (slow; JOBS=1 spares the machine)
	@status=0; for preset in $(or $(SANITIZERS),asan tsan); do echo "== $$preset"; \
	  $(ENTER) bash -euc '[ -f build/'$$preset'/build.ninja ] || cmake --preset '$$preset' >/dev/null; cmake --build build/'$$preset' $(JOBS:%=-j%)' && \
	  $(ENTER) env TSAN_OPTIONS="ignore_noninstrumented_modules=1:suppressions=$$PWD/libs/grpc/tsan.supp" \
	    python3 docker/stack/run_tests.py --build build/$$preset --label 'unit|stack' $(if $(TESTS),--only '$(TESTS)') || status=1; \
	done; exit $$status

sim: ## The cores of all services in one process, under simulated time and faults
	@$(call build,--target sluice-simulation)
	@exec $(ENTER) env SLUICE_BUILD="$$PWD/$(BUILD)" SEED=$(SEED) SEEDS=$(or $(SEEDS),$(if $(SEED),,1000)) FAULTS=$(FAULTS) tests/simulation/run

chaos: ## Faults of every kind under real processes and a fleet, and the proof that nothing acknowledged is lost
	@$(call build,--target $(SERVICES) sluice-sim sluice-fault-proxy sluice-failing-disk)
	@exec $(ENTER) python3 tests/chaos/chaos.py --bin $(BUILD)/bin --out $(BUILD)/chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) \
	  $(if $(FAULTS),--faults $(FAULTS))

bench: ## Run every benchmark against the real stack and print its figures
	@programs=$$(find tests services -mindepth 2 -maxdepth 2 -name bench -perm -u+x | sort); \
	  if [ -z "$$programs" ]; then echo 'sluice: there is no benchmark yet (tests/*/bench, services/*/bench)'; exit; fi; \
	  $(call build); \
	  exec $(ENTER) python3 docker/stack/stack.py exec -- env SLUICE_BUILD="$$PWD/$(BUILD)" \
	    bash -euc 'for program; do echo "== $$program"; "$$program"; done' bench $$programs

bench-path: ## Measure what a message costs from device to query, and how long it takes
	@$(call build,--target $(SERVICES) sluice-sim)
	@exec $(ENTER) env SLUICE_BUILD="$$PWD/$(BUILD)" tests/path/bench-path

fuzz: ## Fuzz every parser for FUZZ_SECONDS=60 each, guided by coverage, under sanitizers
	@$(ENTER) bash -euc '[ -f build/fuzz/build.ninja ] || cmake --preset fuzz >/dev/null; cmake --build build/fuzz --target fuzz'
	@exec $(ENTER) env SLUICE_BUILD="$$PWD/build/fuzz" tests/fuzz/run $(or $(FUZZ_SECONDS),60)

conformance: ## Run public MQTT suites (SLUICE_PAHO_TESTING=FOLDER) against the front and Mosquitto
	@$(call build,--target mqtt-front)
	@exec $(ENTER) env SLUICE_BUILD="$$PWD/$(BUILD)" SLUICE_PAHO_TESTING="$$SLUICE_PAHO_TESTING" tests/conformance/suites

lint: ## Check formatting, proto, OpenAPI, shell and Python without building
	@exec $(ENTER) docker/tools/lint

fmt: ## Format all C++ sources
	@exec $(ENTER) docker/tools/lint --fix

images: ## Build the image of every service (needs a Docker engine)
	@docker info >/dev/null 2>&1 || { echo 'sluice: images need a running Docker engine, and none answers here' >&2; exit 1; }
	@$(if $(SERVICES),,echo 'sluice: there is no service yet')
	@for service in $(SERVICES); do \
	  docker build --network host --file docker/Dockerfile --build-arg SERVICE=$$service --build-arg REVISION="$$(git rev-parse --short HEAD)" \
	    $(if $(BASE),--build-arg BASE=$(BASE)) --tag sluice/$$service:dev .; \
	done

charts: ## Lint, render and check the charts against their golden files
	@if [ ! -x tests/charts/run ]; then echo 'sluice: there are no tests of charts yet (tests/charts)'; exit; fi; \
	  $(if $(SERVICES),$(call build,--target $(SERVICES));) exec $(ENTER) env SLUICE_BIN_DIR="$$PWD/$(BUILD)/bin" tests/charts/run $(if $(UPDATE),--update)

sbom: ## Write what each service links, as SPDX, to build/sbom/
	@$(if $(SERVICES),$(call build,--target $(SERVICES)))
	@exec $(ENTER) docker/tools/sbom --output build/sbom $(addprefix $(BUILD)/bin/,$(SERVICES))

clean: ## Remove what was built and what `make run` stored; the caches stay (doctor says where they are)
	rm -rf build .run

doctor: ## Say what is here, what is missing, and which way the build would go
	@docker/toolchain/doctor
