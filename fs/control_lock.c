/* SPDX-License-Identifier: Apache-2.0
 * control_lock: what a lock takes away besides the store's keys, and what gives it back.
 *
 * The store comes first: nothing new can be read or begun from then on, so each of the others finds all there will be. A change
 * that comes through /.hush is waited for last, before the answer: anybody who may list a folder can have it wait, by never taking what he is told.
 * A request that the serving thread is about to answer at that moment is wiped a moment later, as any is.
 */
#include "fs/control_internal.h"
#include "fs/kept.h"
#include "store/key_text.h"
#include "store/log.h"

#include <errno.h>
#include <stdio.h>

/* All that is of a value in memory, here or in the kernel. */
static void control_lock_wipe(struct control *control)
{
	stage_lock_drop(control->stage);
	scratch_lock(control->scratch);
	notify_drop_all(control->kept->notify);
}

/* Whoever takes over has a key already, and would undo it. */
static int control_lock_begin(struct control *control)
{
	int r;

	pthread_mutex_lock(&control->lock);
	r = control->yielding ? -EBUSY : 0;
	control->locking = r == 0;
	pthread_mutex_unlock(&control->lock);
	return r;
}

/* The store says by now whether it is locked. */
static void control_lock_end(struct control *control)
{
	pthread_mutex_lock(&control->lock);
	control->locking = false;
	pthread_mutex_unlock(&control->lock);
}

/* Its turn has come. */
static int control_lock_store(struct control *control)
{
	int r = control_lock_begin(control);

	if (r == 0)
		r = store_lock(control->tree->store);
	control_lock_end(control);
	if (r == 0 && control->key_holder)
		control->key_holder(control->key_holder_context, NULL);
	if (r == 0)
		control_lock_wipe(control);
	return r;
}

static int control_lock_fail(struct control_file *file, int r)
{
	struct bundle_error error = {0};

	if (r == -EBUSY)
		snprintf(error.text, sizeof(error.text), "another worker is about to take over (upgrade): lock it once that serves, within seconds");
	return control_job_fail(file, &error, r);
}

int control_lock_run(struct control_file *file, struct secbuf *text)
{
	struct control *control = file->control;
	int r = control_job_take_turn(control, &control->lock_turn);

	secbuf_deinit(text);
	if (r == 0)
		r = control_lock_store(control);
	pthread_mutex_unlock(&control->lock_turn);
	if (r < 0)
		return control_lock_fail(file, r);
	control_lock_drop(control);
	log_info("%s: locked", store_path(control->tree->store));
	control_say(file, "locked");
	return 0;
}

static int control_unlock_fail(struct control_file *file, enum key_kind kind, int r)
{
	struct bundle_error error = {0};

	if (r == -EKEYREJECTED) { /* of which the log has a line already */
		control_say(file, kind == KEY_FILE ? "this key file does not open the store" : "this passphrase does not open the store");
		return r;
	}
	if (r == -EINVAL)
		snprintf(error.text, sizeof(error.text),
			 "give a line key-file or passphrase, and then the 32 bytes of the key file or the passphrase");
	return control_job_fail(file, &error, r);
}

int control_unlock_run(struct control_file *file, struct secbuf *text)
{
	__attribute__((cleanup(key_freep))) struct key *key = NULL;
	struct control *control = file->control;
	int r = key_text_read(text, &key);

	secbuf_deinit(text);
	if (r < 0)
		return control_unlock_fail(file, 0, r);
	r = control_job_take_turn(control, &control->lock_turn);
	if (r == 0)
		r = store_unlock(control->tree->store, key);
	if (r == 0 && control->key_holder)
		control->key_holder(control->key_holder_context, key);
	if (r == 0)
		scratch_unlock(control->scratch);
	pthread_mutex_unlock(&control->lock_turn);
	if (r < 0)
		return control_unlock_fail(file, key->kind, r);
	log_info("%s: unlocked", store_path(control->tree->store));
	control_say(file, "unlocked");
	return 0;
}
