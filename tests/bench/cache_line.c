// SPDX-License-Identifier: BSD-2-Clause
// How far apart two cores are: the round trip of a cache line between them.
#include "tests/bench/cache_line.h"
#include "tests/bench/clock.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#define SERIES   101
#define PER_TRIP 200 // round trips of a series: short, so that few are cut by the scheduler
#define LIMIT_NS 500000000ull // of both: real-time threads that spin must end by themselves

struct ball {
	uint32_t value __attribute__((aligned(128)));
	uint32_t stop __attribute__((aligned(128)));
	int core;
	bool is_pinned;
};

// Beside a forwarder that never sleeps, only a real-time thread gets its core at once.
static bool take_core(int core)
{
	struct sched_param prio = {.sched_priority = 1};
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		return false;
	pthread_setschedparam(pthread_self(), SCHED_FIFO, &prio); // better with, works without
	return true;
}

static void *return_ball(void *arg)
{
	struct ball *b = arg;

	uint64_t deadline = clock_now_ns() + LIMIT_NS;

	b->is_pinned = take_core(b->core);
	for (unsigned i = 1; !__atomic_load_n(&b->stop, __ATOMIC_RELAXED); i++) {
		uint32_t v = __atomic_load_n(&b->value, __ATOMIC_ACQUIRE);

		if (v & 1)
			__atomic_store_n(&b->value, v + 1, __ATOMIC_RELEASE);
		if (i % 65536 == 0 && clock_now_ns() > deadline)
			break;
	}
	return NULL;
}

// One trip: odd there, even back. False if the partner does not answer for too long.
static bool trip(struct ball *b, uint64_t deadline)
{
	uint32_t v = b->value;

	__atomic_store_n(&b->value, v + 1, __ATOMIC_RELEASE);
	for (unsigned i = 1; __atomic_load_n(&b->value, __ATOMIC_ACQUIRE) != v + 2; i++) {
		if (i % 65536 == 0 && clock_now_ns() > deadline)
			return false;
	}
	return true;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

struct serve {
	struct ball *ball;
	int core;
	double rtt;
};

static void serve_series(struct serve *s)
{
	uint64_t ns[SERIES], deadline = clock_now_ns() + LIMIT_NS;

	for (unsigned i = 0; i < SERIES; i++) {
		uint64_t start = clock_now_ns();

		for (unsigned j = 0; j < PER_TRIP; j++) {
			if (!trip(s->ball, deadline))
				return;
		}
		ns[i] = clock_now_ns() - start;
	}
	qsort(ns, SERIES, sizeof(ns[0]), by_value);
	s->rtt = (double)ns[SERIES / 2] / PER_TRIP;
}

static void *serve_ball(void *arg)
{
	struct serve *s = arg;

	if (take_core(s->core))
		serve_series(s);
	// Here, not in the caller, who may wait for its core behind many others.
	__atomic_store_n(&s->ball->stop, 1, __ATOMIC_RELAXED);
	return NULL;
}

double cache_line_rtt(int core_a, int core_b)
{
	struct ball b = {.core = core_b};
	struct serve s = {.ball = &b, .core = core_a};
	pthread_t there, here;

	if (core_a == core_b || pthread_create(&there, NULL, return_ball, &b))
		return 0.0;
	if (!pthread_create(&here, NULL, serve_ball, &s))
		pthread_join(here, NULL);
	__atomic_store_n(&b.stop, 1, __ATOMIC_RELAXED);
	pthread_join(there, NULL);
	return b.is_pinned ? s.rtt : 0.0;
}
