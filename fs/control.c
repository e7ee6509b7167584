/* SPDX-License-Identifier: Apache-2.0
 * control: open files, what they gather and report, and who waits for it.
 *
 * A file is freed when it was released and nothing of it is being carried out. Who waits is answered under the lock, by
 * whichever thread has the answer; none waits after the end, or without something being carried out.
 */
#include "fs/control_internal.h"
#include "fs/status.h"
#include "store/key_text.h"
#include "store/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONTROL_END_SECONDS 5
#define CONTROL_READ_BYTES (256u * 1024) /* at most at a time */

struct control *control_new(struct tree *tree, struct stage *stage, struct scratch *scratch, struct announce *announce)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control)
		return NULL;
	control->tree = tree;
	control->last_handle = tree->handles;
	control->stage = stage;
	control->scratch = scratch;
	control->announce = announce;
	pthread_mutex_init(&control->turn, NULL);
	pthread_mutex_init(&control->lock_turn, NULL);
	pthread_mutex_init(&control->lock, NULL);
	pthread_cond_init(&control->ended, NULL);
	LIST_INIT(&control->files);
	control_job_tidy(tree->store);
	return control;
}

void control_set_status(struct control *control, const struct ops_context *context)
{
	control->status_of = context;
}

void control_set_key_holder(struct control *control, control_key_holder *holder, void *context)
{
	control->key_holder = holder;
	control->key_holder_context = context;
}

void control_set_kept(struct control *control, struct kept *kept)
{
	control->kept = kept;
}

bool control_yield(struct control *control)
{
	bool yielding;

	pthread_mutex_lock(&control->lock);
	yielding = !control->locking && !store_is_locked(control->tree->store);
	control->yielding |= yielding;
	pthread_mutex_unlock(&control->lock);
	return yielding;
}

bool control_stop(struct control *control)
{
	struct timespec until;
	bool ended = true;

	if (!control)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &until); /* the other clock may be set meanwhile */
	until.tv_sec += CONTROL_END_SECONDS;
	pthread_mutex_lock(&control->lock);
	control->stopping = true;
	while (control->running && ended)
		ended = pthread_cond_clockwait(&control->ended, &control->lock, CLOCK_MONOTONIC, &until) == 0;
	ended = control->running == 0;
	pthread_mutex_unlock(&control->lock);
	if (!ended)
		log_warning("what was asked for in /.hush is not done %d seconds after the mount has ended, so it is given up: see what came of it "
			    "(hushctl get), and ask again",
			    CONTROL_END_SECONDS);
	return ended;
}

/* Does it change something? Then its text counts among what is staged. With the lock, as all functions here that take a file. */
static bool control_changes(const struct control_file *file)
{
	return file->open.kind == CONTROL_APPLY || file->open.kind == CONTROL_DELETE;
}

bool control_in_use(struct control *control)
{
	struct control_file *file;
	bool used;

	pthread_mutex_lock(&control->lock);
	used = control->running;
	LIST_FOREACH(file, &control->files, link)
		used |= control_changes(file);
	pthread_mutex_unlock(&control->lock);
	return used;
}

static size_t control_staged(const struct control_file *file)
{
	return control_changes(file) ? file->text.size : 0;
}

/* Drop the request's text. */
static void control_drop_text(struct control_file *file)
{
	stage_unreserve(file->control->stage, control_staged(file));
	secbuf_deinit(&file->text);
}

static void control_drop_report(struct control_file *file)
{
	free(file->report);
	file->report = NULL;
	file->report_size = file->report_capacity = file->report_read = 0;
}

static void control_file_free(struct control_file *file)
{
	control_drop_text(file);
	control_drop_report(file);
	if (file->copy_fd >= 0)
		close(file->copy_fd);
	LIST_REMOVE(file, link);
	free(file);
}

struct control *control_free(struct control *control)
{
	if (control) {
		while (!LIST_EMPTY(&control->files))
			control_file_free(LIST_FIRST(&control->files)); /* NOLINT(clang-analyzer-unix.Malloc): another each time */
		pthread_cond_destroy(&control->ended);
		pthread_mutex_destroy(&control->lock);
		pthread_mutex_destroy(&control->turn);
		pthread_mutex_destroy(&control->lock_turn);
		free(control);
	}
	return NULL;
}

/* Lock, and find a file. Unlocks and returns NULL if there is none. */
static struct control_file *control_enter(struct control *control, uint64_t handle)
{
	struct control_file *file;

	pthread_mutex_lock(&control->lock);
	LIST_FOREACH(file, &control->files, link)
		if (file->handle == handle)
			return file;
	pthread_mutex_unlock(&control->lock);
	return NULL;
}

