// SPDX-License-Identifier: BSD-2-Clause
// The floor of the first frame after idle: a thread on the switch's core that sleeps until a
// descriptor is written, and answers. No switch that sleeps can be faster.
#include "tests/bench/gen.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct gen_wake {
	uint32_t asked __attribute__((aligned(128)));
	uint32_t answered __attribute__((aligned(128)));
	bool stop;
	int kick, epoll, core;
	pthread_t thread;
};

static void *wake_main(void *arg)
{
	struct gen_wake *w = arg;
	struct epoll_event e;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(w->core, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		epoll_wait(w->epoll, &e, 1, -1);
		__atomic_store_n(&w->answered, __atomic_load_n(&w->asked, __ATOMIC_ACQUIRE),
			__ATOMIC_RELEASE);
	}
	return NULL;
}

static bool kick(const struct gen_wake *w)
{
	const uint64_t one = 1;

	return write(w->kick, &one, sizeof(one)) == sizeof(one);
}

static void wake_free(struct gen_wake *w)
{
	if (w->kick >= 0)
		close(w->kick);
	if (w->epoll >= 0)
		close(w->epoll);
	free(w);
}

struct gen_wake *gen_wake_start(int core)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLET};
	struct gen_wake *w = aligned_alloc(128, (sizeof(*w) + 127) & ~127ull);

	if (!w)
		return NULL;
	*w = (struct gen_wake){.core = core};
	w->kick = eventfd(0, EFD_NONBLOCK);
	w->epoll = epoll_create1(0);
	if (w->kick < 0 || w->epoll < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->kick, &e) ||
		pthread_create(&w->thread, NULL, wake_main, w)) {
		wake_free(w);
		return NULL;
	}
	return w;
}

bool gen_wake_trip(struct gen_wake *w, uint64_t limit_ns)
{
	const uint64_t end = clock_now_ns() + limit_ns;
	const uint32_t asked = w->asked + 1;

	__atomic_store_n(&w->asked, asked, __ATOMIC_RELEASE);
	if (!kick(w))
		return false;
	for (unsigned i = 1; __atomic_load_n(&w->answered, __ATOMIC_ACQUIRE) != asked; i++) {
		if (i % 256 == 0 && clock_now_ns() > end)
			return false;
	}
	return true;
}

void gen_wake_stop(struct gen_wake *w)
{
	__atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);
	kick(w);
	pthread_join(w->thread, NULL);
	wake_free(w);
}
