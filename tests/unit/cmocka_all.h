/* SPDX-License-Identifier: Apache-2.0
 * cmocka_all: cmocka.h with what it needs included before it.
 */
#ifndef TESTS_CMOCKA_ALL_H
#define TESTS_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
