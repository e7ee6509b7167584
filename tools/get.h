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

#endif
