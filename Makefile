# What a contributor runs; CONTRIBUTING.md says what each is for. The recipes are bash: on Windows run them, or the
# scripts in .ci, from Git Bash.
SHELL := bash
TOOL := go tool -modfile=.ci/tools.mod

.PHONY: help build demo test soak lint vuln fmt bench bench-gateway docs package package-test clean

help:
	@echo "make build | demo | test | soak | lint | vuln | fmt | bench | bench-gateway | docs | package | package-test | clean (see CONTRIBUTING.md)"

build:
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/mcpctl

demo:
	@go run ./cmd/mcpctl demo

test:
	@bash .ci/test

soak:
	@bash .ci/soak

lint: vuln
	@bash .ci/lint

vuln:
	@bash .ci/vuln

fmt:
	$(TOOL) golangci-lint fmt

# BENCH_FLAGS="-quick -json" measures mcpctl against direct HTTP only: see bench/README.md.
bench:
	@bash .ci/npm-ci bench/npm
	go run ./bench $(BENCH_FLAGS)

# The command reference in docs/commands.
docs:
	go run ./cmd/gendocs -markdown docs/commands

# Every package of a release, of this commit, into dist; nothing is published.
package:
	@bash .ci/package

package-test:
	@bash .ci/package-test

# See bench/gateway/README.md; BENCH_FLAGS="-quick" leaves the npm peers out.
bench-gateway:
	@bash .ci/npm-ci bench/npm
	go run ./bench/gateway $(BENCH_FLAGS)

clean:
	rm -rf bin dist .ci/npm/node_modules .ci/npm/clients/node_modules .ci/mcpb/node_modules bench/npm/node_modules
