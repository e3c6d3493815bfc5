// SPDX-License-Identifier: BSD-2-Clause
// Events from workers: order, loss that is counted, and one write per drain.
#include "dataplane/switch/event_ring.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

static void keeps_order_and_counts_what_is_lost(void **state)
{
	struct event_ring r;
	struct fdb_event ev;

	assert_int_equal(event_ring_init(&r, -1), 0);
	for (unsigned round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < EVENT_RING_SIZE + 10; i++)
			event_ring_push(&r, &(struct fdb_event){.key = i});
		for (uint64_t i = 0; i < EVENT_RING_SIZE; i++) {
			assert_true(event_ring_pop(&r, &ev));
			assert_int_equal(ev.key, i);
		}
		assert_false(event_ring_pop(&r, &ev));
		assert_int_equal(event_ring_lost(&r), 10);
		assert_int_equal(event_ring_lost(&r), 0);
	}
	event_ring_fini(&r);
}

static void the_descriptor_is_written_once_per_drain(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct event_ring r;
	eventfd_t n;

	assert_int_equal(event_ring_init(&r, fd), 0);
	event_ring_tell(&r); // nothing was pushed
	assert_int_equal(eventfd_read(fd, &n), -1);
	for (unsigned i = 0; i < 100; i++) {
		event_ring_push(&r, &(struct fdb_event){.key = i});
		event_ring_tell(&r);
	}
	assert_int_equal(eventfd_read(fd, &n), 0);
	assert_int_equal(n, 1);
	event_ring_push(&r, &(struct fdb_event){.key = 1});
	event_ring_tell(&r); // not drained yet
	assert_int_equal(eventfd_read(fd, &n), -1);
	event_ring_listen(&r);
	event_ring_push(&r, &(struct fdb_event){.key = 1});
	event_ring_tell(&r);
	assert_int_equal(eventfd_read(fd, &n), 0);
	assert_int_equal(n, 1);
	event_ring_fini(&r);
	close(fd);
}

#define MANY 200000u

static void *push_many(void *arg)
{
	struct event_ring *r = arg;

	for (uint64_t i = 0; i < MANY; i++) {
		event_ring_push(r, &(struct fdb_event){.key = i});
		event_ring_tell(r);
		if (i % 512 == 0)
			sched_yield();
	}
	return NULL;
}

// A reader that only looks when the descriptor says so misses nothing that was not counted.
static void nothing_is_forgotten_between_two_threads(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct event_ring r;
	struct fdb_event ev;
	uint64_t n = 0, last = 0;
	pthread_t t;
	eventfd_t v;

	assert_int_equal(event_ring_init(&r, fd), 0);
	assert_int_equal(pthread_create(&t, NULL, push_many, &r), 0);
	while (n < MANY) {
		assert_int_equal(poll(&p, 1, 10000), 1);
		assert_int_equal(eventfd_read(fd, &v), 0);
		event_ring_listen(&r);
		while (event_ring_pop(&r, &ev)) {
			assert_true(ev.key >= last);
			last = ev.key;
			n++;
		}
		n += event_ring_lost(&r);
	}
	assert_int_equal(n, MANY);
	pthread_join(t, NULL);
	event_ring_fini(&r);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_order_and_counts_what_is_lost),
		cmocka_unit_test(the_descriptor_is_written_once_per_drain),
		cmocka_unit_test(nothing_is_forgotten_between_two_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
