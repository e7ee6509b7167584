/* SPDX-License-Identifier: Apache-2.0
 * fuzz_arguments: any words as the command line of hushfs, or of a command of hushctl (the first byte says which). It is understood, or refused
 * as a wrong command line with one line that says so; what may be a secret, behind the = of a flag that there is not or of a
 * variable, is not in it.
 *
 * Words end with a NUL; a first byte of 1 to 3 stands for one with a secret. What the words ask for is not done: the linker puts functions that
 * fail in the place of those that do it (--wrap, in the Makefile).
 */
#include "tests/fuzz/fuzz.h"

#include "fs/options.h"
#include "tests/unit/fixture.h"
#include "tools/command.h"
#include "tools/input.h"
#include "tools/target_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORDS_MAX 32
#define SECRET "hunter2"
#define SHOW "--show-values"
#define OUTPUT_BYTES 65536

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"apply", command_apply},   {"get", command_get},     {"delete", command_delete}, {"export", command_export},
	{"lint", command_lint},	    {"init", command_init},   {"status", command_status}, {"check", command_check},
	{"backup", command_backup}, {"lock", command_lock},   {"key", command_key},	  {"upgrade", command_upgrade},
	{"rekey", command_rekey},   {"unlock", command_unlock},
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* --- what is not done ------------------------------------------------------------------------------------------- */

int __wrap_target_mount_open(const char *mount, struct target *target);
int __wrap_target_mount_open(const char *mount, struct target *target)
{
	(void)mount;
	(void)target;
	return -ENOENT;
}

int __wrap_target_store_open(const struct target_options *options, struct target *target);
int __wrap_target_store_open(const struct target_options *options, struct target *target)
{
	(void)options;
	(void)target;
	return -ENOENT;
}

int __wrap_key_read(const struct key_source *source, struct key **ret_key);
int __wrap_key_read(const struct key_source *source, struct key **ret_key)
{
	(void)source;
	(void)ret_key;
	return -ENOENT;
}

int __wrap_key_read_new(const struct key_source *source, struct key **ret_key, bool *ret_made);
int __wrap_key_read_new(const struct key_source *source, struct key **ret_key, bool *ret_made)
{
	(void)source;
	(void)ret_key;
	(void)ret_made;
	return -ENOENT;
}

int __wrap_store_rekey(const char *path, const struct key *key, const struct key *new_key, store_progress *progress,
		       void *context);
int __wrap_store_rekey(const char *path, const struct key *key, const struct key *new_key, store_progress *progress,
		       void *context)
{
	(void)path;
	(void)key;
	(void)new_key;
	(void)progress;
	(void)context;
	return -ENOENT;
}

/* The documents, whatever their path is. */
int __wrap_input_read(const struct flags_list *paths, struct input *ret_input);
int __wrap_input_read(const struct flags_list *paths, struct input *ret_input)
{
	static const char document[] = "type: GlobalSecret\nname: {{ name }}\ndata: {{ data }}\n";

	(void)paths;
	ret_input->texts = calloc(1, sizeof(*ret_input->texts));
	fixture_must(ret_input->texts);
	ret_input->n = 1;
	ret_input->texts[0].path = strdup("a document");
	fixture_must(secbuf_write(&ret_input->texts[0].text, 0, document, sizeof(document) - 1) == 0);
	return 0;
}

/* The arena is the fuzzer's. */
int __wrap_arena_init(void);
int __wrap_arena_init(void)
{
	return 0;
}

void __wrap_secmem_deinit(void);
void __wrap_secmem_deinit(void)
{
}

/* --- words ------------------------------------------------------------------------------------------------------ */

struct words {
	char *argv[WORDS_MAX + 2];
	int argc;
	bool secret; /* there is one that must not be shown */
};

static void words_add(struct words *words, const char *text, size_t size)
{
	words->argv[words->argc] = strndup(text, size);
	fixture_must(words->argv[words->argc++]);
}

/* Does the word before take this one for its value, which may be shown? */
static bool words_want_value(const struct words *words)
{
	const char *last = words->argv[words->argc - 1];

	return words->argc > 1 && last[0] == '-' && !strchr(last, '=');
}

