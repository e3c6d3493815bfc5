// SPDX-License-Identifier: BSD-2-Clause
// When the kernel is woken to send or to receive, and what happens to what it did not take.
#include "tests/unit/xdp_bed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_the_kernel_is_woken_once_and_if_it_wishes(void **state)
{
	struct fake *k = *state;
	xdp_queue_wake_tx(k->q, &k->st);
	assert_int_equal(wake.calls + k->st.suppressed, 0); // nothing was sent
	send_frames(k, 3);
	xdp_queue_wake_tx(k->q, &k->st);
	xdp_queue_wake_tx(k->q, &k->st);
	assert_int_equal(wake.calls, 0);
	assert_int_equal(k->st.suppressed, 1);
	k->index[3][2] = XDP_RING_NEED_WAKEUP;
	wake.frames = 100;
	send_frames(k, 3);
	xdp_queue_wake_tx(k->q, &k->st);
	xdp_queue_wake_tx(k->q, &k->st);
	assert_int_equal(wake.calls, 1);
	assert_int_equal(k->st.notified, 1);
	assert_int_equal(census(k).tx_ring, 0);
}

// Who asks for room finds what the kernel has given back, and wakes it if that is what it takes.
static void test_room_is_what_the_kernel_has_sent(void **state)
{
	struct fake *k = *state;
	assert_int_equal(xdp_queue_room(k->q, FRAME_BURST, &k->st), FRAME_BURST);
	for (unsigned i = 0; i < XDP_QUEUE_TX / FRAME_BURST; i++)
		send_frames(k, FRAME_BURST);
	k->index[3][2] = XDP_RING_NEED_WAKEUP;
	assert_int_equal(xdp_queue_room(k->q, FRAME_BURST, &k->st), 0);
	assert_true(wake.calls > 0);
	// Taken off the ring and not sent yet, there is no buffer; then there is.
	wake.frames = 100;
	xdp_queue_room(k->q, FRAME_BURST, &k->st);
	assert_int_equal(xdp_queue_room(k->q, FRAME_BURST, &k->st), 0);
	kernel_completes(k, 100);
	assert_int_equal(xdp_queue_room(k->q, FRAME_BURST, &k->st), 100);
	assert_int_equal(xdp_queue_room(k->q, 50, &k->st), 50);
	kernel_completes(k, 28);
	wake.calls = 0;
	assert_int_equal(xdp_queue_room(k->q, FRAME_BURST, &k->st), FRAME_BURST);
	assert_int_equal(wake.calls, 0); // there was room: no system call
}

// Who finds nothing wakes the kernel if it wishes that, or always where a look drives the driver.
static void test_a_look_wakes_the_kernel_if_it_wishes(void **state)
{
	struct fake *k = *state;
	assert_int_equal(rx(k), 0);
	xdp_queue_wake_rx(k->q, &k->st);
	xdp_queue_arm(k->q);
	assert_int_equal(looks, 0);
	k->index[0][2] = XDP_RING_NEED_WAKEUP;
	assert_int_equal(rx(k), 0);
	assert_int_equal(looks, 1);
	xdp_queue_wake_rx(k->q, &k->st);
	assert_int_equal(looks, 2);
	assert_int_equal(k->st.notified, 2);
	xdp_queue_arm(k->q);
	assert_int_equal(looks, 3);
	kernel_gives(k, kernel_takes(k) + 256, 60, 0);
	assert_int_equal(rx(k), 1);
	xdp_queue_rx_done(k->q);
	assert_int_equal(looks, 3); // there was a frame
	k->index[0][2] = 0;
	k->q->xsk.busy_poll = true;
	assert_int_equal(rx(k), 0);
	assert_int_equal(looks, 4);
	k->index[0][2] = XDP_RING_NEED_WAKEUP;
	xdp_queue_wake_rx(k->q, &k->st);
	assert_int_equal(looks, 4); // the next look does it
}

// Kernels before Linux 6.17 send 32 frames a call.
static void test_it_is_woken_until_all_are_sent(void **state)
{
	struct fake *k = *state;
	k->index[3][2] = XDP_RING_NEED_WAKEUP;
	wake.frames = 32;
	wake.error = EAGAIN;
	send_frames(k, 100);
	xdp_queue_wake_tx(k->q, &k->st);
	assert_int_equal(wake.calls, 4);
	assert_int_equal(census(k).tx_ring, 0);
	assert_false(xdp_queue_arm(k->q));
}

// Where the kernel is short of buffers it is not asked in a circle, and the frames are not forgotten:
// the worker does not sleep, and its next look asks once more.
static void test_what_the_kernel_did_not_take_is_offered_again(void **state)
{
	struct fake *k = *state;
	static const int errors[] = {EAGAIN, EBUSY, ENOBUFS};
	k->index[3][2] = XDP_RING_NEED_WAKEUP;
	for (unsigned i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		wake.calls = wake.frames = 0;
		wake.error = errors[i];
		send_frames(k, 5);
		xdp_queue_wake_tx(k->q, &k->st);
		assert_int_equal(wake.calls, 1);
		assert_true(xdp_queue_arm(k->q));
		wake.frames = 32;
		assert_int_equal(rx(k), 0);
		assert_int_equal(wake.calls, 2);
		assert_int_equal(census(k).tx_ring, 0);
		assert_false(xdp_queue_arm(k->q));
	}
	// While frames wait to be received nobody calls rx; and where both are called, one of them does it.
	wake.calls = wake.frames = 0;
	wake.error = EAGAIN;
	send_frames(k, 5);
	xdp_queue_wake_tx(k->q, &k->st);
	for (unsigned calls = 2; calls < 5; calls++) {
		assert_int_equal(xdp_queue_backlog(k->q, &k->st), 0);
		assert_int_equal(wake.calls, calls);
		if (calls % 2)
			continue;
		assert_int_equal(rx(k), 0);
		assert_int_equal(wake.calls, calls);
	}
	wake.frames = 32;
	assert_int_equal(rx(k), 0);
	assert_int_equal(wake.calls, 5);
	assert_int_equal(census(k).tx_ring, 0);
	// A device that is down will not take them soon: they wait for what is sent next.
	wake.calls = wake.frames = 0;
	wake.error = ENETDOWN;
	send_frames(k, 5);
	xdp_queue_wake_tx(k->q, &k->st);
	assert_int_equal(wake.calls, 1);
	assert_false(xdp_queue_arm(k->q));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_the_kernel_is_woken_once_and_if_it_wishes),
		T(test_room_is_what_the_kernel_has_sent),
		T(test_a_look_wakes_the_kernel_if_it_wishes),
		T(test_it_is_woken_until_all_are_sent),
		T(test_what_the_kernel_did_not_take_is_offered_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