static void control_leave(struct control *control)
{
	pthread_mutex_unlock(&control->lock);
}

bool control_is_open(struct control *control, uint64_t handle)
{
	struct control_file *file = control_enter(control, handle);

	if (file)
		control_leave(control);
	return file;
}

static void control_reply(const struct control_waiter *waiter, int result)
{
	waiter->done(waiter->context, result, NULL, 0);
}

/* Answer a read from the copy. */
static void control_reply_copy(const struct control_file *file, const struct control_wait *wait)
{
	size_t size = wait->size < CONTROL_READ_BYTES ? wait->size : CONTROL_READ_BYTES;
	uint8_t *bytes = malloc(size ? size : 1);
	ssize_t n = bytes ? pread(file->copy_fd, bytes, size, (off_t)wait->offset) : -1;
	int r = bytes ? -errno : -ENOMEM;

	wait->waiter.done(wait->waiter.context, n < 0 ? r : 0, bytes, n < 0 ? 0 : (size_t)n);
	free(bytes);
}

/* What a reader gets when nothing is left of the report: the reason once, then the end. */
static int control_tell(struct control_file *file)
{
	int result = file->told ? 0 : file->result;

	file->told = true;
	return result;
}

/* Can it be answered now? Then it is. */
static bool control_answer(struct control_file *file, const struct control_wait *wait)
{
	size_t at = file->report_read, left, size;

	if (file->open.kind == CONTROL_STATUS)
		at = wait->offset < file->report_size ? (size_t)wait->offset : file->report_size;
	left = file->report_size - at;
	size = left < wait->size ? left : wait->size;

	if (file->state == CONTROL_RUNNING && (!wait->reads || !left || file->open.kind == CONTROL_BACKUP))
		return false;
	if (!wait->reads) {
		control_reply(&wait->waiter, file->told ? 0 : file->result);
	} else if (file->copy_fd >= 0) {
		control_reply_copy(file, wait);
	} else if (left) {
		wait->waiter.done(wait->waiter.context, 0, file->report + at, size);
		file->report_read = at + size;
	} else {
		control_reply(&wait->waiter, control_tell(file));
	}
	return true;
}

static void control_answer_all(struct control_file *file)
{
	struct control_wait *wait, *next;

	for (wait = TAILQ_FIRST(&file->waits); wait; wait = next) {
		next = TAILQ_NEXT(wait, link);
		if (!control_answer(file, wait))
			continue;
		TAILQ_REMOVE(&file->waits, wait, link);
		free(wait);
	}
}

/* Answer it, now or when that can be. */
static void control_wait_for(struct control_file *file, const struct control_wait *wait)
{
	struct control_wait *kept;

	if (control_answer(file, wait))
		return;
	kept = malloc(sizeof(*kept));
	if (!kept) {
		control_reply(&wait->waiter, -ENOMEM);
		return;
	}
	*kept = *wait;
	TAILQ_INSERT_TAIL(&file->waits, kept, link);
}

static void control_add_line(struct control_file *file, const char *line)
{
	size_t size = strlen(line) + 1;

	if (file->report_size + size > file->report_capacity) {
		size_t capacity = 2 * (file->report_size + size);
		char *report = realloc(file->report, capacity);

		if (report) {
			file->report = report;
			file->report_capacity = capacity;
		}
	}
	if (file->report_size + size <= file->report_capacity) { /* else the line is lost, the result is not */
		memcpy(file->report + file->report_size, line, size - 1);
		file->report[file->report_size + size - 1] = '\n';
		file->report_size += size;
		control_answer_all(file);
	}
}

void control_say(struct control_file *file, const char *line)
{
	pthread_mutex_lock(&file->control->lock);
	control_add_line(file, line);
	pthread_mutex_unlock(&file->control->lock);
}

static void *control_thread(void *context)
{
	struct control_file *file = context;
	struct control *control = file->control;
	struct secbuf text;
	size_t bytes;
	int result;

	pthread_mutex_lock(&control->lock);
	text = file->text;
	bytes = control_staged(file);
	file->text = (struct secbuf){0}; /* transferred */
	pthread_mutex_unlock(&control->lock);
	result = control_job_run(file, &text);
	stage_unreserve(control->stage, bytes);
	pthread_mutex_lock(&control->lock);
	file->state = CONTROL_DONE;
	file->result = result;
	control_answer_all(file);
	if (file->released)
		control_file_free(file);
	control->running--;
	pthread_cond_broadcast(&control->ended);
	pthread_mutex_unlock(&control->lock);
	return NULL;
}

