// SPDX-License-Identifier: BSD-2-Clause
// Announcements: the queue's edges, and the frame.
#include "dataplane/switch/announce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static const uint8_t mac[6] = {2, 3, 4, 5, 6, 7};

static void each_address_waits_once(void **state)
{
	struct announce a;
	struct announcement out;

	announce_init(&a);
	assert_false(announce_is_pending(&a));
	assert_true(announce_add(&a, 3, mac));
	assert_false(announce_add(&a, 3, mac));
	assert_true(announce_add(&a, 4, mac));
	assert_true(announce_is_pending(&a));
	assert_true(announce_take(&a, &out));
	assert_true(announce_take(&a, &out));
	assert_false(announce_take(&a, &out));
	assert_false(announce_is_pending(&a));
	announce_fini(&a);
}

static void no_station_no_announcement(void **state)
{
	struct announce a;

	announce_init(&a);
	assert_false(announce_add(&a, 3, (const uint8_t[6]){0}));
	assert_false(announce_add(&a, 3, (const uint8_t[6]){1, 2, 3, 4, 5, 6}));
	announce_fini(&a);
}

static void there_is_an_end(void **state)
{
	struct announce a;

	announce_init(&a);
	for (uint32_t i = 0; i < ANNOUNCE_MAX; i++)
		assert_true(announce_add(&a, i, mac));
	assert_false(announce_add(&a, 1000, mac));
	announce_fini(&a);
}

static void a_port_takes_its_own_along(void **state)
{
	struct announce a;
	struct announcement out;

	announce_init(&a);
	announce_add(&a, 3, mac);
	announce_add(&a, 4, mac);
	announce_add(&a, 3, (const uint8_t[6]){2});
	announce_del(&a, 3);
	assert_true(announce_take(&a, &out));
	assert_int_equal(out.port, 4);
	assert_false(announce_take(&a, &out));
	announce_fini(&a);
}

static void a_worker_does_not_wait_for_the_lock(void **state)
{
	struct announce a;
	struct announcement out;

	announce_init(&a);
	announce_add(&a, 3, mac);
	pthread_mutex_lock(&a.lock);
	assert_false(announce_take(&a, &out));
	pthread_mutex_unlock(&a.lock);
	assert_true(announce_take(&a, &out));
	announce_fini(&a);
}

static void the_frame_is_a_rarp_request(void **state)
{
	static const uint8_t want[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 3, 4, 5, 6, 7, 0x80,
		0x35, 0, 1, 8, 0, 6, 4, 0, 3, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 2, 3, 4, 5, 6, 7};
	struct frame f;

	announce_frame(mac, &f);
	assert_int_equal(f.len, 60);
	assert_int_equal(f.head_len, 60);
	assert_int_equal(f.n_segs, 0);
	assert_memory_equal(frame_head(&f), want, sizeof(want));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_address_waits_once),
		cmocka_unit_test(no_station_no_announcement),
		cmocka_unit_test(there_is_an_end),
		cmocka_unit_test(a_port_takes_its_own_along),
		cmocka_unit_test(a_worker_does_not_wait_for_the_lock),
		cmocka_unit_test(the_frame_is_a_rarp_request),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
