// SPDX-License-Identifier: BSD-2-Clause
// Small frames that are alike go a way of their own, and another if they follow one another too: that nothing else takes
// it, and that what takes it arrives as it is. With the burst loops of every instruction set that this CPU has.
#include "tests/unit/ring_bed.h"

static const uint8_t plain[12] = {[10] = 1};

// Offers buffers of the longest frame's size, delivers, and looks at all that arrives and at what is behind it.
static void expect_all(const uint8_t *which, unsigned n)
{
	uint64_t sum = 0;

	memset(bed.a, 0xee, B - A);
	for (unsigned i = 0; i < n; i++)
		offer((uint16_t)i, (struct vring_desc){A + 100 + i * SLOT, 300, WRITE, 0});
	assert_int_equal(bed.ops->deliver(&bed.r, frames, which, n, &bed.st), n);
	assert_int_equal(n_used(), n);
	for (unsigned i = 0; i < n; i++) {
		const uint32_t len = frames[which[i]].len;
		const uint8_t *to = host(A + 100 + i * SLOT);

		assert_int_equal(used(i).id, i);
		assert_int_equal(used(i).len, 12 + len);
		assert_memory_equal(to, plain, 12);
		assert_memory_equal(to + 12, bytes[which[i]], len);
		for (unsigned k = 12 + len; k < 200; k++)
			assert_int_equal(to[k], 0xee);
		sum += len;
	}
	assert_int_equal(bed.st.tx_frames, n);
	assert_int_equal(bed.st.tx_bytes, sum);
	assert_int_equal(bed.st.copied, sum + 12 * n);
}

static void open_with(const struct vhost_burst_ops *ops, unsigned ahead)
{
	bed_open(ops, MODERN, RING, (uint16_t)(RING - 5), false);
	bed.r.ahead = aheads[ahead];
}

// All frames, or all but one. Returns how many.
static unsigned pick(uint8_t some[CHAINS], unsigned but)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CHAINS; i++)
		if (i != but)
			some[n++] = (uint8_t)i;
	return n;
}

static void test_each_length(void **state)
{
	uint8_t some[CHAINS];

	for (unsigned s = 0; sets[s]; s++)
		for (unsigned k = 0; k < 2 * N(aheads); k++)
			for (uint32_t len = 14; len < 110; len++) {
				open_with(sets[s], k / 2);
				make_frames(len, 0, 0);
				expect_all(some, pick(some, k % 2 ? CHAINS / 2 : CHAINS));
				bed_close();
			}
}

// Frame i as if it had been of length `len`, with `head` bytes of it in its head.
static void reshape(unsigned i, uint32_t len, uint32_t head, int moved)
{
	struct frame *f = &frames[i];

	for (uint32_t k = 0; k < len; k++)
		bytes[i][k] = (uint8_t)(i * 13 + k * 7);
	f->len = len;
	f->head_len = (uint16_t)head;
	f->head_off = (uint8_t)(FRAME_HEAD_OFF + moved);
	memcpy(frame_head(f), bytes[i], head);
	f->seg = (struct frame_seg){len - head, bytes[i] + head};
	f->n_segs = len > head;
}

static void in_two_pieces(unsigned i, struct frame_seg *two)
{
	struct frame *f = &frames[i];

	two[0] = (struct frame_seg){10, f->seg.base};
	two[1] = (struct frame_seg){f->seg.len - 10, f->seg.base + 10};
	f->n_segs = 2;
	f->segs = two;
	f->seg.base = NULL;
}

// One of them is other than the rest, in any respect and at any place; in a row and with a gap in it.
static void test_one_is_other(void **state)
{
	struct frame_seg two[2];
	uint8_t some[CHAINS];

	for (unsigned s = 0; sets[s]; s++)
		for (unsigned odd = 0; odd < CHAINS; odd++)
			for (unsigned k = 0; k < 2 * 7; k++) {
				const unsigned kind = k / 2, but = k % 2 ? CHAINS / 2 : CHAINS;

				open_with(sets[s], (odd + kind) % N(aheads));
				make_frames(64, 0, 0);
				switch (kind) {
				case 0:
					reshape(odd, 65, 32, 0);
					break;
				case 1:
					reshape(odd, 20, 20, 0);
					break;
				case 2:
					reshape(odd, 64, 64, 0); // pulled
					break;
				case 3:
					reshape(odd, 64, 32,
						-4); // a tag was pushed and another popped
					break;
				case 4:
					frames[odd].flags = FRAME_VALID;
					break;
				case 5:
					in_two_pieces(odd, two);
					break;
				default:
					reshape(odd, 200, 32, 0);
				}
				expect_all(some, pick(some, but));
				bed_close();
			}
}

// Lists with gaps, of every length and from every place.
static void test_lists_with_gaps(void **state)
{
	for (unsigned s = 0; sets[s]; s++)
		for (unsigned first = 0; first < CHAINS; first++)
			for (unsigned gap = first; gap <= CHAINS; gap++) {
				uint8_t some[CHAINS];
				unsigned n = 0;

				for (unsigned i = first; i < CHAINS; i++)
					if (i != gap)
						some[n++] = (uint8_t)i;
				open_with(sets[s], (first + gap) % N(aheads));
				make_frames(64, 0, 0);
				if (n)
					expect_all(some, n);
				bed_close();
			}
}

