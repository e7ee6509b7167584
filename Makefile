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
#   make soak       all that takes hours, under every tool there is; ends with "N passed, N failed" too
#   make lint       clang-tidy, cppcheck and gcc -fanalyzer find nothing
#   make coverage   run every test on a build that counts; how much of store/ and fs/ they ran
#   make bench      measure it beside other filesystems, into tests/bench/RESULTS.md (as root, minutes, on a machine that does nothing else)
#   make deb        the Debian package, and one with its debug symbols, in build/
#   make test-deb   build that twice, and try it in a fresh Debian under a systemd of its own; takes minutes, and root
#   make deps       install the Debian packages that building and running take
#   make install    install under DESTDIR and PREFIX;  make uninstall removes what that put there
#   make clean      remove build/
#   make help       print this
#
# Variables:
#   SAN=1           with AddressSanitizer and UBSan, in build/san
#   SAN=thread      with ThreadSanitizer, in build/tsan
#   VALGRIND=1      to run under valgrind, in build/valgrind;  COVERAGE=1 with gcov, in build/cov
#   WERROR=1        warnings are errors (make test sets it)
#   V=1             show the commands
#   ONLY=TEXT       make test: only the programs that have TEXT in their name
#   FUZZ_SECONDS=N  make fuzz: how long a target runs (60; make soak: 3600)
#   PREFIX=DIR      where installing puts things (/usr/local)
#   DESTDIR=DIR     a folder in front of PREFIX, for packagers
#   CC CFLAGS LDFLAGS  as usual; yours come last

VERSION := 0.1.0
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
CC ?= gcc
KIND := $(if $(COVERAGE),cov,$(if $(VALGRIND),valgrind,$(if $(filter thread,$(SAN)),tsan,$(if $(SAN),san,plain))))
BUILD := build/$(KIND)

.DEFAULT_GOAL := all
.PHONY: all deps deps-test run stop test soak fuzz lint coverage bench deb test-deb check-arrows install uninstall clean help programs-test programs-fuzz

# --- compiling -------------------------------------------------------------------------------------------------

PKG_CONFIG ?= pkg-config
FUSE_CFLAGS = $(eval FUSE_CFLAGS := $(shell $(PKG_CONFIG) --cflags fuse3))$(FUSE_CFLAGS)
FUSE_LIBS = $(eval FUSE_LIBS := $(shell $(PKG_CONFIG) --libs fuse3))$(FUSE_LIBS)
CONFINE_LIBS = -lseccomp -lcap-ng
STORE_LIBS = -lsodium -lgcrypt -lsqlite3 -lyaml -lbsd -lpthread
TOOLS_LIBS = -lcrypto

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wformat=2 -Wvla \
	$(if $(WERROR),-Werror)
comma := ,
wrap = $(addprefix -Wl$(comma)--wrap=,$(1))
HARDENING := -O2 -g -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection \
	$(if $(filter x86_64 i%86,$(shell uname -m)),-fcf-protection)
SANITIZERS := -fsanitize=$(if $(filter tsan,$(KIND)),thread,address$(comma)undefined)
SANITIZING := -O1 -g -fno-omit-frame-pointer $(SANITIZERS) -fno-sanitize-recover=all
# what each kind of build is compiled with, and what it puts in front of calls of libc
COMPILE_plain := $(HARDENING)
COMPILE_san := $(SANITIZING)
COMPILE_tsan := $(SANITIZING)
COMPILE_cov := -O0 -g --coverage
COMPILE_valgrind := -O1 -g
FRONT_cov := $(BUILD)/tests/coverage/dump.o
FRONT_valgrind := $(BUILD)/tests/valgrind/unknown.o
LINK_san := $(SANITIZERS)
LINK_tsan := $(SANITIZERS)
LINK_cov := --coverage $(call wrap,_exit execveat prctl) $(FRONT_cov)
LINK_valgrind := $(FRONT_valgrind)
# what watches a program makes system calls that its sandbox does not foresee
INSTRUMENTED := $(if $(filter plain,$(KIND)),,-DHUSHFS_INSTRUMENTED)

