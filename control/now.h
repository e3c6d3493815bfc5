// SPDX-License-Identifier: BSD-2-Clause
// The time by which clients are patient and uptimes are told.
#pragma once

#include <stdint.h>
#include <time.h>

// CLOCK_MONOTONIC.
static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}
