// SPDX-License-Identifier: BSD-2-Clause
// Pulling and copying from frames in pieces of every size.
#include "dataplane/frame/frame.h"
#include "tests/lib/craft.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static const uint32_t seg_lens[] = {1, 2, 3, 7, 63, 64, 65, 128, 4096};

static struct frame_seg segs[CRAFT_SEGS];
static uint8_t bytes[3000], got[3000];

#define N(a) (sizeof(a) / sizeof((a)[0]))

static int fill(void **state)
{
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	return 0;
}

// The frame's bytes are those that were lent, and its lengths add up.
static void assert_whole(const struct frame *f, uint32_t len)
{
	uint32_t sum = f->head_len;
	assert_int_equal(f->len, len);
	for (unsigned i = 0; i < f->n_segs; i++)
		sum += frame_segs_const(f)[i].len;
	assert_int_equal(sum, len);
	memset(got, 0xee, sizeof(got));
	frame_copy(f, 0, got, len);
	assert_memory_equal(got, bytes, len);
	assert_true(len == sizeof(got) || got[len] == 0xee);
}

static void pull_moves_bytes_into_the_head(void **state)
{
	struct frame f;
	for (unsigned i = 0; i < N(seg_lens); i++) {
		for (unsigned want = 0; want <= FRAME_HEAD_MAX; want++) {
			craft_lend(&f, bytes, 500, seg_lens[i], segs, NULL);
			assert_true(frame_pull(&f, want));
			assert_true(f.head_len >= want);
			assert_int_equal(f.head_len, want <= FRAME_HEAD    ? FRAME_HEAD
						     : want < FRAME_WINDOW ? FRAME_WINDOW
									   : want);
			assert_memory_equal(frame_head(&f), bytes, f.head_len);
			assert_whole(&f, 500);
		}
	}
}

static void pull_in_steps_is_pull_at_once(void **state)
{
	struct frame f;
	for (unsigned i = 0; i < N(seg_lens); i++) {
		craft_lend(&f, bytes, 500, seg_lens[i], segs, NULL);
		for (unsigned want = 60; want <= FRAME_HEAD_MAX; want += 5) {
			assert_true(frame_pull(&f, want));
			assert_whole(&f, 500);
		}
	}
}

static void pull_takes_all_of_a_short_frame(void **state)
{
	struct frame f;
	for (uint32_t len = 14; len <= FRAME_HEAD_MAX; len++) {
		craft_lend(&f, bytes, len, 10, segs, NULL);
		assert_true(frame_pull(&f, len));
		assert_int_equal(f.head_len, len);
		assert_int_equal(f.n_segs, 0);
		assert_whole(&f, len);
	}
}

static void pull_beyond_the_frame_fails(void **state)
{
	struct frame f, before;
	craft_lend(&f, bytes, 100, 9, segs, NULL);
	before = f;
	assert_false(frame_pull(&f, 101));
	assert_memory_equal(&f, &before, sizeof(f));
	craft_lend(&f, bytes, 20, 9, segs, NULL);
	assert_false(frame_pull(&f, 21));
	assert_whole(&f, 20);
}

static void pull_beyond_the_head_fails(void **state)
{
	struct frame f, before;
	craft_lend(&f, bytes, 500, 500, segs, NULL);
	before = f;
	assert_false(frame_pull(&f, FRAME_HEAD_MAX + 1));
	assert_memory_equal(&f, &before, sizeof(f));
	// A tag was popped: the head starts later and has less room.
	f.head_off += 4;
	assert_false(frame_pull(&f, FRAME_HEAD_MAX - 3));
	assert_true(frame_pull(&f, FRAME_HEAD_MAX - 4));
	// One was pushed: no more than the maximum, though there is room.
	craft_lend(&f, bytes, 500, 500, segs, NULL);
	f.head_off -= 4;
	assert_false(frame_pull(&f, FRAME_HEAD_MAX + 1));
}

static void pull_passes_over_empty_segments(void **state)
{
	struct frame f;
	craft_lend(&f, bytes, 100, 100, segs, NULL);
	const uint8_t *rest = bytes + FRAME_HEAD;
	struct frame_seg some[] = {
		{0, rest}, {6, rest}, {0, rest + 6}, {100 - FRAME_HEAD - 6, rest + 6}};
	frame_set_segs(&f, some, 4);
	assert_true(frame_pull(&f, FRAME_WINDOW + 7));
	assert_int_equal(f.head_len, FRAME_WINDOW + 7);
	assert_whole(&f, 100);
}

static void copy_takes_any_part(void **state)
{
	struct frame f;
	for (unsigned i = 0; i < N(seg_lens); i++) {
		craft_lend(&f, bytes, 300, seg_lens[i], segs, NULL);
		for (uint32_t off = 0; off < 300; off += 3) {
			for (uint32_t len = 0; off + len <= 300; len += 11) {
				got[len] = 0xee;
				frame_copy(&f, off, got, len);
				assert_memory_equal(got, bytes + off, len);
				assert_int_equal(got[len], 0xee);
			}
		}
	}
}

static void copy_passes_over_segments_that_are_apart(void **state)
{
	struct frame f;
	static uint8_t apart[2][400];
	const uint32_t len = FRAME_HEAD + 100;
	craft_lend(&f, bytes, len, 100, segs, NULL);
	memcpy(apart[0] + 10, bytes + FRAME_HEAD, 30);
	memcpy(apart[1] + 200, bytes + FRAME_HEAD + 30, 70);
	struct frame_seg some[] = {{30, apart[0] + 10}, {0, apart[1]}, {70, apart[1] + 200}};
	frame_set_segs(&f, some, 3);
	assert_whole(&f, len);
	for (uint32_t off = FRAME_HEAD - 4; off < len; off++) {
		frame_copy(&f, off, got, len - off);
		assert_memory_equal(got, bytes + off, len - off);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pull_moves_bytes_into_the_head),
		cmocka_unit_test(pull_in_steps_is_pull_at_once),
		cmocka_unit_test(pull_takes_all_of_a_short_frame),
		cmocka_unit_test(pull_beyond_the_frame_fails),
		cmocka_unit_test(pull_beyond_the_head_fails),
		cmocka_unit_test(pull_passes_over_empty_segments),
		cmocka_unit_test(copy_takes_any_part),
		cmocka_unit_test(copy_passes_over_segments_that_are_apart),
	};
	return cmocka_run_group_tests(tests, fill, NULL);
}