LANGUAGE = -std=gnu11 -D_GNU_SOURCE -DFUSE_USE_VERSION=314 -DHUSHFS_VERSION='"$(VERSION)"' -I.
ALL_CFLAGS = $(LANGUAGE) -fPIE -pthread $(WARNINGS) $(INSTRUMENTED) $(COMPILE_$(KIND)) -MMD -MP $(CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed $(LINK_$(KIND)) $(LDFLAGS)

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
FUZZERS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_TESTS := $(subst /fuzz_,/test_fuzz_,$(FUZZERS))
FUZZ_PARTS := $(call objects,tests/unit/fixture.c tests/unit/kernel.c tests/unit/yaml_same.c) $(FS) \
	$(filter-out %/main.o,$(TOOLS)) $(STORE)
FUZZ_LIBS = $(FUSE_LIBS) $(CONFINE_LIBS) $(STORE_LIBS) $(TOOLS_LIBS)

all: $(BUILD)/hushfs $(BUILD)/hushctl
	@: # not to say that there is nothing to be done
programs-test: all $(UNIT_TESTS) $(CRASH_TESTS) $(FUZZ_TESTS) $(BENCHES)
programs-fuzz: $(FUZZERS)

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) $(if $(filter fs/% tests/%,$<),$(FUSE_CFLAGS)) -c -o $@ $<

$(BUILD)/hushfs: $(BUILD)/fs/main.o $(FS) $(STORE)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(FUSE_LIBS) $(CONFINE_LIBS) $(STORE_LIBS)

$(BUILD)/hushctl: $(TOOLS) $(STORE)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(STORE_LIBS) $(TOOLS_LIBS)

# what a unit test puts its own in the place of
UNIT_WRAPS_apply := store_run
UNIT_WRAPS_clock := clock_gettime
UNIT_WRAPS_crypto := open sodium_init
UNIT_WRAPS_engine := folder_open fstat fsync posix_fallocate sqlite3_file_control stat statvfs
UNIT_WRAPS_folder := fchown renameat2 unlink
UNIT_WRAPS_header := crypto_pwhash
UNIT_WRAPS_key := fstat read readpassphrase
UNIT_WRAPS_lines := calloc control_job_run helper_hear memfd_create pthread_cond_clockwait reallocarray seccomp_init
UNIT_WRAPS_ops := read
UNIT_WRAPS_publish := batch_get batch_push_value engine_commit engine_get_at index_node pwrite seal_open_value
UNIT_WRAPS_rekey := folder_give index_find index_version seal_manifest seal_value_hash store_fetch store_load unlink
UNIT_WRAPS_reserve := fallocate
UNIT_WRAPS_store_versions := calloc engine_scan pthread_create record_pack
$(UNIT_TESTS): ALL_LDFLAGS += $(call wrap,$(UNIT_WRAPS_$(patsubst test_%,%,$(@F))))
$(UNIT_TESTS): %: %.o $(UNIT_HELPERS) $(FS) $(STORE)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(FUSE_LIBS) $(CONFINE_LIBS) $(STORE_LIBS) -lcmocka

# hooks around what changes the disk, at which it dies
REKEY_HOOKS := engine_create engine_commit engine_settle engine_close rename renameat2 unlink fsync fchmod write \
	sqlite3_open_v2
$(BUILD)/tests/crash/test_rekey: ALL_LDFLAGS += $(call wrap,$(REKEY_HOOKS))
$(BUILD)/tests/crash/test_rekey: $(call objects,tests/unit/everything.c tools/key.c tools/rotate.c tools/unmounted.c \
	tools/flags.c tools/arena.c)

$(BUILD)/tests/crash/test_anchor: ALL_LDFLAGS += $(call wrap,pwrite fdatasync ftruncate rename)
$(addprefix $(BUILD)/tests/crash/test_,every_bit rows): $(BUILD)/tests/crash/children.o

# helpers as threads, where they are started thousands of times
HELPER_THREAD_HOOKS := helper_start channel_receive_bytes

# what memory comes from; without sanitizers malloc is the program's own
NOMEM_HOOKS := secmem_alloc secbuf_resize secbuf_write mmap mlock2 pthread_create memfd_create socketpair \
	$(if $(INSTRUMENTED),malloc calloc realloc reallocarray strdup asprintf gcry_cipher_open)
NOMEM_TESTS := $(BUILD)/tests/crash/test_nomem $(BUILD)/tests/crash/test_nomem_fs
$(NOMEM_TESTS): ALL_LDFLAGS += $(call wrap,$(NOMEM_HOOKS))
$(NOMEM_TESTS): $(call objects,tests/crash/nomem.c tests/crash/state.c)
$(BUILD)/tests/crash/test_nomem_fs: ALL_LDFLAGS += $(call wrap,$(HELPER_THREAD_HOOKS))
$(BUILD)/tests/crash/test_nomem_fs: $(call objects,tests/unit/kernel.c tests/fuzz/helper_thread.c) $(FS)

