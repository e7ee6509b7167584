/* SPDX-License-Identifier: Apache-2.0
 * watch: hushctl get --watch.
 */
#ifndef TOOLS_WATCH_H
#define TOOLS_WATCH_H

#include "tools/get.h"

/* watch_run - print the resources, and then a line for each that is added, changed or removed, until nobody reads that
 * any more or the mount goes. -errno, said. */
int watch_run(const struct get *get);

#endif
