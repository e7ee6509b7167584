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
	const char *mesh; /* of NAME_SECRET */
	const char *name; /* of one resource, or NULL: all */
	enum form_output output;
	struct output_form form;
};

#endif
