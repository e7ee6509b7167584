/* SPDX-License-Identifier: Apache-2.0
 * yaml_same: are two YAML trees the same to whoever reads them?
 */
#ifndef TESTS_YAML_SAME_H
#define TESTS_YAML_SAME_H

#include "store/yaml.h"

/* yaml_same - kinds, texts, order; and what has no quotes in one has none in the other, where that makes a difference.
 */
bool yaml_same(const struct yaml_stream *a, uint32_t node_a, const struct yaml_stream *b, uint32_t node_b);

#endif
