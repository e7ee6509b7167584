/* SPDX-License-Identifier: Apache-2.0
 * accept: a store that its anchor refuses becomes what the anchor knows, because somebody who has looked at it says so.
 *
 * What the anchor had seen is given up with that, and must not come back: so the store takes a generation beyond it, and
 * beyond the one commit more that could have been on disk when the anchor had not heard of it yet.
 */
#include "store/internal.h"

/* Take a generation beyond @known. Nothing runs meanwhile. */
static int accept_pass(struct store *store, uint64_t known)
{
	const struct header header = store->header;
	int r;

	pthread_mutex_lock(&store->lock);
	if (store->manifest.generation <= known)
		store->manifest.generation = known + 1;
	pthread_mutex_unlock(&store->lock);
	r = commit_start(store);
	if (r < 0)
		return r;
	r = commit_header(store, &header, "to accept the store");
	commit_stop(store);
	return r;
}

int store_accept(struct store *store, struct store_accepted *ret_accepted)
{
	bool refused = store->verdict > ANCHOR_UNUSED;
	int r = 0, started;

	commit_stop(store);
	if (refused)
		r = accept_pass(store, store->anchor_generation);
	if (r == 0)
		r = anchor_renew(store->options.anchor, &store->seal, &store->manifest);
	if (r == 0) {
		store->options.anchor_later = false;
		*ret_accepted = (struct store_accepted){.refused = refused,
							.known = store->anchor_generation,
							.generation = store->manifest.generation};
	}
	started = commit_start(store);
	return r < 0 ? r : started;
}