/* Carry out the request. -EAGAIN if there can't be a thread for it, -ESHUTDOWN if the mount is ending (logged). */
static int control_start(struct control_file *file)
{
	struct control *control = file->control;
	pthread_t thread;
	int r = control->stopping ? ESHUTDOWN : 0;

	control_drop_report(file);
	file->told = false;
	file->state = CONTROL_RUNNING;
	if (r == 0)
		r = pthread_create(&thread, NULL, control_thread, file);
	if (r == 0) {
		pthread_detach(thread);
		control->running++;
		return 0;
	}
	log_error("/.hush: what is asked for can't be carried out: %s", strerror(r));
	control_drop_text(file);
	file->state = CONTROL_DONE;
	file->result = -r;
	return -r;
}

/* With the lock, unlike others. NULL without memory. */
static struct control_file *control_file_new(struct control *control, const struct control_open *open)
{
	struct control_file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->control = control;
	file->open = *open;
	file->writers.opener = open->process;
	file->copy_fd = -1;
	TAILQ_INIT(&file->waits);
	file->handle = ++control->last_handle;
	LIST_INSERT_HEAD(&control->files, file, link);
	return file;
}

void control_lock(struct control *control)
{
	const struct control_open open = {.kind = CONTROL_LOCK};
	struct control_file *file;

	pthread_mutex_lock(&control->lock);
	file = control_file_new(control, &open);
	if (!file) {
		log_error("no memory to lock the store, so it stays unlocked: lock it with hushctl lock");
	} else {
		file->released = true;
		if (control_start(file) < 0)
			control_file_free(file);
	}
	pthread_mutex_unlock(&control->lock);
}

int control_open(struct control *control, const struct control_open *open, uint64_t *ret_handle)
{
	struct control_file *file;
	int r = 0;

	pthread_mutex_lock(&control->lock);
	file = control_file_new(control, open);
	if (!file) {
		control_leave(control);
		return -ENOMEM;
	}
	if (open->kind == CONTROL_BACKUP)
		r = control_start(file);
	if (r == 0)
		*ret_handle = file->handle;
	else
		control_file_free(file);
	control_leave(control);
	return r;
}

/* Documents and names are not even taken while the store can't be changed. */
static int control_check_change(const struct control_file *file)
{
	struct store *store = file->control->tree->store;

	if (!control_changes(file))
		return 0;
	return store_is_locked(store) ? -ENOKEY : store_is_read_only(store) ? -EROFS : 0;
}

static bool control_is_pending(const struct control_file *file)
{
	return file->state == CONTROL_IDLE && file->text.size && !file->failed;
}

/* A new request begins. */
static void control_begin(struct control_file *file)
{
	if (file->state == CONTROL_DONE) {
		control_drop_report(file);
		file->result = 0;
		file->told = false;
	}
	file->state = CONTROL_IDLE;
}

/* Is it a file that nothing is written to? Its requests carry no text. */
static bool control_is_read_only(const struct control_file *file)
{
	return file->open.kind == CONTROL_STATUS || file->open.kind == CONTROL_CHECK || file->open.kind == CONTROL_BACKUP;
}

/* Add to the request. Who fills the memory for what is being written, which any writer may, keeps nobody from locking or unlocking: their texts are
 * short, and not counted. */
static int control_gather(struct control_file *file, const void *data, size_t size)
{
	int r = 0;

	if (control_changes(file))
		r = stage_reserve(file->control->stage, size, file->open.kind == CONTROL_APPLY);
	else if (size > KEY_TEXT_BYTES - file->text.size)
		r = -EFBIG;
	if (r == 0 && secbuf_write(&file->text, file->text.size, data, size) < 0) {
		if (control_changes(file))
			stage_unreserve(file->control->stage, size);
		r = -ENOSPC; /* the arena being full is the same to a writer as the bound being reached */
	}
	return r;
}

int control_write(struct control *control, uint64_t handle, pid_t thread, const void *data, size_t size)
{
	struct control_file *file = control_enter(control, handle);
	int r;

	if (!file)
		return -EIO;
	if (file->state == CONTROL_RUNNING || control_is_read_only(file)) {
		r = file->state == CONTROL_RUNNING ? -EBUSY : -EBADF;
		control_leave(control);
		return r;
	}
	control_begin(file);
	r = file->failed ? file->failed : control_check_change(file);
	if (r == 0)
		r = control_gather(file, data, size);
	if (r == 0)
		writers_wrote(&file->writers, thread);
	else
		file->failed = r;
	control_leave(control);
	return r;
}

