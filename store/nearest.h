/* SPDX-License-Identifier: Apache-2.0
 * nearest: which of the words that are known somebody who mistyped one may have meant.
 */
#ifndef STORE_NEAREST_H
#define STORE_NEAREST_H

/* nearest - of the NULL-terminated @words the one with the fewest insertions, removals, changes and swaps to @word; NULL if that are more
 * than two, or more than half of the word. */
const char *nearest(const char *word, const char *const *words);

#endif
