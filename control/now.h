// SPDX-License-Identifier: BSD-2-Clause
// The time by which clients are patient and uptimes are told, and the one that events have.
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

// CLOCK_REALTIME: microseconds since 1970.
static inline int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000;
}
