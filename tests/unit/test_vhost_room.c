// SPDX-License-Identifier: BSD-2-Clause
// What a ring says of its room, that it lends no more than it is asked for, and that fetching ahead
// changes nothing.
#include "tests/unit/ring_bed.h"

static void offer_targets(unsigned from, unsigned n, uint32_t len)
{
	for (unsigned i = from; i < from + n; i++)
		offer((uint16_t)i, (struct vring_desc){A + i * SLOT, len, WRITE, 0});
}

// How many frames like the last ones there is room for.
static void test_room_is_counted_in_frames(void **state)
{
	for (unsigned s = 0; sets[s]; s++) {
		bed_open(sets[s], MODERN | FEATURE(VIRTIO_NET_F_MRG_RXBUF), RING, 0, false);
		assert_int_equal(vhost_ring_room(&bed.r, 100), 0);
		offer_targets(0, 12, 100);
		assert_int_equal(vhost_ring_room(&bed.r, 100), 12);
		assert_int_equal(vhost_ring_room(&bed.r, 5), 5);
		make_frames(260, 0, 0); // 272 bytes with the header: three buffers each
		assert_int_equal(bed.ops->deliver(&bed.r, frames, list, 2, &bed.st), 2);
		assert_int_equal(n_used(), 6);
		assert_int_equal(vhost_ring_room(&bed.r, 100), 2);
		assert_int_equal(vhost_ring_room(&bed.r, 1), 1);
		assert_int_equal(vhost_ring_room(&bed.r, 0x55555556), 2); // three times that is 2
		offer_targets(12, 2, 100);
		assert_int_equal(
			vhost_ring_room(&bed.r, 100), 2); // two buffers are none for one more
		offer_targets(14, 1, 100);
		assert_int_equal(vhost_ring_room(&bed.r, 100), 3);
		make_frames(60, 100, 0); // one buffer, and two: rather two each
		assert_int_equal(bed.ops->deliver(&bed.r, frames, list, 2, &bed.st), 2);
		assert_int_equal(n_used(), 9);
		assert_int_equal(vhost_ring_room(&bed.r, 100), 3);
		make_frames(60, 0, 0);
		assert_int_equal(bed.ops->deliver(&bed.r, frames, list, 1, &bed.st), 1);
		assert_int_equal(vhost_ring_room(&bed.r, 100), 5);
		bed_close();
	}
}

// A ring that is broken is nothing to wait for.
static void test_a_broken_ring_has_room(void **state)
{
	bed_open(sets[0], MODERN, RING, 0, false);
	bed.avail->idx = RING + 1;
	assert_int_equal(vhost_ring_room(&bed.r, 100), 100);
	assert_true(bed.r.vq.broken);
	bed_close();
}

static void test_no_more_is_lent_than_asked_for(void **state)
{
	for (unsigned s = 0; sets[s]; s++)
		for (unsigned max = 1; max <= CHAINS; max++) {
			bed_open(sets[s], MODERN, RING, 0, false);
			for (unsigned i = 0; i < CHAINS; i++)
				offer((uint16_t)i, (struct vring_desc){A + i * SLOT, 112, 0, 0});
			assert_int_equal(bed.ops->lend(&bed.r, &burst, max, &bed.st), max);
			vhost_ring_give_back(&bed.r);
			assert_int_equal(n_used(), max);
			assert_int_equal(
				bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st), CHAINS - max);
			vhost_ring_give_back(&bed.r);
			bed_close();
		}
}

// Whatever the guest offers. That nothing is read beside the rings is the address sanitizer's to say.
static void test_fetching_ahead_changes_nothing(void **state)
{
	const struct vring_desc odd[] = {
		{A, SLOT, WRITE, 0},
		{A - 1, SLOT, WRITE, 0},
		{END - 1, SLOT, WRITE, 0},
		{UINT64_MAX, UINT32_MAX, WRITE, 0},
		{A, 0, 0, 0},
		{A, SLOT, WRITE | NEXT, RING},
	};

	for (unsigned s = 0; sets[s]; s++)
		for (unsigned k = 0; k < N(odd) * N(aheads); k++) {
			bed_open(sets[s], MODERN, RING, (uint16_t)(RING - 3), false);
			for (unsigned i = 0; i < CHAINS; i++)
				offer((uint16_t)i, odd[i % 2 ? k % N(odd) : 0]);
			bed.avail->ring[(RING - 3 + 5) % RING] = k & 1 ? RING : UINT16_MAX;
			assert_non_null(
				guestmem_at(&bed.mem, &bed.r.cache, A, 1)); // as after a hit
			for (unsigned n = 0; n <= FRAME_BURST; n += 7)
				bed.ops->fetch(&bed.r, n);
			assert_int_equal(vq_device_avail(&bed.r.vq, RING), CHAINS);
			assert_int_equal(n_used(), 0);
			assert_memory_equal(bed.a, pattern, B - A);
			assert_false(bed.r.vq.broken);
			bed_close();
		}
}

// Nor more than a burst is looked at, however many frames are announced.
static void test_no_more_than_a_burst_is_fetched(void **state)
{
	for (unsigned s = 0; sets[s]; s++)
		for (unsigned k = 0; k < N(aheads); k++) {
			bed_open(sets[s], MODERN, 1024, 1000, false);
			for (unsigned i = 0; i < 1000; i++)
				offer((uint16_t)i,
					(struct vring_desc){A + i % RING * SLOT, SLOT, WRITE, 0});
			assert_non_null(guestmem_at(&bed.mem, &bed.r.cache, A, 1));
			bed.ops->fetch(&bed.r, UINT32_MAX);
			assert_int_equal(vq_device_avail(&bed.r.vq, 1024), 1000);
			bed_close();
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_room_is_counted_in_frames),
		cmocka_unit_test(test_a_broken_ring_has_room),
		cmocka_unit_test(test_no_more_is_lent_than_asked_for),
		cmocka_unit_test(test_fetching_ahead_changes_nothing),
		cmocka_unit_test(test_no_more_than_a_burst_is_fetched),
	};
	return cmocka_run_group_tests(tests, choose_sets, NULL);
}
