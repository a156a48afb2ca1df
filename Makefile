# The two commands: `make demo` shows it, `make test` tests it. Everything else is in the tools
# this calls: cargo, and where they are there cmake and go.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
CARGO ?= cargo
BUILD ?= build

WINDOWS ?= /opt/netipc-windows

.PHONY: help demo test test-rust test-c test-go test-windows test-windows-rust test-windows-c test-windows-go test-cross test-msrv test-loom test-interop interop interop-windows interop-peers bench bench-peers clean rust-toolchain c-compiler c-toolchain

help:
	@echo 'make demo       watch a provider serve the cgroups of this machine'
	@echo 'make test       formatting, lints, all tests, documentation'
	@echo 'make test-c     the C tests alone; make test-go: the Go tests alone'
	@echo 'make test-windows  all that as Windows programs, under Wine; also -rust, -c and -go'
	@echo 'make test-cross    the Rust tests as 32-bit programs, and on an emulated ARM'
	@echo 'make test-loom     lanes, rings, holds and permits under every order of their atomics'
	@echo 'make test-msrv     compile with the oldest Rust that is promised'
	@echo 'make interop    run every pair of Rust, C and Go programs against each other'
	@echo 'make interop-windows  the same with programs for Windows, under Wine'
	@echo 'make bench      measure on this machine, beside the floors'

demo: rust-toolchain
	@$(CARGO) run --quiet --release -p netipc-cli -- demo

test: test-rust test-c test-go test-interop

test-rust: rust-toolchain c-compiler
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	# The tests of the C headers look into the library, which cargo test alone does not build.
	$(CARGO) build -p netipc-c
	$(CARGO) test --workspace
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps

# ctest also runs the Rust and Go tests for those who come from cmake; here only the C ones are picked.
test-c: rust-toolchain c-toolchain
	@if command -v cmake >/dev/null; then \
		cmake -S . -B $(BUILD) >/dev/null && cmake --build $(BUILD) && \
		ctest --test-dir $(BUILD) --output-on-failure -LE 'rust|go'; \
	else echo 'skipped: the C tests need cmake'; fi

test-go:
	@if tools/go-usable; then \
		cd src/go && export CGO_ENABLED=0 && go vet ./... && go test ./... && \
		GOOS=windows go vet ./... && GOOS=darwin go vet ./... && \
		cd ../../bench/go && go vet ./... && go test ./... && \
		cd ../../interop/go && go vet ./...; \
	else echo 'skipped: the Go tests'; fi

# Everything that runs under Wine, in each language and between them. Sets up what it needs in
# $(WINDOWS), which takes minutes the first time. At the end Wine's own programs are stopped, too.
test-windows: test-windows-rust test-windows-c test-windows-go interop-windows
	@. $(WINDOWS)/env.sh && /usr/lib/wine/wineserver64 -k || true

test-windows-rust: rust-toolchain
	@tools/windows-toolchain $(WINDOWS)
	. $(WINDOWS)/env.sh && $$NETIPC_CLIPPY -p netipc-proto -p netipc --all-targets -- -D warnings && \
	$(CARGO) test -p netipc-proto -p netipc

# The oldest Rust that is promised, which warns of some things that newer ones do not.
test-msrv:
	rustup toolchain install --profile minimal 1.88.0
	rustup run 1.88.0 cargo check --workspace --all-targets

# Every order in which two threads may run and see each other's writes: takes minutes.
test-loom: rust-toolchain
	RUSTFLAGS='--cfg loom' $(CARGO) test --release -p netipc --test loom

# Wide and narrow words: all tests on i686, whose programs run by themselves; on aarch64, emulated,
# those that neither start themselves again nor ask the emulator for more than it has. On systems
# without a carrier it must at least compile.
test-cross: rust-toolchain
	@tools/cross-toolchain
	CARGO_TARGET_I686_UNKNOWN_LINUX_MUSL_LINKER=i686-linux-gnu-gcc \
		$(CARGO) test -p netipc-proto -p netipc --lib --tests --target i686-unknown-linux-musl
	export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
		CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER='qemu-aarch64 -L /usr/aarch64-linux-gnu' \
		CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu; \
	$(CARGO) test -p netipc-proto --lib --tests && \
	$(CARGO) test -p netipc --lib -- shm::tests sys::tests table batch --skip processes_converse && \
	$(CARGO) test -p netipc --test calls --test greetings --test lookups --test retries
	$(CARGO) check -p netipc-proto -p netipc --target x86_64-apple-darwin --target x86_64-unknown-freebsd

# The C tests as Windows programs, under Wine; and, by the cross compiler, whether headers and library
# say the same.
test-windows-c: rust-toolchain c-toolchain
	@tools/windows-toolchain $(WINDOWS)
	. $(WINDOWS)/env.sh && $$NETIPC_CLIPPY -p netipc-c -- -D warnings
	@if command -v cmake >/dev/null; then \
		. $(WINDOWS)/env.sh && $(CMAKE_WINDOWS) && \
		cmake --build $(BUILD)/windows && \
		ctest --test-dir $(BUILD)/windows --output-on-failure -LE 'rust|go'; \
	else echo 'skipped: the C tests need cmake'; fi
	@if [ -e $(BUILD)/windows/bin/netipc.dll ]; then \
		NETIPC_WINDOWS_LIBRARY=$(abspath $(BUILD))/windows/bin/netipc.dll \
			$(CARGO) test -p netipc-c --test headers; fi

