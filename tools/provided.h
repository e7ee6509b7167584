/* SPDX-License-Identifier: Apache-2.0
 * provided: the certificate and the key of a Mesh's provided CA, wherever they come from.
 */
#ifndef TOOLS_PROVIDED_H
#define TOOLS_PROVIDED_H

#include "store/bundle.h"
#include "tools/target.h"

/* provided_check - do certificate and key of the Mesh @item belong together, and is it a CA? Secrets are those of @bundle, else of @target (may
 * be NULL). What can't be known here (a file of the control plane; a secret that does not exist, which the store says) is not
 * checked. -EINVAL with *@ret_error; -ENOMEM; what target_read gives, said. */
int provided_check(struct target *target, const struct bundle *bundle, const struct bundle_item *item,
		   struct bundle_error *ret_error);

/* provided_mask - put "***" in the place of certificates and keys that stand in the Mesh's document. -ENOMEM. */
int provided_mask(struct bundle_item *item);

#endif
