// SPDX-License-Identifier: BSD-2-Clause
// Time for measurements: the monotonic clock, and the CPU's counter for what must cost little.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

// CPU time of the calling thread.
static inline uint64_t clock_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static inline uint64_t clock_ticks(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t v;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(v));
	return v;
#else
	return clock_now_ns();
#endif
}

// Ticks per second, measured once over 50 ms.
static inline double clock_ticks_hz(void)
{
	uint64_t ns = clock_now_ns(), ticks = clock_ticks(), now;

	do {
		now = clock_now_ns();
	} while (now - ns < 50000000);
	return (double)(clock_ticks() - ticks) * 1e9 / (double)(now - ns);
}
