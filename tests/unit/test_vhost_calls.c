// SPDX-License-Identifier: BSD-2-Clause
// A VMM that makes the descriptor for its calls blocking and full: the worker waits in a write to it,
// but not for good, and the other guests go on.
#include "dataplane/port/vhost_features.h"

#include "tests/unit/guest_bed.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

enum { SENDER, RECEIVER, HOSTILE, GUESTS };

static struct guest_bed bed;
static struct front_guest guests[GUESTS];

static int open_all(void **state)
{
	guest_bed_open(&bed);
	// Without EVENT_IDX a guest that does not poll is called for every burst.
	for (unsigned i = 0; i < GUESTS; i++)
		guest_bed_add(&bed, i, &guests[i],
			(struct front_guest_config){.features = FEATURE(VIRTIO_F_VERSION_1) |
								FEATURE(VIRTIO_NET_F_MRG_RXBUF)});
	return 0;
}

static int close_all(void **state)
{
	uint64_t count;

	// Should the worker wait for ever, after all.
	if (!fcntl(guests[HOSTILE].queues[0].call, F_SETFL, O_NONBLOCK))
		(void)!eventfd_read(guests[HOSTILE].queues[0].call, &count);
	for (unsigned i = 0; i < GUESTS; i++)
		front_guest_fini(&guests[i]);
	return guest_bed_close(&bed);
}

// Nobody has sent to the sender, so what it sends goes to all others.
static void expect_frame(unsigned seed)
{
	static uint8_t out[200], in[2000];

	echo_make_frame(out, sizeof(out), seed);
	assert_int_equal(
		front_guest_send(&guests[SENDER], 0, NULL, out, sizeof(out), ECHO_WAIT_MS), 0);
	assert_int_equal(front_guest_recv(&guests[RECEIVER], 0, NULL, in, sizeof(in), ECHO_WAIT_MS),
		sizeof(out));
	assert_memory_equal(out, in, sizeof(out));
}

static void calls_that_wait(void **state)
{
	int call = guests[HOSTILE].queues[0].call;
	bool closed = false;
	uint64_t count;

	expect_frame(0);
	assert_int_equal(fcntl(call, F_SETFL, O_NONBLOCK), 0);
	(void)!eventfd_read(call, &count);
	assert_int_equal(eventfd_write(call, UINT64_MAX - 1), 0);
	assert_int_equal(fcntl(call, F_SETFL, 0), 0);
	for (unsigned i = 1; i < 100; i++)
		expect_frame(i);
	for (unsigned i = 0; i < ECHO_WAIT_MS && !closed; i++) {
		switch_tick(bed.sw);
		closed = vhost_front_is_closed(&guests[HOSTILE].front, 1);
	}
	assert_true(closed);
	for (unsigned i = 20; i < 30; i++)
		expect_frame(i);
}

#define EPOLLS 160

// So many wait for a descriptor as takes few descriptors: each of theirs is in each set.
static void wait_by_thousands(int fd, int epolls[EPOLLS], int dups[EPOLLS])
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};

	for (unsigned i = 0; i < EPOLLS; i++) {
		assert_true((epolls[i] = epoll_create1(EPOLL_CLOEXEC)) >= 0);
		assert_true((dups[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0)) >= 0);
	}
	for (unsigned i = 0; i < EPOLLS * EPOLLS; i++)
		assert_int_equal(
			epoll_ctl(epolls[i / EPOLLS], EPOLL_CTL_ADD, dups[i % EPOLLS], &ev), 0);
}

static void stop_waiting(const int epolls[EPOLLS], const int dups[EPOLLS])
{
	for (unsigned i = 0; i < EPOLLS; i++) {
		close(epolls[i]);
		close(dups[i]);
	}
}

// Bug: calls that do not wait, but take the worker's time, were made again and again.
static void calls_that_many_wait_for(void **state)
{
	int epolls[EPOLLS], dups[EPOLLS];
	bool closed = false;

	expect_frame(0);
	wait_by_thousands(guests[HOSTILE].queues[0].call, epolls, dups);
	for (unsigned i = 1; i < 20; i++)
		expect_frame(i);
	for (unsigned i = 0; i < ECHO_WAIT_MS && !closed; i++) {
		switch_tick(bed.sw);
		closed = vhost_front_is_closed(&guests[HOSTILE].front, 1);
	}
	assert_true(closed);
	for (unsigned i = 100; i < 110; i++)
		expect_frame(i);
	stop_waiting(epolls, dups);
}

static bool is_asleep(void)
{
	struct switch_worker w;

	return !switch_worker_get(bed.sw, 0, &w) && w.asleep;
}

// Bug: a VMM may say that there is no descriptor for kicks, which means that its ring is to be polled. The
// worker slept all the same, and frames lay in the ring until somebody else woke it.
static void ring_without_kicks(void **state)
{
	struct front_guest *g = &guests[SENDER];

	expect_frame(0);
	for (unsigned t = 0; !is_asleep() && t < ECHO_WAIT_MS; t++)
		usleep(1000);
	g->front.ack = true;
	assert_int_equal(vhost_front_set_vring_kick(&g->front, 1, -1), 0);
	for (unsigned i = 1; i < 20; i++) {
		usleep(1000); // long enough to fall asleep
		expect_frame(i);
	}
	// With one it sleeps again.
	assert_int_equal(vhost_front_set_vring_kick(&g->front, 1, g->queues[1].kick), 0);
	for (unsigned t = 0; !is_asleep() && t < ECHO_WAIT_MS; t++)
		usleep(1000);
	assert_true(is_asleep());
	expect_frame(20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ring_without_kicks, open_all, close_all),
		cmocka_unit_test_setup_teardown(calls_that_wait, open_all, close_all),
		cmocka_unit_test_setup_teardown(calls_that_many_wait_for, open_all, close_all),
	};

	return cmocka_run_group_tests(tests, echo_start_eal, NULL);
}
