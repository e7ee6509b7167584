/* SPDX-License-Identifier: Apache-2.0
 * get: what hushctl get was asked for.
 */
#ifndef TOOLS_GET_H
#define TOOLS_GET_H

#include "tools/form.h"
#include "tools/output.h"
#include "tools/target.h"

struct get {
	struct target *target;
	enum name_kind kind;
	const char *mesh; /* of NAME_SECRET; NULL: of all meshes, and the globals too, as all are Secrets to kubectl */
	enum name_kind only; /* of those, unless 0 */
	const char *name; /* of one resource, or NULL: all */
	enum form_output output;
	struct output_form form;
};

/* get_none - say that there is nothing, as kumactl does, of one that is missing as an error. Returns -ENOENT for that,
 * else 0. */
int get_none(const struct get *get);

/* watch_run - print them, and then a line for each that is added, changed or removed, until that is no longer wanted.
 * -errno, said. */
int watch_run(const struct get *get);

#endif
