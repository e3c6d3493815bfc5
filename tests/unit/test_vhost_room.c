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
				bed.ops->fetch(&bed.r, n, SLOT - 12);
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
			bed.ops->fetch(&bed.r, UINT32_MAX, 60);
			assert_int_equal(vq_device_avail(&bed.r.vq, 1024), 1000);
			bed_close();
		}
}

static uint32_t random_state;

static uint32_t rnd(uint32_t below)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)(random_state >> 8) * below >> 24);
}

// What a guest has got.
static struct got {
	uint8_t memory[END - A];
	struct vring_used_elem used[RING];
	struct port_stats st;
	unsigned n_used;
} plain, fetched;

static void lengthen(unsigned i, uint32_t len)
{
	memset(bytes[i] + frames[i].len, 0x5a, len - frames[i].len);
	frames[i].n_segs = 1;
	frames[i].seg = (struct frame_seg){len - frames[i].head_len, bytes[i] + frames[i].head_len};
	frames[i].len = len;
}

// A guest that offers buffers of several lengths, and deliveries of several frames; before most, what is looked
// for ahead: fewer or more than come then, longer or shorter ones. The same for the same seed, but for `fetch`.
static void random_deliveries(
	const struct vhost_burst_ops *ops, unsigned k, uint32_t seed, bool fetch, struct got *got)
{
	static const uint32_t lens[] = {60, 64, 80, 96, 200, 230};
	uint8_t backwards[CHAINS];
	unsigned offered = 0;

	for (unsigned i = 0; i < CHAINS; i++)
		backwards[i] = (uint8_t)(CHAINS - 1 - i);

	random_state = seed;
	bed_open(ops, k % 2 ? MODERN : MODERN | FEATURE(VIRTIO_NET_F_MRG_RXBUF), RING,
		(uint16_t)(RING - 3), false);
	bed.r.ahead = aheads[k % N(aheads)];
	for (unsigned i = 0; i < 12; i++) {
		for (unsigned n = rnd(CHAINS); n && offered - n_used() < RING; n--, offered++) {
			const uint32_t len = rnd(6) ? SLOT - 1 : 12 + lens[rnd(N(lens))];
			offer((uint16_t)(offered % RING),
				(struct vring_desc){A + offered % RING * SLOT, len, WRITE, 0});
		}
		const uint32_t n = rnd(CHAINS), longest = lens[rnd(N(lens))];
		if (rnd(4) && fetch)
			ops->fetch(&bed.r, n, longest);
		make_frames(lens[rnd(4)], rnd(3) ? 0 : 1 + rnd(6), 0);
		if (rnd(3) == 0) // the first may be too long for its buffer, others not
			lengthen(0, 300);
		ops->deliver(&bed.r, frames, rnd(2) ? list : backwards, 1 + rnd(CHAINS), &bed.st);
	}
	memcpy(got->memory, bed.a, B - A);
	memcpy(got->memory + (B - A), bed.b, END - B);
	memcpy(got->used, bed.used->ring, sizeof(got->used));
	got->st = bed.st;
	got->n_used = n_used();
	assert_false(bed.r.vq.broken);
	bed_close();
}

// Were it used for longer frames, or once more, or for others, frames would be cut or lost, or lie where no buffer is.
static void test_what_is_looked_for_ahead_changes_nothing(void **state)
{
	unsigned n = 0;

	for (unsigned s = 0; sets[s]; s++)
		for (unsigned k = 0; k < 400; k++) {
			random_deliveries(sets[s], k, k + 1, false, &plain);
			random_deliveries(sets[s], k, k + 1, true, &fetched);
			assert_int_equal(plain.n_used, fetched.n_used);
			assert_memory_equal(plain.memory, fetched.memory, sizeof(plain.memory));
			assert_memory_equal(plain.used, fetched.used, sizeof(plain.used));
			assert_memory_equal(&plain.st, &fetched.st, sizeof(plain.st));
			n += plain.n_used;
		}
	assert_true(n > 400 * 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_room_is_counted_in_frames),
		cmocka_unit_test(test_a_broken_ring_has_room),
		cmocka_unit_test(test_no_more_is_lent_than_asked_for),
		cmocka_unit_test(test_fetching_ahead_changes_nothing),
		cmocka_unit_test(test_no_more_than_a_burst_is_fetched),
		cmocka_unit_test(test_what_is_looked_for_ahead_changes_nothing),
	};
	return cmocka_run_group_tests(tests, choose_sets, NULL);
}