// Headers are written where others stand.
static void test_other_headers_are_replaced(void **state)
{
	for (unsigned s = 0; sets[s]; s++)
		for (unsigned at = 0; at < CHAINS; at++) {
			open_with(sets[s], at % N(aheads));
			make_frames(64, 0, 0);
			for (unsigned i = 0; i < CHAINS; i++) {
				offer((uint16_t)i,
					(struct vring_desc){A + i * SLOT, 300, WRITE, 0});
				memcpy(host(A + i * SLOT), plain, 12);
			}
			host(A + at * SLOT)[at % 12] ^= 0x10;
			assert_int_equal(
				bed.ops->deliver(&bed.r, frames, list, CHAINS, &bed.st), CHAINS);
			for (unsigned i = 0; i < CHAINS; i++) {
				assert_memory_equal(host(A + i * SLOT), plain, 12);
				assert_memory_equal(host(A + i * SLOT) + 12, bytes[i], 64);
			}
			bed_close();
		}
}

// One of eight buffers, or of sixteen, is none that may be written as it is: too short by a byte, beyond the end of memory by a byte,
// not to be written, or part of a chain. Those before it are used, and nothing behind them is written.
static void test_one_buffer_is_other(void **state)
{
	const uint64_t most = END - (12 + 64);
	static const uint16_t flags[] = {
		WRITE, WRITE, WRITE, 0, WRITE | NEXT, WRITE | INDIRECT, NEXT};

	for (unsigned s = 0; sets[s]; s++)
		for (unsigned odd = 0; odd < 16; odd++)
			for (unsigned kind = 0; kind < N(flags); kind++) {
				uint8_t before[END - B];

				open_with(sets[s], kind % N(aheads));
				make_frames(64, 0, 0);
				for (unsigned i = 0; i < 16; i++)
					offer((uint16_t)i, (struct vring_desc){
								   B + i * 100, 12 + 64, WRITE, 0});
				assert_non_null(guestmem_at(&bed.mem, &bed.r.cache, B, 1));
				bed.desc[odd].flags = flags[kind];
				bed.desc[odd].next = RING; // of a chain: it leads nowhere
				if (kind == 0)
					bed.desc[odd].len--;
				if (kind == 1)
					bed.desc[odd].addr = most + 1;
				if (kind == 2)
					bed.desc[odd].addr = most; // this one is good
				memcpy(before, bed.b, sizeof(before));
				bed.ops->deliver(&bed.r, frames, list, 16, &bed.st);
				assert_int_equal(bed.st.tx_frames == 16, kind == 2);
				for (unsigned i = 0; i < odd; i++)
					assert_memory_equal(host(B + i * 100) + 12, bytes[i], 64);
				assert_true(used(0).len == 12 + 64 || !odd);
				if (kind == 2) {
					assert_memory_equal(host(most) + 12, bytes[odd], 64);
				} else {
					assert_memory_equal(
						host(B + odd * 100), before + odd * 100, 12 + 64);
				}
				bed_close();
			}
}

// Used elements that stand there already are left alone, others are written: whichever of eight it is.
static void test_one_used_element_is_other(void **state)
{
	for (unsigned s = 0; sets[s]; s++)
		for (unsigned odd = 0; odd < CHAINS; odd++)
			for (unsigned what = 0; what < 2; what++) {
				open_with(sets[s], odd % N(aheads));
				make_frames(64, 0, 0);
				for (unsigned i = 0; i < CHAINS; i++)
					bed.used->ring[(uint16_t)(bed.start + i) % RING] =
						(struct vring_used_elem){what || i != odd ? i : 60,
							!what || i != odd ? 12 + 64 : 0};
				expect_all(list, CHAINS);
				bed_close();
			}
}

// Frames are lent as long as they are, and as they are, if one has another length too.
static void test_one_lent_is_other(void **state)
{
	static const uint32_t lens[] = {14, 32, 33, 59, 61, 64, 96, 97, 1000};

	for (unsigned s = 0; sets[s]; s++)
		for (unsigned odd = 0; odd <= CHAINS; odd++)
			for (unsigned k = 0; k < N(lens) * N(aheads); k++) {
				open_with(sets[s], k % N(aheads));
				for (unsigned i = 0; i < CHAINS; i++) {
					const uint32_t len = i == odd ? lens[k / N(aheads)] : 60;
					offer((uint16_t)i,
						(struct vring_desc){A + i * SLOT, 12 + len, 0, 0});
				}
				assert_int_equal(
					bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st),
					CHAINS);
				for (unsigned i = 0; i < CHAINS; i++) {
					const uint32_t len = i == odd ? lens[k / N(aheads)] : 60;
					uint8_t got[1000];

					assert_int_equal(burst.f[i].len, len);
					frame_copy(&burst.f[i], 0, got, len);
					assert_memory_equal(got, host(A + i * SLOT) + 12, len);
				}
				bed_close();
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_length),
		cmocka_unit_test(test_one_is_other),
		cmocka_unit_test(test_lists_with_gaps),
		cmocka_unit_test(test_other_headers_are_replaced),
		cmocka_unit_test(test_one_buffer_is_other),
		cmocka_unit_test(test_one_used_element_is_other),
		cmocka_unit_test(test_one_lent_is_other),
	};
	return cmocka_run_group_tests(tests, choose_sets, NULL);
}
