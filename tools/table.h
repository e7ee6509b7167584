/* SPDX-License-Identifier: Apache-2.0
 * table: columns as kumactl prints them, three blanks apart. Never for values: what is in it is in ordinary memory.
 */
#ifndef TOOLS_TABLE_H
#define TOOLS_TABLE_H

#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 4

/* A zeroed struct is a table without columns. */
struct table {
	size_t n_columns;
	size_t widths[TABLE_COLUMNS_MAX]; /* bytes of the widest cell so far, also of rows that are printed already */
	char *cells;	       /* owned: those of the rows to be printed, one after the other, each ends with NUL */
	size_t size, capacity; /* bytes of it */
};

/* table_add - a row; its cells are copied. The first one says how many columns there are. -ENOMEM. */
int table_add(struct table *table, size_t n_columns, const char *const cells[]);

/* table_print - the rows that were added since the last time. -errno of @out, which it does not say. */
int table_print(struct table *table, FILE *out);

void table_deinit(struct table *table);

#endif