void control_lock_drop(struct control *control)
{
	struct control_file *file;

	pthread_mutex_lock(&control->lock);
	LIST_FOREACH(file, &control->files, link) {
		if (file->state == CONTROL_RUNNING || !file->text.size || control_check_change(file) == 0)
			continue;
		control_drop_text(file);
		file->failed = -ENOKEY;
	}
	for (file = LIST_FIRST(&control->files); file;) {
		if (file->state == CONTROL_RUNNING && file->open.kind == CONTROL_APPLY) {
			pthread_cond_wait(&control->ended, &control->lock);
			file = LIST_FIRST(&control->files);
		} else {
			file = LIST_NEXT(file, link);
		}
	}
	pthread_mutex_unlock(&control->lock);
}

int control_truncate(struct control *control, uint64_t handle, uint64_t size)
{
	struct control_file *file = control_enter(control, handle);
	int r = size ? -EINVAL : 0;

	if (!file)
		return -EIO;
	if (r == 0 && file->state == CONTROL_RUNNING)
		r = -EBUSY;
	if (r == 0) {
		control_begin(file);
		control_drop_text(file);
		if (file->failed != -EINTR)
			file->failed = 0;
	}
	control_leave(control);
	return r;
}

/* Why nothing was carried out. */
static int control_failure(const struct control_file *file)
{
	return file->failed == -EINTR ? -EIO : file->failed;
}

/* A request that can't be carried out has ended; the next one may begin. */
static bool control_give_up(struct control_file *file)
{
	if (!file->failed || file->state != CONTROL_IDLE)
		return false;
	log_warning("/.hush: nothing was done: %s",
		    file->failed == -EINTR ? "somebody who had it open to write was killed" : strerror(-file->failed));
	control_drop_text(file);
	if (file->failed == -ENOKEY)
		control_add_line(file, CONTROL_LOCKED);
	file->state = CONTROL_DONE;
	file->result = control_failure(file);
	file->told = false;
	file->failed = 0;
	return true;
}

/* So that who reads it in parts does not get parts of several. */
static void control_take_status(struct control_file *file)
{
	struct control *control = file->control;

	if (!file->report)
		file->report = malloc(STATUS_BYTES);
	if (file->report)
		file->report_size = status_text(control->status_of, file->report);
}

void control_read(struct control *control, uint64_t handle, size_t size, uint64_t offset,
		  const struct control_waiter *waiter)
{
	const struct control_wait wait = {.waiter = *waiter, .reads = true, .size = size, .offset = offset};
	struct control_file *file = control_enter(control, handle);

	if (!file) {
		control_reply(waiter, -EIO);
		return;
	}
	if (file->open.kind == CONTROL_STATUS && offset == 0)
		control_take_status(file);
	if (!control_give_up(file) &&
	    (control_is_pending(file) || (file->open.kind == CONTROL_CHECK && file->state == CONTROL_IDLE)))
		control_start(file);
	control_wait_for(file, &wait);
	control_leave(control);
}

void control_sync(struct control *control, uint64_t handle, const struct control_waiter *waiter)
{
	const struct control_wait wait = {.waiter = *waiter};
	struct control_file *file = control_enter(control, handle);

	if (!file) {
		control_reply(waiter, -EIO);
		return;
	}
	if (!control_give_up(file) && control_is_pending(file))
		control_start(file);
	control_wait_for(file, &wait);
	control_leave(control);
}

void control_flush(struct control *control, uint64_t handle, pid_t thread, const struct control_waiter *waiter)
{
	struct control_file *file = control_enter(control, handle);
	struct writers_close close;

	if (!file) {
		control_reply(waiter, -EIO);
		return;
	}
	close = writers_closes(&file->writers, thread, control_is_pending(file) ? file->open.ino : 0);
	if (close.broken && file->state == CONTROL_IDLE && file->text.size)
		file->failed = -EINTR;
	if (!close.opener || (control_is_pending(file) && close.holds)) {
		control_leave(control);
		control_reply(waiter, 0);
		return;
	}
	control_leave(control);
	control_sync(control, handle, waiter);
}

void control_release(struct control *control, uint64_t handle)
{
	struct control_file *file = control_enter(control, handle);

	if (!file)
		return;
	file->released = true;
	if (!control_give_up(file) && control_is_pending(file))
		control_start(file);
	if (file->state != CONTROL_RUNNING)
		control_file_free(file);
	control_leave(control);
}

void control_interrupt(struct control *control, const void *context)
{
	struct control_file *file;
	struct control_wait *wait;

	pthread_mutex_lock(&control->lock);
	LIST_FOREACH(file, &control->files, link) {
		TAILQ_FOREACH(wait, &file->waits, link)
			if (wait->reads && wait->waiter.context == context)
				break;
		if (!wait)
			continue;
		TAILQ_REMOVE(&file->waits, wait, link);
		control_reply(&wait->waiter, -EINTR);
		free(wait);
		break;
	}
	pthread_mutex_unlock(&control->lock);
}
