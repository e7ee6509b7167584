/* SPDX-License-Identifier: Apache-2.0
 * input: files into locked memory.
 */
#include "tools/input.h"

#include "store/log.h"
#include "tools/arena.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_CHUNK_BYTES (64u * 1024)

static size_t input_bytes(const struct input *input)
{
	size_t bytes = 0;

	for (size_t i = 0; i < input->n; i++)
		bytes += input->texts[i].text.size;
	return bytes;
}

static int input_too_much(const char *path)
{
	log_error("%s: more than %u MiB of documents: apply them in several parts", path, INPUT_BYTES_MAX / 1024 / 1024);
	return -EFBIG;
}

/* Append all that @fd has. @expected: how much that probably is. */
static int input_read_fd(int fd, const char *path, size_t expected, size_t most, struct secbuf *text)
{
	ssize_t got;
	int r;

	do {
		size_t size = text->size, room = size ? INPUT_CHUNK_BYTES : expected + 1;

		if (size > most)
			return input_too_much(path);
		r = secbuf_resize(text, size + room);
		if (r < 0)
			return arena_full(path);
		got = read(fd, text->data + size, room);
		r = got < 0 ? -errno : 0;
		secbuf_resize(text, size + (got > 0 ? (size_t)got : 0)); /* shrinking cannot fail */
	} while (got > 0 || r == -EINTR);
	if (r < 0)
		log_error("%s: cannot read it: %s", path, log_reason(-r));
	return r;
}

/* A new text, empty. NULL without memory, said. */
static struct input_text *input_add(struct input *input, const char *path)
{
	struct input_text *texts = reallocarray(input->texts, input->n + 1, sizeof(*texts));
	char *copy = strdup(path);

	if (texts)
		input->texts = texts;
	if (!texts || !copy) {
		free(copy);
		log_no_memory("to read the documents");
		return NULL;
	}
	texts[input->n] = (struct input_text){.path = copy};
	return &texts[input->n++];
}

static int input_read_file(struct input *input, const char *path, int fd, size_t size)
{
	size_t most = INPUT_BYTES_MAX - input_bytes(input);
	struct input_text *text;

	if (size > most)
		return input_too_much(path);
	text = input_add(input, path);
	return text ? input_read_fd(fd, path, size, most, &text->text) : -ENOMEM;
}

static int input_is_document(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return entry->d_name[0] != '.' && dot &&
	       (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0);
}

static int input_read_path(struct input *input, const char *path, bool in_folder);

static int input_read_folder(struct input *input, const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, input_is_document, alphasort);
	int r = 0;

	if (n < 0) {
		r = -errno;
		log_error("%s: cannot read the folder: %s", path, log_reason(-r));
		return r;
	}
	if (n == 0) {
		log_error("%s: there is no file in it that ends with .yaml, .yml or .json", path);
		r = -ENOENT;
	}
	for (int i = 0; i < n; i++) {
		char *below = NULL;

		if (r == 0 && asprintf(&below, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/",
				       entries[i]->d_name) < 0)
			r = log_no_memory("to read the documents");
		if (r == 0)
			r = input_read_path(input, below, true);
		free(below);
		free(entries[i]);
	}
	free(entries);
	return r;
}

/* @in_folder: what is a folder itself is passed over. */
static int input_read_path(struct input *input, const char *path, bool in_folder)
{
	struct stat st;
	int fd, r;

	if (strncmp(path, "http://", 7) == 0 || strncmp(path, "https://", 8) == 0) {
		log_error("%s: it is not fetched; use: curl -fsS %s | hushctl apply -f -", path, path);
		return -EINVAL;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		log_error("%s: %s", path, log_reason(-r));
	} else if (!S_ISDIR(st.st_mode)) {
		r = input_read_file(input, path, fd, S_ISREG(st.st_mode) ? (size_t)st.st_size : 0);
	} else {
		r = in_folder ? 0 : input_read_folder(input, path);
	}
	if (fd >= 0)
		close(fd);
	return r;
}

int input_read(const struct flags_list *paths, struct input *ret_input)
{
	INPUT_AUTO input = {0};
	int r = 0;

	for (size_t i = 0; i < paths->n && r == 0; i++)
		r = strcmp(paths->items[i], "-") == 0 ? input_read_file(&input, "standard input", STDIN_FILENO, 0)
						      : input_read_path(&input, paths->items[i], false);
	if (r < 0)
		return r;
	*ret_input = input;
	input = (struct input){0}; /* transferred */
	return 0;
}

void input_deinit(struct input *input)
{
	for (size_t i = 0; i < input->n; i++) {
		secbuf_deinit(&input->texts[i].text);
		free(input->texts[i].path);
	}
	free(input->texts);
	*input = (struct input){0};
}
