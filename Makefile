# What one types in this tree. `make demo` and `make test` install what is missing first (tools/install-deps).

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: help build install deb static demo check test scenarios vm bench fuzz man clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the release program, target/release/ebrec
	@tools/install-deps build
	$(CARGO) build --release

install: ## the program, its manual pages, completions, SQL views and dashboard, below PREFIX (/usr/local) and DESTDIR
	@tools/install-deps build
	$(CARGO) build --release
	tools/install-files target/release/ebrec '$(DESTDIR)$(PREFIX)'

deb: ## a Debian package, target/package/ebrec_VERSION_ARCHITECTURE.deb
	@tools/install-deps build package
	$(CARGO) build --profile dist
	tools/package-deb target/dist/ebrec target/package

# Needs libelf.a and libz.a, which Debian's development packages have. A target is named, so that build scripts and procedural
# macros stay dynamic.
static: TARGET = $(shell rustc -vV | sed -n 's/^host: //p')
static: ## a program without shared libraries, target/package/ebrec-static: for any Linux of this architecture
	@tools/install-deps build
	LIBBPF_SYS_LIBRARY_PATH="$$(dirname "$$(cc -print-file-name=libelf.a)")" RUSTFLAGS='-C target-feature=+crt-static' \
		$(CARGO) build --profile dist --target $(TARGET) --features libbpf-sys/static-libelf,libbpf-sys/static-zlib
	install -D -m 755 target/$(TARGET)/dist/ebrec target/package/ebrec-static

demo: ## record this machine for five seconds and report on it
	@tools/install-deps build
	@tools/demo

check: ## formatting, lints, unit tests, command-line cases and views: two minutes after the first build
	@tests/run quick

test: ## every check: formatting, lints, tests, root tests where it can
	@tools/install-deps build test
	@tests/run

scenarios: ## planted causes of slowness, each of which the first finding must name; SCENARIOS="--text mutex"
	@tools/install-deps build test
	$(CARGO) build --release
	@if [ "$$(id -u)" -eq 0 ]; then tests/scenarios/run $(SCENARIOS); else sudo tests/scenarios/run $(SCENARIOS); fi

vm: ## ebrec on other kernels in QEMU, 5.10 to the newest, x86_64 and aarch64; writes docs/kernels.md; VM="--only 6.1"
	@tools/install-deps build test vm
	@tests/vm/matrix $(VM)

bench: ## cost beside perf, bcc's tools and bpftrace, in one run; BENCH="--rounds 3"
	@tools/install-deps build test bench
	$(CARGO) build --release
	@if [ "$$(id -u)" -eq 0 ]; then python3 benches/whole.py $(BENCH); else sudo python3 benches/whole.py $(BENCH); fi

fuzz: ## fuzz every parser for a minute each (needs cargo-fuzz); FUZZ="-s 3600 rows"
	@fuzz/run $(FUZZ)

man: ## write man/ and sql/ from the program's definitions
	$(CARGO) run --quiet -- man man
	for dialect in duckdb clickhouse spark trino; do $(CARGO) run --quiet -- sql --dialect $$dialect >sql/$$dialect.sql; done

clean: ## remove what was built
	$(CARGO) clean
