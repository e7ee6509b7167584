# SPDX-License-Identifier: Apache-2.0
# hushfs: secrets of a service mesh as files.
#
# The two that a newcomer needs (both install what is missing):
#   make run        build, make a store in run/, mount it on run/mnt, say what to try
#   make stop       end that
#   make test       build plain and with sanitizers, run every test; ends with "N passed, N failed"
#
# The others:
#   make            build hushfs and hushctl in build/plain
#   make fuzz       libFuzzer on every target in tests/fuzz, FUZZ_SECONDS each
#   make deb        the Debian package, and one with its debug symbols, in build/
#   make test-deb   build that twice, and try it in a fresh Debian under a systemd of its own; takes minutes, and root
#   make deps       install the Debian packages that building and running take
#   make install    install under DESTDIR and PREFIX;  make uninstall removes what that put there
#   make clean      remove build/
#   make help       print this
#
# Variables:
#   SAN=1           with AddressSanitizer and UBSan, in build/san
#   WERROR=1        warnings are errors (make test sets it)
#   V=1             show the commands
#   ONLY=TEXT       make test: only the programs that have TEXT in their name
#   FUZZ_SECONDS=N  make fuzz: how long a target runs (60)
#   PREFIX=DIR      where installing puts things (/usr/local)
#   DESTDIR=DIR     a folder in front of PREFIX, for packagers
#   CC CFLAGS LDFLAGS  as usual; yours come last

VERSION := 0.1.0
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
CC ?= gcc
BUILD := build/$(if $(SAN),san,plain)

.DEFAULT_GOAL := all
.PHONY: all deps deps-test run stop test fuzz deb test-deb check-arrows install uninstall clean help programs-test programs-fuzz

# --- compiling -------------------------------------------------------------------------------------------------

PKG_CONFIG ?= pkg-config
FUSE_CFLAGS = $(eval FUSE_CFLAGS := $(shell $(PKG_CONFIG) --cflags fuse3))$(FUSE_CFLAGS)
FUSE_LIBS = $(eval FUSE_LIBS := $(shell $(PKG_CONFIG) --libs fuse3))$(FUSE_LIBS)
CONFINE_LIBS = -lseccomp -lcap-ng
STORE_LIBS = -lsodium -lsqlite3 -lyaml -lpthread
TOOLS_LIBS = -lcrypto

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wformat=2 -Wvla \
	$(if $(WERROR),-Werror)
HARDENING := -O2 -g -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection \
	$(if $(filter x86_64 i%86,$(shell uname -m)),-fcf-protection)
