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

CC ?= cc
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wswitch-enum \
            -Wformat=2 -Wundef -Wpointer-arith -Wwrite-strings -Werror
OPTIMIZE_release := -O2 -g
OPTIMIZE_san     := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
OPTIMIZE := $(OPTIMIZE_$(VARIANT))
CFLAGS   := -std=c11 -D_GNU_SOURCE -I. $(WARNINGS) $(OPTIMIZE) -fno-common -pthread -DVERSION='"$(VERSION)"'
LDFLAGS  := $(OPTIMIZE) -pthread -Wl,--as-needed

# Library headers are found by pkg-config; only the files named in tests/lint/layers may include them.
PACKAGES := libwebsockets libuv librabbitmq libjwt libcurl sqlite3 libcrypto
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
	$(CC) $(CFLAGS) $(INCLUDES) -MMD -MP -c -o $@ $<

$(SHARED_LIB): $(call objects,$(SHARED_SRC))
$(SM_LIB): $(call objects,$(filter-out state-manager/main.c,$(SM_SRC)))
$(GW_LIB): $(call objects,$(filter-out portal-gateway/main.c,$(GW_SRC)))
$(OBJ)/lib%.a:
	@rm -f $@
	ar rcs $@ $^

$(BIN)/state-manager: $(OBJ)/state-manager/main.o $(SM_LIB) $(SHARED_LIB)
$(BIN)/portal-gateway: $(OBJ)/portal-gateway/main.o $(GW_LIB) $(SHARED_LIB)
$(BIN)/portalctl: $(call objects,$(CTL_SRC)) $(SHARED_LIB)
$(BIN)/unit-tests: $(call objects,$(UNIT_SRC)) $(SM_LIB) $(GW_LIB) $(SHARED_LIB)
$(BIN)/unit-tests: EXTRA_LIBS := $(shell pkg-config --libs check 2>/dev/null)
$(BINARIES) $(BIN)/unit-tests:
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) $(EXTRA_LIBS)

-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)

.PHONY: unit clean help
unit: $(BIN)/unit-tests ## unit and store contract tests; T=name selects one suite
	CK_RUN_SUITE="$(T)" $(BIN)/unit-tests

clean: ## remove everything that was built
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
