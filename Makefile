# What one types in this tree. `make demo` and `make test` install what is missing first (tools/install-deps).

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: help build install demo check test vm bench fuzz man clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the release program, target/release/ebrec
	@tools/install-deps build
	$(CARGO) build --release

install: ## the program, its manual pages and completions, below PREFIX (/usr/local) and DESTDIR
	@tools/install-deps build
	$(CARGO) build --release
	install -D -m 755 target/release/ebrec '$(DESTDIR)$(PREFIX)/bin/ebrec'
	for page in man/*.[15]; do \
		install -D -m 644 "$$page" "$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}" || exit; done
	tools/install-completions '$(DESTDIR)$(PREFIX)'

demo: ## record this machine for five seconds and report on it
	@tools/install-deps build
	@tools/demo

check: ## formatting, lints, unit tests, command-line cases and views: two minutes after the first build
	@tests/run quick

test: ## every check: formatting, lints, tests, root tests where it can
	@tools/install-deps build test
	@tests/run

vm: ## ebrec on other kernels in QEMU, 5.10 to the newest, x86_64 and aarch64; writes docs/kernels.md; VM="--only 6.1"
	@tools/install-deps build test vm
	@tests/vm/matrix $(VM)

bench: ## cost beside perf, bcc's tools and bpftrace, in one run; BENCH="--rounds 3"
	@tools/install-deps build test bench
	$(CARGO) build --release
	@if [ "$$(id -u)" -eq 0 ]; then python3 benches/whole.py $(BENCH); else sudo python3 benches/whole.py $(BENCH); fi

fuzz: ## fuzz every parser for a minute each (needs cargo-fuzz); FUZZ="-s 3600 rows"
	@fuzz/run $(FUZZ)

man: ## write man/ anew from the command line's definition
	$(CARGO) run --quiet -- man man

clean: ## remove what was built
	$(CARGO) clean
