# Portalcast. `make help` lists what can be done; every step of CI is a target here.
#
# One file, not recursive. A variant (release, san, fuzz) has a build directory of its own; when the flags change,
# everything of that variant is built again.

VARIANT ?= release
ifeq ($(VARIANT),release)
BUILD := build
else
BUILD := build/$(VARIANT)
endif
BIN := $(BUILD)/bin
OBJ := $(BUILD)/obj
VERSION := 0.1.0
# make V=1 shows the commands, make -s nothing.
Q   := $(if $(V),,@)
SAY := $(if $(findstring s,$(firstword -$(MAKEFLAGS))),@:,@echo)

ifeq ($(VARIANT),fuzz)
CC := $(firstword $(shell command -v clang-14 clang) clang)
else
CC ?= cc
endif
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wswitch-enum \
            -Wformat=2 -Wundef -Wpointer-arith -Wwrite-strings -Werror
ifeq ($(VARIANT),fuzz)
WARNINGS := -w
endif
OPTIMIZE_release := -O2 -g
OPTIMIZE_san     := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
OPTIMIZE_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
OPTIMIZE := $(OPTIMIZE_$(VARIANT))
CFLAGS   := -std=c11 -D_GNU_SOURCE -I. $(WARNINGS) $(OPTIMIZE) -fno-common -pthread -DVERSION='"$(VERSION)"'
LDFLAGS  := $(OPTIMIZE) -pthread -Wl,--as-needed

# Library headers are found by pkg-config; only the files named in tests/lint/layers may include them.
PACKAGES := libwebsockets libuv librabbitmq libjwt libcurl sqlite3 libmongoc-1.0 libcrypto glib-2.0
LIBS     := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)
INCLUDES := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(PACKAGES) 2>/dev/null))

sources = $(sort $(wildcard $(1)/*.c) $(wildcard $(1)/*/*.c))
objects = $(patsubst %.c,$(OBJ)/%.o,$(1))

