// SPDX-License-Identifier: BSD-2-Clause
// Eight chains at a time: what stands behind a ring, a table or a region is not taken for a part of it, even if
// it looks like what would come next. With the burst loops of every instruction set that this CPU has.
#include "tests/unit/ring_bed.h"

#include "tests/lib/head_sum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

// The second eight chains begin where only seven slots are left.
#define START ((uint16_t)(RING - 7 - 8))

static const uint8_t plain[12] = {[10] = 1};

// Buffers are in the region of the last hit from the first chain on.
static void open_near(const struct vhost_burst_ops *ops, uint16_t start)
{
	bed_open(ops, MODERN, RING, start, false);
	assert_non_null(guestmem_at(&bed.mem, &bed.r.cache, A, 1));
}

static struct vring_desc buffer(unsigned i, uint16_t flags)
{
	return (struct vring_desc){A + i * SLOT, 12 + 60, flags, 0};
}

static void expect_frames(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const uint64_t gpa = A + i * SLOT;
		assert_memory_equal(host(gpa), plain, sizeof(plain));
		assert_memory_equal(host(gpa + 12), bytes[i], 60);
	}
}

// Chains whose heads are neighbours up to the end of the ring, and behind it, where the driver says at which
// index it wants to be notified, the next neighbour. Its descriptor is as good as the others.
static void offer_around_the_end(uint16_t flags)
{
	for (unsigned i = 0; i < CHAINS; i++)
		offer((uint16_t)(i < 15 ? i : 25 + i), buffer(i, flags));
	bed.avail->ring[RING] = 15;
	bed.desc[15] = buffer(50, flags);
	assert_int_equal(bed.avail->ring[RING - 1], 14);
	assert_int_equal(bed.avail->ring[0], 40);
}

static void test_the_event_index_is_no_head(void **state)
{
	for (unsigned s = 0; sets[s]; s++) {
		open_near(sets[s], START);
		offer_around_the_end(0);
		assert_int_equal(bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st), CHAINS);
		for (unsigned i = 0; i < CHAINS; i++) {
			uint8_t got[60];
			assert_int_equal(burst.f[i].len, sizeof(got));
			frame_copy(&burst.f[i], 0, got, sizeof(got));
			assert_memory_equal(got, host(A + i * SLOT + 12), sizeof(got));
		}
		assert_int_equal(bed.r.taken[15], 40);
		bed_close();

		open_near(sets[s], START);
		offer_around_the_end(WRITE);
		make_frames(60, 0, 0);
		assert_int_equal(bed.ops->deliver(&bed.r, frames, list, CHAINS, &bed.st), CHAINS);
		expect_frames(CHAINS);
		assert_int_equal(used(15).id, 40);
		bed_close();
	}
}

// Chains whose heads are neighbours up to the end of the table, and a head beyond it.
static void offer_beyond_the_table(uint16_t flags)
{
	for (unsigned i = 0; i < 16; i++)
		offer((uint16_t)(i < 8 ? i : RING - 15 + i), buffer(i, flags));
	assert_int_equal(bed.avail->ring[15], RING);
}

static void test_what_is_behind_the_table_is_no_descriptor(void **state)
{
	behind_table = 1;
	for (unsigned s = 0; sets[s]; s++) {
		open_near(sets[s], 0);
		offer_beyond_the_table(0);
		assert_int_equal(bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st), 15);
		assert_int_equal(bed.st.drop[DROP_malformed], 1);
		assert_true(bed.r.vq.broken);
		bed_close();

		open_near(sets[s], 0);
		offer_beyond_the_table(WRITE);
		make_frames(60, 0, 0);
		assert_int_equal(bed.ops->deliver(&bed.r, frames, list, 16, &bed.st), 16);
		assert_int_equal(bed.st.tx_frames, 15);
		assert_int_equal(bed.st.drop[DROP_malformed], 1);
		expect_frames(15);
		bed_close();
	}
	behind_table = 0;
}

// Half of all addresses away from a region that is smaller than a frame, so that the end is past the middle,
// where numbers with a sign become negative.
static void offer_half_way_round(uint16_t flags)
{
	const struct vring_desc far = {A + (UINT64_C(1) << 63) - 10, 12 + 60, flags, 0};

	bed.r.cache.size = 16;
	for (unsigned i = 0; i < CHAINS; i++)
		offer((uint16_t)i, far);
}

static void test_half_of_all_addresses_away(void **state)
{
	for (unsigned s = 0; sets[s]; s++) {
		open_near(sets[s], 0);
		offer_half_way_round(0);
		assert_int_equal(bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st), 0);
		assert_int_equal(bed.st.drop[DROP_bad_address], CHAINS);
		bed_close();

		open_near(sets[s], 0);
		offer_half_way_round(WRITE);
		make_frames(60, 0, 0);
		assert_int_equal(bed.ops->deliver(&bed.r, frames, list, CHAINS, &bed.st), CHAINS);
		assert_int_equal(bed.st.drop[DROP_bad_address], CHAINS);
		bed_close();
	}
}

// Frames that begin alike but for one bit of one of them, which is in two pieces if that is asked for.
static void lend_with_odd_bit(unsigned odd, unsigned bit, bool in_pieces)
{
	for (unsigned i = 0; i < CHAINS; i++) {
		offer((uint16_t)i, buffer(i, 0));
		memset(host(A + i * SLOT + 12), 0x5a, 60);
	}
	if (in_pieces) {
		bed.desc[odd].len = 12;
		bed.desc[odd].flags = NEXT;
		bed.desc[odd].next = 40;
		bed.desc[40] = (struct vring_desc){bed.desc[odd].addr + 12, 60, 0, 0};
	}
	host(A + odd * SLOT + 12)[bit / 8] ^= (uint8_t)(1 << bit % 8);
	assert_int_equal(bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st), CHAINS);
}

// How the frames of a burst begin is said of what was lent, and of each bit of the addresses and the type.
static void test_beginnings_are_summed(void **state)
{
	for (unsigned s = 0; sets[s]; s++)
		for (unsigned bit = 0; bit < 16 * 8; bit++)
			for (unsigned p = 0; p < 6; p++) {
				open_near(sets[s], 0);
				lend_with_odd_bit(p / 2 * (CHAINS - 1) / 2, bit, p % 2);
				assert_true(burst.is_summed);
				const struct head_sum sum = head_sum_of(&burst);
				assert_memory_equal(burst.begin.any, sum.any, 14);
				assert_memory_equal(burst.begin.least, sum.least, 14);
				assert_int_equal(!memcmp(sum.any, sum.least, 14), bit >= 14 * 8);
				bed_close();
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_event_index_is_no_head),
		cmocka_unit_test(test_what_is_behind_the_table_is_no_descriptor),
		cmocka_unit_test(test_half_of_all_addresses_away),
		cmocka_unit_test(test_beginnings_are_summed),
	};
	return cmocka_run_group_tests(tests, choose_sets, NULL);
}