CMAKE_WINDOWS = cmake -S . -B $(BUILD)/windows \
	-DCMAKE_TOOLCHAIN_FILE=$(CURDIR)/cmake/mingw-w64.cmake >/dev/null

# The Go tests as Windows programs, under Wine.
test-windows-go:
	@tools/windows-toolchain $(WINDOWS)
	@if tools/go-usable; then \
		. $(WINDOWS)/env.sh && cd src/go && export GOOS=windows CGO_ENABLED=0 && \
		go vet ./... && go test -exec "$$CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER" ./...; \
	else echo 'skipped: the Go tests'; fi

# Every pair of the peers that can be built here, see interop/README.md. INTEROP takes options.
interop: interop-peers
	$(RUN_INTEROP) $(INTEROP)

# The same with fewer keys, in seconds.
test-interop: interop-peers
	$(RUN_INTEROP) --quick

RUN_INTEROP = $(CARGO) run -q -p netipc-interop --bin netipc-interop -- --peers $(BUILD)/interop

# The peers as Windows programs, under Wine, of which one program keeps alive what it starts in the
# background: else whoever starts it anew is said to leave that behind.
interop-windows: rust-toolchain
	@tools/windows-toolchain $(WINDOWS)
	$(CARGO) build -p netipc-interop
	(. $(WINDOWS)/env.sh && $(CARGO) build -p netipc-interop --bin netipc-interop-rust)
	@target=$${CARGO_TARGET_DIR:-target}; wine=$(WINDOWS)/wine; mkdir -p $(BUILD)/interop; \
	cp $$target/x86_64-pc-windows-gnu/debug/netipc-interop-rust.exe $(BUILD)/interop; \
	peers=(--peer "w-rust=$$wine $(abspath $(BUILD))/interop/netipc-interop-rust.exe" --dir-prefix w-rust=Z:); \
	if tools/go-usable; then \
		(cd interop/go && GOOS=windows CGO_ENABLED=0 \
			go build -o $(abspath $(BUILD))/interop/netipc-interop-go.exe .); \
		peers+=(--peer "w-go=$$wine $(abspath $(BUILD))/interop/netipc-interop-go.exe" --dir-prefix w-go=Z:); \
	fi; \
	if command -v cmake >/dev/null; then \
		(. $(WINDOWS)/env.sh && $(CMAKE_WINDOWS) && \
			cmake --build $(BUILD)/windows --target netipc-interop-c); \
		peers+=(--peer "w-c=$$wine $(abspath $(BUILD))/windows/bin/netipc-interop-c.exe" --dir-prefix w-c=Z:); \
	fi; \
	. $(WINDOWS)/env.sh; exec 9> >($$wine cmd >/dev/null 2>&1); $$wine cmd /c exit; \
	$$target/debug/netipc-interop --without rust --without c --without go "$${peers[@]}" --quick $(INTEROP) 9>&-

interop-peers: rust-toolchain c-toolchain
	$(CARGO) build -p netipc-interop
	@if command -v cmake >/dev/null; then \
		cmake -S . -B $(BUILD) >/dev/null && cmake --build $(BUILD) --target netipc-interop-c; \
	fi
	@if tools/go-usable; then cd interop/go && \
		CGO_ENABLED=0 go build -o $(abspath $(BUILD))/interop/netipc-interop-go .; \
	fi

# The peers in C and Go take part where their tools are. BENCH takes options, such as --quick.
bench: bench-peers
	@peers=(); for name in c go; do \
		if [ -x $(BUILD)/bench/netipc-bench-$$name ]; then \
			peers+=(--peer "$$name=$(abspath $(BUILD))/bench/netipc-bench-$$name"); fi; done; \
	$(CARGO) run --release -p netipc-bench -- "$${peers[@]}" $(BENCH)

bench-peers: rust-toolchain c-toolchain
	@if command -v cmake >/dev/null; then \
		cmake -S . -B $(BUILD) >/dev/null && cmake --build $(BUILD) --target netipc-bench-c; \
	fi
	@if tools/go-usable; then cd bench/go && \
		CGO_ENABLED=0 go build -o $(abspath $(BUILD))/bench/netipc-bench-go .; \
	fi

clean:
	$(CARGO) clean
	rm -rf $(BUILD)

# What is missing is installed where that is possible without asking (as root on Debian), and named
# where it is not.
rust-toolchain:
	@command -v $(CARGO) >/dev/null || { \
		echo 'netipc needs Rust 1.88 or later: install it with rustup (https://rustup.rs)' >&2; exit 1; }

c-compiler:
	@command -v cc >/dev/null || tools/install gcc libc6-dev

c-toolchain: c-compiler
	@command -v cmake >/dev/null || tools/install cmake make pkg-config || true
	@command -v c++ >/dev/null || tools/install g++ || true
