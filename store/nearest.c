/* SPDX-License-Identifier: Apache-2.0
 * nearest: the optimal string alignment distance, in three rows.
 */
#include "store/nearest.h"

#include <stddef.h>
#include <string.h>

#define NEAREST_MOST 2   /* steps that a typing error takes */
#define NEAREST_BYTES 64 /* longer words are not compared */

static unsigned nearest_least(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

/* Both of fewer than NEAREST_BYTES bytes. */
static unsigned nearest_distance(const char *a, const char *b)
{
	unsigned rows[3][NEAREST_BYTES + 1];
	size_t a_bytes = strlen(a), b_bytes = strlen(b);

	for (size_t j = 0; j <= b_bytes; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_bytes; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_bytes; j++) {
			row[j] = nearest_least(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two_above[j - 2] + 1 < row[j])
				row[j] = two_above[j - 2] + 1;
		}
	}
	return rows[a_bytes % 3][b_bytes];
}

const char *nearest(const char *word, const char *const *words)
{
	unsigned least = NEAREST_MOST + 1;
	const char *found = NULL;

	for (; strlen(word) < NEAREST_BYTES && *words; words++) {
		unsigned distance = strlen(*words) < NEAREST_BYTES ? nearest_distance(word, *words) : least;

		if (distance < least && 2 * distance <= strlen(*words)) {
			least = distance;
			found = *words;
		}
	}
	return found;
}
