// SPDX-License-Identifier: BSD-2-Clause
// Heads of small frames: what was looked at is what is delivered, however the rest lies. With the burst loops
// of every instruction set that this CPU has.
#include "tests/unit/ring_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define WHOLE_LIMIT 64u // of what is copied at once

static const uint8_t plain[12] = {[10] = 1};

static void expect(uint64_t gpa, const uint8_t *frame, uint32_t len)
{
	assert_memory_equal(host(gpa), plain, sizeof(plain));
	assert_memory_equal(host(gpa + 12), frame, len);
	assert_int_equal(*host(gpa + 12 + len), 0xee);
}

// A guest that changes its frames once they were lent changes only what nobody looked at.
static void test_a_head_stays_as_it_was_lent(void **state)
{
	static const uint32_t lens[] = {14, 20, 31, 32, 33, 60, 64, 65, 96, 97, 200};
	static uint8_t before[FRAME_HEAD], want[200];

	for (unsigned s = 0; sets[s]; s++)
		for (unsigned k = 0; k < N(lens); k++) {
			const uint32_t head = lens[k] < FRAME_HEAD ? lens[k] : FRAME_HEAD;

			bed_open(sets[s], MODERN, RING, 0, false);
			for (unsigned i = 0; i < CHAINS; i++)
				offer((uint16_t)i,
					(struct vring_desc){A + i * SLOT, 12 + lens[k], 0, 0});
			assert_int_equal(
				bed.ops->lend(&bed.r, &burst, FRAME_BURST, &bed.st), CHAINS);
			for (unsigned i = 0; i < CHAINS; i++)
				memset(host(A + i * SLOT + 12), (int)i, lens[k]);
			// The same ring fills the buffers: to these loops one is as good as another.
			memset(host(A + CHAINS * SLOT), 0xee, CHAINS * SLOT);
			for (unsigned i = CHAINS; i < 2 * CHAINS; i++)
				offer((uint16_t)i,
					(struct vring_desc){A + i * SLOT, 1000, WRITE, 0});
			assert_int_equal(
				bed.ops->deliver(&bed.r, burst.f, list, CHAINS, &bed.st), CHAINS);
			for (unsigned i = 0; i < CHAINS; i++) {
				memcpy(before, pattern + i * SLOT + 12, head);
				memset(want, (int)i, lens[k]);
				memcpy(want, before, head);
				expect(A + (CHAINS + i) * SLOT, want, lens[k]);
			}
			bed_close();
		}
}

static void test_small_frames_in_pieces(void **state)
{
	static struct frame_seg segs[CHAINS][4];

	for (unsigned s = 0; sets[s]; s++)
		for (unsigned pieces = 1; pieces <= N(segs[0]); pieces++) {
			bed_open(sets[s], MODERN, RING, 0, false);
			memset(bed.a, 0xee, B - A);
			make_frames(60, 1, 0);
			for (unsigned i = 1; i < CHAINS; i++) { // the first is as others are
				const struct frame_seg all = frames[i].seg;
				uint32_t at = 0;

				for (unsigned p = 0; p < pieces; p++) {
					const uint32_t n = p + 1 < pieces ? 5 : all.len - at;
					segs[i][p] = (struct frame_seg){n, all.base + at};
					at += n;
				}
				frames[i].seg = (struct frame_seg){0, NULL};
				frame_set_segs(&frames[i], segs[i], pieces);
			}
			for (unsigned i = 0; i < CHAINS; i++)
				offer((uint16_t)i,
					(struct vring_desc){A + i * SLOT, 1000, WRITE, 0});
			assert_int_equal(
				bed.ops->deliver(&bed.r, frames, list, CHAINS, &bed.st), CHAINS);
			for (unsigned i = 0; i < CHAINS; i++)
				expect(A + i * SLOT, bytes[i], 60 + i);
			bed_close();
		}
}

// A buffer in two parts, among others: it goes another way, and counts there.
static void test_each_frame_counts_once(void **state)
{
	for (unsigned s = 0; sets[s]; s++)
		for (uint16_t k = 0; k < 2 * CHAINS; k++) {
			const uint16_t odd = k / 2;
			const uint32_t base = k & 1 ? 60 : 200; // small ones, and longer
			uint64_t sum = 0;

			bed_open(sets[s], MODERN, RING, 0, false);
			memset(bed.a, 0xee, B - A);
			make_frames(base, 1, 0);
			for (uint16_t i = 0; i < CHAINS; i++) {
				offer(i, (struct vring_desc){A + i * SLOT, 1000, WRITE, 0});
				sum += frames[i].len;
			}
			bed.desc[odd] =
				(struct vring_desc){A + odd * SLOT, 40, WRITE | NEXT, CHAINS};
			bed.desc[CHAINS] = (struct vring_desc){A + odd * SLOT + 40, 900, WRITE, 0};
			assert_int_equal(
				bed.ops->deliver(&bed.r, frames, list, CHAINS, &bed.st), CHAINS);
			for (unsigned i = 0; i < CHAINS; i++)
				expect(A + i * SLOT, bytes[i], base + i);
			assert_int_equal(bed.st.tx_frames, CHAINS);
			assert_int_equal(bed.st.tx_bytes, sum);
			assert_int_equal(bed.st.copied, sum + CHAINS * 12);
			bed_close();
		}
}

// Frames whose heads were pulled hold all, and one that differs.
static void test_heads_that_hold_all(void **state)
{
	enum { NONE, AS_RECEIVED, LONGER, LATER, EARLIER, N_KINDS };

	for (unsigned s = 0; sets[s]; s++)
		for (unsigned k = 0; k < CHAINS * N_KINDS; k++) {
			const unsigned odd = k / N_KINDS, kind = k % N_KINDS;

			bed_open(sets[s], MODERN, RING, 0, false);
			memset(bed.a, 0xee, B - A);
			make_frames(45, 1, 0);
			for (unsigned i = 0; i < CHAINS; i++)
				if (i != odd || kind != AS_RECEIVED)
					assert_true(frame_pull(&frames[i], frames[i].len));
			struct frame *f = &frames[odd];
			if (kind == LONGER) {
				f->len = f->head_len = WHOLE_LIMIT + 1;
				for (unsigned b = 0; b < f->len; b++)
					bytes[odd][b] = frame_head(f)[b] = (uint8_t)(b * 3 + k);
			}
			if (kind == LATER || kind == EARLIER) { // a tag was popped, or two pushed
				f->head_off = (uint8_t)(FRAME_HEAD_OFF + (kind == LATER ? 4 : -8));
				memcpy(frame_head(f), bytes[odd], f->len);
			}
			for (unsigned i = 0; i < CHAINS; i++)
				offer((uint16_t)i, (struct vring_desc){A + i * SLOT,
							   12 + frames[i].len, WRITE, 0});
			assert_int_equal(
				bed.ops->deliver(&bed.r, frames, list, CHAINS, &bed.st), CHAINS);
			for (unsigned i = 0; i < CHAINS; i++)
				expect(A + i * SLOT, bytes[i], frames[i].len);
			bed_close();
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_head_stays_as_it_was_lent),
		cmocka_unit_test(test_small_frames_in_pieces),
		cmocka_unit_test(test_each_frame_counts_once),
		cmocka_unit_test(test_heads_that_hold_all),
	};
	return cmocka_run_group_tests(tests, choose_sets, NULL);
}