# a disk that fails: hooks around the calls that store/ makes besides SQLite's
FAULT_HOOKS := open fsync unlink rename renameat2 fallocate posix_fallocate pread stat fstat statvfs sqlite3_wal_hook
FAULT_TESTS := $(addprefix $(BUILD)/tests/crash/test_,ioerr power)
$(FAULT_TESTS): ALL_LDFLAGS += $(call wrap,$(FAULT_HOOKS))
$(FAULT_TESTS): $(call objects,$(addprefix tests/crash/,calls.c disk.c fault.c vfs.c))
$(BUILD)/tests/crash/test_power: ALL_LDFLAGS += $(call wrap,engine_commit engine_create)

$(CRASH_TESTS): %: %.o $(BUILD)/tests/crash/tap.o $(BUILD)/tests/unit/fixture.o $(STORE)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(FUSE_LIBS) $(CONFINE_LIBS) $(STORE_LIBS)

# in the place of what a target is not to do, or is to be told
FUZZ_WRAPS_arguments := target_mount_open target_store_open key_read key_read_new store_rekey input_read arena_init secmem_deinit
FUZZ_WRAPS_fuse := $(HELPER_THREAD_HOOKS)
FUZZ_WRAPS_header := crypto_pwhash
FUZZ_WRAPS_mountinfo := fopen
FUZZ_WRAPS_rows := engine_scan
$(FUZZERS) $(FUZZ_TESTS): ALL_LDFLAGS += $(call wrap,$(FUZZ_WRAPS_$(lastword $(subst fuzz_, ,$(@F)))))

$(BUILD)/tests/fuzz/fuzz_fuse $(BUILD)/tests/fuzz/test_fuzz_fuse: $(BUILD)/tests/fuzz/helper_thread.o

# the same targets twice: with a main of ours for make test, with libFuzzer's for make fuzz
$(FUZZ_TESTS): $(BUILD)/tests/fuzz/test_%: $(BUILD)/tests/fuzz/%.o $(BUILD)/tests/fuzz/replay.o $(FUZZ_PARTS)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(FUZZ_LIBS)

$(FUZZERS): %: %.o $(FUZZ_PARTS)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(FUZZ_LIBS)

$(BUILD)/tests/bench/fill: $(STORE)
$(BENCHES): %: %.o
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(FUSE_LIBS) $(STORE_LIBS)

$(BUILD)/hushfs $(BUILD)/hushctl $(UNIT_TESTS) $(CRASH_TESTS) $(FUZZ_TESTS) $(BUILD)/tests/bench/floor: | $(FRONT_$(KIND))

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

lint:
	@packaging/deps build test lint
	@tests/lint/run $(LANGUAGE) $(FUSE_CFLAGS)

soak: deps-test
	@packaging/deps soak
	@for kind in '' SAN=1 SAN=thread VALGRIND=1; do $(MAKE) $(JOBS) --no-print-directory WERROR=1 $$kind programs-test || exit 1; done
	@tests/soak $(MAKE) --no-print-directory

coverage: deps-test
	@packaging/deps coverage
	@$(MAKE) --no-print-directory WERROR=1 COVERAGE=1 programs-test
	@tests/coverage/run build/cov

bench:
	@packaging/deps build run bench
	@$(MAKE) $(JOBS) --no-print-directory all $(BENCHES)
	@tests/bench/bench

check-arrows:
	@tests/check-arrows

# --- installing ------------------------------------------------------------------------------------------------

# bash and fish look for a file by the name of the program; zsh in a folder that Debian calls otherwise below /usr
ZSH := share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
BASH := share/bash-completion/completions
FISH := share/fish/vendor_completions.d
EXAMPLES := $(sort $(shell cd packaging && find examples -type f))
INSTALLED := bin/hushfs bin/hushctl lib/systemd/system/hushfs@.service $(addprefix share/doc/hushfs/,README.md LICENSE $(EXAMPLES)) \
	$(foreach page,$(wildcard packaging/man/*),share/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page))) \
	$(BASH)/hushfs $(BASH)/hushctl $(ZSH)/_hushfs $(FISH)/hushfs.fish $(FISH)/hushctl.fish
TO := $(DESTDIR)$(PREFIX)

install: all
	install -d $(sort $(dir $(addprefix $(TO)/,$(INSTALLED))))
	install -m 755 $(BUILD)/hushfs $(BUILD)/hushctl $(TO)/bin
	install -m 644 README.md LICENSE $(TO)/share/doc/hushfs
	$(foreach file,$(EXAMPLES),install -m $(if $(shell test -x packaging/$(file) && echo x),755,644) packaging/$(file) $(TO)/share/doc/hushfs/$(file) &&) :
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
	find $(TO)/share/doc/hushfs -depth -type d -empty -delete 2>/dev/null || true

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