SANITIZERS := -fsanitize=address,undefined
SANITIZING := -O1 -g -fno-omit-frame-pointer $(SANITIZERS) -fno-sanitize-recover=all
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -DFUSE_USE_VERSION=314 -DHUSHFS_VERSION='"$(VERSION)"' -I. -fPIE -pthread \
	$(WARNINGS) $(if $(SAN),$(SANITIZING),$(HARDENING)) -MMD -MP $(CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed \
	$(if $(SAN),$(SANITIZERS)) $(LDFLAGS)

JOBS = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
Q := $(if $(V),,@)
say = @$(if $(V),:,printf '  $(1) %s\n' '$@')

objects = $(patsubst %.c,$(BUILD)/%.o,$(1))
STORE := $(call objects,$(wildcard store/*.c))
FS := $(call objects,$(filter-out fs/main.c,$(wildcard fs/*.c)))
TOOLS := $(call objects,$(wildcard tools/*.c))
UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c))
UNIT_HELPERS := $(call objects,$(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c)))
CRASH_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/crash/test_*.c))
BENCHES := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bench/*.c))
CRASH_HELPERS := $(call objects,tests/unit/fixture.c $(filter-out tests/crash/test_%,$(wildcard tests/crash/*.c)))
FUZZERS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_TESTS := $(subst /fuzz_,/test_fuzz_,$(FUZZERS))
FUZZ_HELPERS := $(call objects,tests/unit/fixture.c tests/unit/yaml_same.c)

all: $(BUILD)/hushfs $(BUILD)/hushctl
programs-test: all $(UNIT_TESTS) $(CRASH_TESTS) $(FUZZ_TESTS) $(BENCHES)
programs-fuzz: $(FUZZERS)

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) $(if $(filter fs/% tests/unit/% tests/bench/%,$<),$(FUSE_CFLAGS)) -c -o $@ $<

$(BUILD)/hushfs: $(BUILD)/fs/main.o $(FS) $(STORE)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(FUSE_LIBS) $(CONFINE_LIBS) $(STORE_LIBS)

$(BUILD)/hushctl: $(TOOLS) $(STORE)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(STORE_LIBS) $(TOOLS_LIBS)

$(UNIT_TESTS): %: %.o $(UNIT_HELPERS) $(FS) $(STORE)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(FUSE_LIBS) $(CONFINE_LIBS) $(STORE_LIBS) -lcmocka

# hooks around what changes the disk, at which it dies
comma := ,
REKEY_HOOKS := engine_create engine_commit engine_settle engine_close rename renameat2 unlink fsync fchmod write \
	sqlite3_open_v2
$(BUILD)/tests/crash/test_rekey: ALL_LDFLAGS += $(addprefix -Wl$(comma)--wrap=,$(REKEY_HOOKS))
$(BUILD)/tests/crash/test_rekey: $(call objects,tests/unit/everything.c tools/key.c tools/rotate.c tools/unmounted.c \
	tools/flags.c tools/arena.c)

$(BUILD)/tests/crash/test_anchor: ALL_LDFLAGS += $(addprefix -Wl$(comma)--wrap=,pwrite fdatasync ftruncate rename)

$(CRASH_TESTS): %: %.o $(CRASH_HELPERS) $(STORE)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(STORE_LIBS)

# the same targets twice: with a main of ours for make test, with libFuzzer's for make fuzz
$(FUZZ_TESTS): $(BUILD)/tests/fuzz/test_%: $(BUILD)/tests/fuzz/%.o $(BUILD)/tests/fuzz/replay.o $(FUZZ_HELPERS) $(STORE)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(STORE_LIBS)

$(FUZZERS): %: %.o $(FUZZ_HELPERS) $(STORE)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(STORE_LIBS)

$(BENCHES): %: %.o
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(FUSE_LIBS)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# --- running and testing ---------------------------------------------------------------------------------------

deps:
	@packaging/deps build run

deps-test:
	@packaging/deps build run test

run: deps
	@$(MAKE) $(JOBS) --no-print-directory all
	@packaging/run start $(BUILD)

stop:
	@packaging/run stop

test: deps-test
	@$(MAKE) $(JOBS) --no-print-directory WERROR=1 programs-test
	@$(MAKE) $(JOBS) --no-print-directory WERROR=1 SAN=1 programs-test
	@tests/run build/plain build/san

fuzz:
	@packaging/deps build fuzz
	@$(MAKE) --no-print-directory BUILD=build/fuzz SAN=1 CC=clang SANITIZERS=-fsanitize=fuzzer,address,undefined programs-fuzz
	@tests/fuzz/run build/fuzz $(FUZZ_SECONDS)

check-arrows:
	@tests/check-arrows

# --- installing ------------------------------------------------------------------------------------------------

# bash and fish look for a file by the name of the program; zsh in a folder that Debian calls otherwise below /usr
ZSH := share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
BASH := share/bash-completion/completions
FISH := share/fish/vendor_completions.d
INSTALLED := bin/hushfs bin/hushctl lib/systemd/system/hushfs@.service $(addprefix share/doc/hushfs/,README.md LICENSE) \
	$(foreach page,$(wildcard packaging/man/*),share/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page))) \
	$(BASH)/hushfs $(BASH)/hushctl $(ZSH)/_hushfs $(FISH)/hushfs.fish $(FISH)/hushctl.fish
TO := $(DESTDIR)$(PREFIX)

install: all
	install -d $(sort $(dir $(addprefix $(TO)/,$(INSTALLED))))
	install -m 755 $(BUILD)/hushfs $(BUILD)/hushctl $(TO)/bin
	install -m 644 README.md LICENSE $(TO)/share/doc/hushfs
	$(foreach n,1 5 7,install -m 644 $(wildcard packaging/man/*.$n) $(TO)/share/man/man$n &&) :
	install -m 644 packaging/completions/hushfs.bash $(TO)/$(BASH)/hushfs
	install -m 644 packaging/completions/_hushfs $(TO)/$(ZSH)
	install -m 644 packaging/completions/hushfs.fish $(TO)/$(FISH)
	ln -sf hushfs $(TO)/$(BASH)/hushctl
	ln -sf hushfs.fish $(TO)/$(FISH)/hushctl.fish
	sed 's,/usr/bin/,$(PREFIX)/bin/,' packaging/systemd/hushfs@.service >$(BUILD)/hushfs@.service
	install -m 644 $(BUILD)/hushfs@.service $(TO)/lib/systemd/system

uninstall:
	rm -f $(addprefix $(TO)/,$(INSTALLED))
	rmdir --ignore-fail-on-non-empty $(TO)/share/doc/hushfs 2>/dev/null || true

deb:
	@packaging/deps build deb
	@packaging/deb build $(VERSION)

test-deb:
	@packaging/deps build deb test-deb
	@tests/packaging/test_deb

clean:
	rm -rf build

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile
