# SPDX-License-Identifier: Apache-2.0
# The commands of every day. `make help` lists them; CMakePresets.json has the configurations.

BUILD := build/release
JOBS ?= $(shell tools/jobs.sh)
CTEST := ctest --test-dir $(BUILD) --output-on-failure --no-tests=error -j3

# ccache can't know that our precompiled headers and clocks do no harm (the presets say it as well).
export CCACHE_SLOPPINESS := pch_defines,time_macros

# What a configuration adds to the preset. In CI warnings are errors from the first build on, so that
# the program's objects are compiled once for both `make demo` and `make test`.
# UNITY=OFF: one compilation a source, which is slower at first and faster after a change.
UNITY ?= ON
CONFIGURE := cmake --preset release --log-level=WARNING -DCOPPICE_UNITY=$(UNITY)
ifdef COPPICE_GRAPH
  CONFIGURE += -DCOPPICE_GRAPH=$(COPPICE_GRAPH)
endif
ifeq ($(CI),true)
  CONFIGURE += -DCOPPICE_WERROR=ON
endif

.DEFAULT_GOAL := help
.PHONY: help setup setup-tests build demo build-tests test test-slow test-arm64 bench device dist format tidy clean

help: ## this list
	@echo 'coppice: make TARGET'
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  \1|\2/' | awk -F '|' '{ printf "%-13s%s\n", $$1, $$2 }'
	@echo 'Variables: JOBS=N (compilers at once, now $(JOBS)); TEST=name (make test: only those tests);'
	@echo '  UNITY=OFF (compile each source by itself); SKIP_SETUP=1 (install nothing); LIBTORCH=DIR (this LibTorch); COPPICE_GRAPH=OFF (without LibTorch)'

setup:
	@tools/setup.sh program

setup-tests: setup
	@tools/setup.sh tests

build: setup ## the program: build/release/coppice
	@$(CONFIGURE)
	@cmake --build $(BUILD) --target program -j $(JOBS)

demo: build ## build, then run the main job on this machine: one aggregator, eight devices
	$(BUILD)/coppice demo

build-tests: setup-tests
	@$(CONFIGURE) -DCOPPICE_TESTS=ON
	@cmake --build $(BUILD) -j $(JOBS)

test: build-tests ## build and run every test but the slow ones; TEST=name for some of them
	$(CTEST) $(if $(TEST),-R '$(TEST)',-LE slow)

test-slow: build-tests ## run the tests labelled slow
	$(CTEST) -L slow

# Emulated, a test takes ten times as long: the longest are left out.
ARM64_TESTS := base formats crypto adapters protocol secagg secagg_vectors model native
ARM64_PATTERN := ^(device|$(shell echo $(ARM64_TESTS) | tr ' ' '|'))\.
ARM64_WITHOUT := \.script$$|Bfloat16.*coppice-4m|EightStepsOfAdamW|Repeat.TheRepositoryModel|MemoryPlan.(TheMeasuredPeak|ATighterBudget)

test-arm64: ## cross-compile a device's program, the engine's and the protocol's tests for arm64, and run them under qemu
	@tools/setup.sh arm64
	@tools/arm64_sysroot.sh
	@cmake --preset device-arm64 --log-level=WARNING -DCOPPICE_TESTS=ON -DCOPPICE_WERROR=ON
	@cmake --build build/device-arm64 -j $(JOBS) \
	  --target coppice coppice_shared $(ARM64_TESTS:%=%_tests)
	ctest --test-dir build/device-arm64 --output-on-failure --no-tests=error -j2 -LE slow \
	  -R '$(ARM64_PATTERN)' -E '$(ARM64_WITHOUT)'

bench: setup-tests ## build and run the micro-benchmarks of bench/ (the figures: coppice bench)
	@$(CONFIGURE) -DCOPPICE_BENCHMARKS=ON
	@cmake --build $(BUILD) -j $(JOBS)
	@for bench in $(BUILD)/*_bench; do $$bench || exit 1; done

device: export COPPICE_GRAPH := OFF
device: setup ## what a device carries: build/device/coppice and libcoppice.so
	@cmake --preset device --log-level=WARNING
	@cmake --build build/device -j $(JOBS)

# For this machine's architecture, and cross-compiled for arm64; DIST=dist leaves the latter out.
DIST := dist $(if $(filter aarch64,$(shell uname -m)),,dist-arm64)

dist: export COPPICE_GRAPH := OFF
dist: setup ## packages in build/packages: a tarball and a .deb for amd64 and arm64, with services for both sides
ifneq ($(filter dist-arm64,$(DIST)),)
	@tools/setup.sh arm64
	@tools/arm64_sysroot.sh
endif
	@for preset in $(DIST); do \
	  cmake --preset $$preset --log-level=WARNING && cmake --build build/$$preset -j $(JOBS) && \
	    tools/dist.sh build/$$preset build/packages || exit 1; \
	done

format: setup-tests ## clang-format every file
	@git ls-files -z --cached --others --exclude-standard '*.h' '*.cc' | xargs -0 clang-format -i

tidy: build-tests ## clang-tidy the files that differ from the first parent; BASE=commit, BASE=--all
	@tools/tidy.sh $(BASE)

clean: ## remove build/
	rm -rf build