static void words_add_secret(struct words *words, unsigned kind, bool hushctl)
{
	words->secret &= !words_want_value(words);
	if (kind == 3 && hushctl) {
		words_add(words, "-v", 2);
		words_add(words, "data=" SECRET, 5 + strlen(SECRET));
	} else if (kind == 2 && !hushctl) {
		words_add(words, "-oro,passphrase=" SECRET, 16 + strlen(SECRET));
	} else {
		words_add(words, "--passphrase=" SECRET, 13 + strlen(SECRET));
	}
}

static void words_read(struct words *words, const char *name, const uint8_t *data, size_t size, bool hushctl)
{
	words_add(words, name, strlen(name));
	words->secret = true;
	while (size && words->argc < WORDS_MAX) {
		size_t n = strnlen((const char *)data, size);

		if (n && data[0] >= 1 && data[0] <= 3)
			words_add_secret(words, data[0], hushctl);
		else
			words_add(words, (const char *)data, n);
		n += n < size;
		data += n;
		size -= n;
	}
}

static void words_free(struct words *words, char **all)
{
	for (int i = 0; i < words->argc; i++)
		free(all[i]);
}

/* --- running ---------------------------------------------------------------------------------------------------- */

static int run_hushfs(int argc, char **argv)
{
	struct options options = {0};
	int r;

	optind = 0; /* begin anew */
	r = options_parse(&options, argc, argv);
	fixture_must(r == 0 || r == 1 || r == -EINVAL);
	if (r == 0) {
		fixture_must(options.store && options.mountpoint);
		fixture_must(options.store_options.value_bytes <= STORE_VALUE_BYTES_MAX);
		fixture_must(options.store_options.history <= STORE_HISTORY_MAX);
		fixture_must(!options.key.key_file || !options.key.passphrase_file);
	}
	return r < 0 ? COMMAND_USAGE : COMMAND_DONE;
}

/* Standard output and error go to a file of memory meanwhile; of it at most OUTPUT_BYTES are looked at. */
static int run_caught(int (*run)(int argc, char **argv), struct words *words, char *ret_output)
{
	static int file = -1;
	int kept[2] = {dup(STDOUT_FILENO), dup(STDERR_FILENO)};
	ssize_t n;
	int status;

	if (file < 0)
		file = memfd_create("output", MFD_CLOEXEC);
	fixture_must(file >= 0 && ftruncate(file, 0) == 0 && lseek(file, 0, SEEK_SET) == 0);
	fflush(stdout);
	dup2(file, STDOUT_FILENO);
	dup2(file, STDERR_FILENO);
	status = run(words->argc, words->argv);
	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		dup2(kept[i], i + 1);
		close(kept[i]);
	}
	n = pread(file, ret_output, OUTPUT_BYTES - 1, 0);
	fixture_must(n >= 0);
	ret_output[n] = '\0';
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char output[OUTPUT_BYTES];
	static bool ready;
	struct words words = {0};
	char *all[WORDS_MAX + 2];
	bool hushctl, shown;
	int status;

	if (size == 0)
		return 0;
	if (!ready)
		fixture_init();
	ready = true;
	hushctl = data[0] % (N_COMMANDS + 1);
	/* as it stands there, or, as was asked for, out of what is base64 */
	shown = memmem(data, size, SECRET, strlen(SECRET)) || memmem(data, size, SHOW, strlen(SHOW));
	words_read(&words, hushctl ? commands[data[0] % (N_COMMANDS + 1) - 1].name : "hushfs", data + 1, size - 1, hushctl);
	memcpy(all, words.argv, sizeof(all));
	status = run_caught(hushctl ? commands[data[0] % (N_COMMANDS + 1) - 1].run : run_hushfs, &words, output);
	fixture_must(status >= COMMAND_DONE && status <= COMMAND_USAGE);
	fixture_must(status != COMMAND_USAGE || strlen(output) > 0);
	fixture_must(shown || !words.secret || !strstr(output, SECRET));
	words_free(&words, all);
	fixture_must(secmem_in_use() == 0);
	return 0;
}
