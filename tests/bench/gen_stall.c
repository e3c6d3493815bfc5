// SPDX-License-Identifier: BSD-2-Clause
// How long the host took a core away at most, told by a real-time thread on it that wakes up every few
// milliseconds: what keeps that one waiting is no work of ours.
#include "tests/bench/gen.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#define STALL_PERIOD_NS 2000000ull

struct gen_stall {
	int core;
	bool stop, is_pinned;
	uint64_t longest_ns;
	pthread_t thread;
};

static bool take_core(int core)
{
	struct sched_param prio = {.sched_priority = 1};
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	return !pthread_setaffinity_np(pthread_self(), sizeof(set), &set) &&
	       !pthread_setschedparam(pthread_self(), SCHED_FIFO, &prio);
}

static void *stall_main(void *arg)
{
	struct gen_stall *s = arg;

	s->is_pinned = take_core(s->core);
	while (s->is_pinned && !__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		uint64_t due = clock_now_ns() + STALL_PERIOD_NS, now;
		struct timespec t = {.tv_sec = (time_t)(due / 1000000000u),
			.tv_nsec = (long)(due % 1000000000u)};

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
		now = clock_now_ns();
		if (now > due && now - due > s->longest_ns)
			s->longest_ns = now - due;
	}
	return NULL;
}

struct gen_stall *gen_stall_start(int core)
{
	struct gen_stall *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->core = core;
	if (core < 0 || pthread_create(&s->thread, NULL, stall_main, s)) {
		free(s);
		return NULL;
	}
	return s;
}

double gen_stall_stop(struct gen_stall *s)
{
	double ms = -1;

	if (!s)
		return ms;
	__atomic_store_n(&s->stop, true, __ATOMIC_RELAXED);
	pthread_join(s->thread, NULL);
	if (s->is_pinned)
		ms = (double)s->longest_ns / 1e6;
	free(s);
	return ms;
}
