/* SPDX-License-Identifier: Apache-2.0
 * table: rows are kept until all are there, as the widest cell of a column says where the next one begins.
 */
#include "tools/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_GAP 3

static int table_add_cell(struct table *table, size_t column, const char *cell)
{
	size_t bytes = strlen(cell) + 1;

	if (table->size + bytes > table->capacity) {
		size_t capacity = 2 * table->capacity + bytes;
		char *cells = realloc(table->cells, capacity);

		if (!cells)
			return -ENOMEM;
		table->cells = cells;
		table->capacity = capacity;
	}
	memcpy(table->cells + table->size, cell, bytes);
	table->size += bytes;
	if (table->widths[column] < bytes - 1)
		table->widths[column] = bytes - 1;
	return 0;
}

int table_add(struct table *table, size_t n_columns, const char *const cells[])
{
	int r = 0;

	table->n_columns = n_columns;
	for (size_t i = 0; r == 0 && i < n_columns; i++)
		r = table_add_cell(table, i, cells[i]);
	return r;
}

int table_print(struct table *table, FILE *out)
{
	size_t column = 0;

	for (size_t at = 0; at < table->size; at += strlen(table->cells + at) + 1) {
		const char *cell = table->cells + at;
		int written;

		if (++column < table->n_columns) {
			written = fprintf(out, "%-*s", (int)table->widths[column - 1] + TABLE_GAP, cell);
		} else {
			written = fprintf(out, "%s\n", cell);
			column = 0;
		}
		if (written < 0)
			return -errno;
	}
	table->size = 0;
	return fflush(out) == 0 ? 0 : -errno;
}

void table_deinit(struct table *table)
{
	free(table->cells);
	*table = (struct table){0};
}
