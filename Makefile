# One-word entry points; CMakePresets.json holds the configurations. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo build test test-slow test-sanitize test-clang bench bench-imagenet bench-memory fuzz format tidy clean deps deps-clang deps-fuzz

JOBS ?= $(shell nproc)
OPTIONS ?=
TEST_JOBS ?= 2
FUZZ_SECONDS ?= 60
CTEST = ctest -j$(TEST_JOBS) --output-on-failure --no-tests=error

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

demo: deps  ## Install what is missing, build the programs, and classify the bundled images under encryption
	@cmake --preset release -Wno-dev
	@cmake --build build -j$(JOBS) --target programs
	@scripts/demo.sh

build: deps  ## Build everything into build/ (Release), programs into build/bin/
	@cmake --preset release -Wno-dev
	@cmake --build build -j$(JOBS)

test: build  ## Build, and run all tests but the slow ones
	@$(CTEST) --test-dir build -LE slow

test-slow: build  ## Build, and run the slow tests
	@$(CTEST) --test-dir build -L slow

test-sanitize: deps  ## Build into build-asan/ with the address and undefined-behaviour sanitizers, and test
	@cmake --preset asan -Wno-dev
	@cmake --build build-asan -j$(JOBS)
	@$(CTEST) --test-dir build-asan -LE slow

test-clang: deps-clang  ## Build into build-clang/ with clang, and test
	@cmake --preset clang -Wno-dev
	@cmake --build build-clang -j$(JOBS)
	@$(CTEST) --test-dir build-clang -LE slow

bench: build  ## Build, run every benchmark, write build/bench/*.json
	@mkdir -p build/bench
	@for bench in build/bin/*_bench; do echo "== $${bench##*/}"; "$$bench"; done
	@ls build/bench/*.json

bench-imagenet: build  ## Classify encrypted ImageNet images (hours); logs and summary in bench/results/. OPTIONS="--help"
	@build/bench/imagenet_bench $(OPTIONS)

bench-memory: build  ## Run ResNet-20 within parts of the memory that it takes (minutes). OPTIONS="--help"
	@build/bin/memory_bench $(OPTIONS)

fuzz: deps-fuzz  ## Run every fuzz target for FUZZ_SECONDS (60) with clang's libFuzzer
	@cmake --preset fuzz -Wno-dev
	@cmake --build build-fuzz -j$(JOBS)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz.sh build-fuzz

format: deps-clang  ## Format every C++ file in place
	@git ls-files '*.h' '*.cpp' | xargs clang-format -i

tidy: deps-clang  ## Run clang-tidy over the sources
	@cmake --preset clang -Wno-dev
	@run-clang-tidy -quiet -j$(JOBS) -p build-clang "^$(CURDIR)/src/.*\.cpp$$"

clean:  ## Remove every build folder that this file makes
	@rm -rf build build-debug build-asan build-clang build-fuzz

deps:
	@scripts/install_deps.sh
deps-clang deps-fuzz: deps-%:
	@scripts/install_deps.sh $*
