// SPDX-License-Identifier: BSD-2-Clause
// Waiting for another thread, in tests.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <cmocka.h>

// Waits until `cond` holds; fails after ten seconds.
#define WAIT_FOR(cond)                                                           \
	do {                                                                     \
		for (unsigned tries = 0; !(cond); tries++) {                     \
			assert_true(tries < 10000);                              \
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); \
		}                                                                \
	} while (0)
