/* SPDX-License-Identifier: Apache-2.0
 * fuzz: what a target is. A target is one file, fuzz_NAME.c, with the function below, and a folder corpus/NAME.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* As libFuzzer and replay.c call it. Returns 0; ends the program (fixture_must) if something that must hold doesn't. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