SHARED_SRC := $(call sources,shared)
SM_SRC     := $(call sources,state-manager)
GW_SRC     := $(call sources,portal-gateway)
CTL_SRC    := $(call sources,portalctl)
UNIT_SRC   := $(wildcard tests/unit/*.c tests/contract/*.c)

SHARED_LIB := $(OBJ)/libshared.a
SM_LIB     := $(OBJ)/libstate-manager.a
GW_LIB     := $(OBJ)/libportal-gateway.a
CTL_LIB    := $(OBJ)/libportalctl.a
BINARIES   := $(BIN)/state-manager $(BIN)/portal-gateway $(BIN)/portalctl

.DEFAULT_GOAL := build
.PHONY: build
build: $(BINARIES) ## build both services and portalctl into build/bin

# Rebuild when compiler or flags change (the stamp's time moves only then).
FLAGS_STAMP := $(OBJ)/flags
FLAGS_NOW   := $(CC) $(CFLAGS) $(LDFLAGS) $(LIBS)
$(shell mkdir -p $(OBJ); [ "$$(cat $(FLAGS_STAMP) 2>/dev/null)" = '$(subst ','\'',$(FLAGS_NOW))' ] || printf '%s' '$(subst ','\'',$(FLAGS_NOW))' > $(FLAGS_STAMP))

$(OBJ)/%.o: %.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(SAY) "  cc   $<"
	$(Q)$(CC) $(CFLAGS) $(INCLUDES) -MMD -MP -c -o $@ $<

$(SHARED_LIB): $(call objects,$(SHARED_SRC))
$(SM_LIB): $(call objects,$(filter-out state-manager/main.c,$(SM_SRC)))
$(GW_LIB): $(call objects,$(filter-out portal-gateway/main.c,$(GW_SRC)))
$(CTL_LIB): $(call objects,$(filter-out portalctl/main.c,$(CTL_SRC)))
$(OBJ)/lib%.a:
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BIN)/state-manager: $(OBJ)/state-manager/main.o $(SM_LIB) $(SHARED_LIB)
$(BIN)/portal-gateway: $(OBJ)/portal-gateway/main.o $(GW_LIB) $(SHARED_LIB)
$(BIN)/portalctl: $(OBJ)/portalctl/main.o $(CTL_LIB) $(SM_LIB) $(SHARED_LIB)
$(BIN)/unit-tests: $(call objects,$(UNIT_SRC)) $(CTL_LIB) $(SM_LIB) $(GW_LIB) $(SHARED_LIB)
$(BIN)/store-check: $(OBJ)/tests/faults/store_check.o $(SM_LIB) $(SHARED_LIB)
$(BIN)/unit-tests: EXTRA_LIBS := $(shell pkg-config --libs check 2>/dev/null)

FUZZ_NAMES    := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BINARIES := $(FUZZ_NAMES:%=$(BIN)/fuzz-%)
FUZZ_MAIN     := $(if $(filter-out fuzz,$(VARIANT)),$(OBJ)/tests/fuzz/replay.o)
# A harness knows one service at most: both have tables of the same names.
FUZZ_STORE           := $(OBJ)/tests/fuzz/one_conversation.o
FUZZ_LIB_changes     := $(SM_LIB)
FUZZ_LIB_foreign     := $(SM_LIB)
FUZZ_LIB_path        := $(SM_LIB)
FUZZ_LIB_query       := $(SM_LIB)
FUZZ_LIB_rest        := $(FUZZ_STORE) $(SM_LIB)
FUZZ_LIB_rpc_request := $(FUZZ_STORE) $(SM_LIB)
FUZZ_LIB_webhook     := $(SM_LIB)
FUZZ_LIB_write       := $(SM_LIB)
FUZZ_LIB_backup      := $(CTL_LIB) $(SM_LIB)
FUZZ_LIB_profile     := $(CTL_LIB)
FUZZ_LIB_beat        := $(GW_LIB)
FUZZ_LIB_eio_payload := $(GW_LIB)
FUZZ_LIB_handshake   := $(GW_LIB)
FUZZ_LIB_peer_answer := $(GW_LIB)
FUZZ_LIB_pid         := $(GW_LIB)
FUZZ_LIB_portal      := $(GW_LIB)
FUZZ_LIB_rpc_answer  := $(GW_LIB)
FUZZ_LIB_sio_packet  := $(GW_LIB)
FUZZ_LIB_sio_session := $(GW_LIB)
FUZZ_LIB_ws_message  := $(GW_LIB)
.SECONDEXPANSION:
$(FUZZ_BINARIES): $(BIN)/fuzz-%: $(OBJ)/tests/fuzz/fuzz_%.o $(FUZZ_MAIN) $$(FUZZ_LIB_$$*) $(SHARED_LIB)
$(FUZZ_BINARIES): EXTRA_LIBS := $(if $(filter fuzz,$(VARIANT)),-fsanitize=fuzzer)

$(BINARIES) $(BIN)/unit-tests $(BIN)/store-check $(FUZZ_BINARIES):
	@mkdir -p $(@D)
	$(SAY) "  link $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) $(EXTRA_LIBS)

# What stands between a program and the C library while a test makes the disk, the clock or the memory fail: the same
# for every variant.
LAYERS      := $(patsubst %,build/lib/fault-%.so,disk clock memory)
LAYER_FLAGS := -std=c11 -D_GNU_SOURCE -I. $(WARNINGS) -O2 -g -fno-common -pthread -fPIC -shared
build/lib/fault-disk.so: $(wildcard tests/faults/layer/disk*.c) tests/faults/layer/files.c
build/lib/fault-clock.so: tests/faults/layer/clock.c
build/lib/fault-memory.so: tests/faults/layer/memory.c
$(LAYERS): $(wildcard tests/faults/layer/*.h) Makefile
	@mkdir -p $(@D)
	$(SAY) "  link $@"
	$(Q)$(CC) $(LAYER_FLAGS) -o $@ $(filter %.c,$^)

.PHONY: layers
layers: $(LAYERS)

NODE_MODULES := tests/node_modules/.package-lock.json
$(NODE_MODULES): tests/package-lock.json
	cd tests && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# Python's part of the tests: a server of MongoDB's wire protocol, a client of Socket.IO.
TEST_VENV := build/test-venv/installed
$(TEST_VENV): tests/requirements.txt
	python3 -m venv build/test-venv
	build/test-venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)

# --- tests; the programs of a variant: make VARIANT=san unit ---

export ASAN_OPTIONS ?= detect_leaks=1:exitcode=99:abort_on_error=0
export UBSAN_OPTIONS ?= print_stacktrace=1:halt_on_error=1:exitcode=99
STEPS := tests/lib/steps

.PHONY: programs unit blackbox blackbox-mongo conformance replay test check san san-short san-% test-needs
programs: $(BINARIES) $(BIN)/unit-tests $(BIN)/store-check $(FUZZ_BINARIES) $(LAYERS)

unit: $(BIN)/unit-tests $(TEST_VENV) ## unit and store contract tests; T=name selects one suite
	CK_RUN_SUITE="$(T)" $(if $(filter-out release,$(VARIANT)),CK_FORK=no) \
	    tests/lib/with-mongo tests/lib/unit-counts $(BIN)/unit-tests

blackbox: $(BINARIES) $(BIN)/store-check $(LAYERS) $(NODE_MODULES) $(TEST_VENV) ## the real programs with a private broker and the official client; T=name selects
	BIN_DIR=$(abspath $(BIN)) SHORT=$(SHORT) node tests/lib/run.mjs $(T)

blackbox-mongo: $(BINARIES) $(LAYERS) $(NODE_MODULES) $(TEST_VENV) ## the same on a MongoDB server (MONGODB_TEST_URL, or one of the run's own)
	BIN_DIR=$(abspath $(BIN)) STORE=mongo node tests/lib/run.mjs $(T)

conformance: $(BINARIES) $(NODE_MODULES) $(TEST_VENV) ## Engine.IO and Socket.IO row by row, and every client there is
	BIN_DIR=$(abspath $(BIN)) node tests/lib/run.mjs conformance polling clients python

replay: $(FUZZ_BINARIES) ## every file of the fuzz corpus once
	tests/fuzz/replay $(BIN)

# Installed first: what pkg-config says is read when make starts.
test: test-needs ## everything but lint and sanitizers; installs what it needs
	@$(STEPS) programs unit blackbox blackbox-mongo replay

check: test-needs ## what CI runs: lint, test, three minutes of faults, and unit + black box (without the longest) + replay under ASan and UBSan
	@$(STEPS) programs unit,lint blackbox,san-programs blackbox-mongo replay faults san-unit san-short san-replay

san: test-needs ## unit, black box and corpus replay under ASan and UBSan
	@$(STEPS) san-programs san-unit san-blackbox san-replay

san-short:
	@$(MAKE) --no-print-directory VARIANT=san SHORT=1 blackbox

san-%:
	@$(MAKE) --no-print-directory VARIANT=san $*

test-needs:
	@deploy/install build run test
	@$(MAKE) --no-print-directory $(NODE_MODULES) $(TEST_VENV)

# --- fuzz: libFuzzer brings its own main; elsewhere replay.c feeds the files it is given ---

.PHONY: fuzz fuzz-run
fuzz: ## libFuzzer with sanitizers, FUZZ_SECONDS (30) for each parser; T=name selects one
	@deploy/install build test
	@$(MAKE) --no-print-directory VARIANT=fuzz fuzz-run

fuzz-run: $(if $(T),$(BIN)/fuzz-$(T),$(FUZZ_BINARIES))
	FUZZ_SECONDS=$(or $(FUZZ_SECONDS),30) tests/fuzz/run $(BIN) $^

# --- faults: everything is broken under load ---

.PHONY: faults faults-run
faults: ## break everything, lose nothing: SEED=n MINUTES=m (3) STORE=sqlite|mongo; ONLY=ids SHRINK=1 to look closer
	@deploy/install build run test
	@$(MAKE) --no-print-directory faults-run

faults-run: $(BINARIES) $(LAYERS) $(NODE_MODULES) $(TEST_VENV)
	node --test --test-reporter=dot tests/faults/*.test.mjs
	BIN_DIR=$(abspath $(BIN)) SEED=$(SEED) MINUTES=$(MINUTES) STORE=$(STORE) ONLY=$(ONLY) SHRINK=$(SHRINK) node tests/faults/run.mjs

# --- code style ---

.PHONY: lint format format-check
lint: ## layers, banned calls, headers alone, sizes, whitespace, format, docs against code, scripts
	tests/lint/run

format: ## rewrite the C sources with clang-format 14
	tests/lint/format --fix

format-check: ## say what `make format` would change
	tests/lint/format

# --- the rest ---

.PHONY: run up bench clean help
run: ## the whole system here: broker, services, demo tenant with live traffic, the page's URL; Ctrl-C ends it
	@deploy/run

up: ## the whole system in containers: docker compose with the secrets of .env (deploy/README.md)
	docker compose up --build

bench: ## cost side by side with the floor and Node peers, and at a million messages (3 GB in TMPDIR, some minutes); ONLY=part
	@deploy/install build run test bench
	@$(MAKE) --no-print-directory build
	BIN_DIR=$(abspath $(BIN)) node tests/bench/run.mjs

clean: ## remove everything that was built
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
