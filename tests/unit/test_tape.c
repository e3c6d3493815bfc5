// SPDX-License-Identifier: BSD-2-Clause
// Capture rings: whole copies in order, over every wrap, and counted when they do not fit.
#include "dataplane/switch/tape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint8_t payload[FRAME_LEN_MAX];

// A frame of `len` bytes, the first four of which are `seq`.
static struct frame *lend(uint32_t len, uint32_t seq)
{
	static struct frame f;

	for (uint32_t i = 0; i < len; i++)
		payload[i] = (uint8_t)(seq + i);
	memset(&f, 0, sizeof(f));
	f.len = len;
	f.head_off = FRAME_HEAD_OFF;
	f.head_len = (uint16_t)(len < FRAME_HEAD ? len : FRAME_HEAD);
	memcpy(payload, &seq, 4);
	memcpy(f.buf + f.head_off, payload, f.head_len);
	f.seg = (struct frame_seg){len - f.head_len, payload + f.head_len};
	f.n_segs = len > f.head_len;
	return &f;
}

static void record(struct tape *t, uint32_t w, unsigned dir, uint32_t len, uint32_t seq)
{
	tape_frames(t, w, dir, lend(len, seq), (const uint8_t[]){0}, 1);
}

struct seen {
	uint32_t n, next, len, caplen;
};

static void see(void *ctx, const struct capture_frame *f)
{
	struct seen *s = ctx;
	uint32_t seq;

	memcpy(&seq, f->data, 4);
	assert_int_equal(seq, s->next);
	for (uint32_t i = 4; i < f->caplen; i++)
		if (f->data[i] != (uint8_t)(seq + i))
			fail();
	s->next++;
	s->n++;
	s->len = f->len;
	s->caplen = f->caplen;
}

static void copies_end_at_snaplen(void **state)
{
	struct seen s = {0};
	struct tape *t;

	assert_int_equal(tape_new(CAPTURE_RX, 100, 1, &t), 0);
	record(t, 0, CAPTURE_RX, 99, 0);
	record(t, 0, CAPTURE_TX, 99, 99); // not asked for
	record(t, 0, CAPTURE_RX, 1000, 1);
	assert_int_equal(tape_read(t, 1, see, &s), 1);
	assert_int_equal(s.caplen, 99);
	assert_int_equal(tape_read(t, 10, see, &s), 1);
	assert_int_equal(s.caplen, 100);
	assert_int_equal(s.len, 1000);
	assert_int_equal(tape_read(t, 10, see, &s), 0);
	assert_int_equal(tape_lost(t), 0);
	tape_free(t);
	tape_free(NULL);
}

// Lengths that meet the ring's end in every way, and the longest frame there is.
static void copies_survive_every_wrap(void **state)
{
	static const uint32_t lens[] = {60, 61, 64, 1514, 9000, FRAME_LEN_MAX, 14, 96, 128};
	struct seen s = {0};
	struct tape *t;

	assert_int_equal(tape_new(CAPTURE_TX, 0, 1, &t), 0);
	for (uint32_t i = 0; i < 20000; i++) {
		record(t, 0, CAPTURE_TX, lens[i % 9], i);
		if (i % 3 == 2)
			assert_int_equal(tape_read(t, 100, see, &s), 3);
	}
	tape_read(t, 100, see, &s);
	assert_int_equal(s.n, 20000);
	assert_int_equal(tape_lost(t), 0);
	tape_free(t);
}

static void what_does_not_fit_is_counted(void **state)
{
	struct seen s = {0};
	struct tape *t;

	assert_int_equal(tape_new(CAPTURE_TX, 0, 1, &t), 0);
	for (uint32_t i = 0; i < 50000; i++)
		record(t, 0, CAPTURE_TX, 1000, i);
	uint32_t n = tape_read(t, UINT32_MAX, see, &s);
	assert_true(n > 1000); // a good part of the ring
	assert_int_equal(tape_lost(t), 50000 - n);
	s.next = 7;
	record(t, 0, CAPTURE_TX, 1000, 7); // and then it goes on
	assert_int_equal(tape_read(t, 10, see, &s), 1);
	tape_free(t);
}

// Whole copies in growing order, however many are missing in between.
static void see_whole(void *ctx, const struct capture_frame *f)
{
	struct seen *s = ctx;
	uint32_t seq;

	memcpy(&seq, f->data, 4);
	assert_true(seq >= s->next);
	s->next = seq;
	see(ctx, f);
}

static void a_full_ring_overwrites_nothing(void **state)
{
	static const uint32_t lens[] = {60, 9000, 1514, 64};
	struct seen s = {0};
	struct tape *t;
	uint32_t seq = 0;

	assert_int_equal(tape_new(CAPTURE_TX, 0, 1, &t), 0);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 3000; i++)
			record(t, 0, CAPTURE_TX, lens[i % 4], seq++);
		tape_read(t, 100 + 37 * round, see_whole, &s);
	}
	tape_read(t, UINT32_MAX, see_whole, &s);
	assert_int_equal(s.n + tape_lost(t), seq);
	tape_free(t);
}

static void rings_of_workers_are_read_in_turn_of_time(void **state)
{
	struct seen s = {0};
	struct tape *t;

	assert_int_equal(tape_new(CAPTURE_TX, 0, 3, &t), 0);
	for (uint32_t i = 0; i < 300; i++)
		record(t, i % 7 % 3, CAPTURE_TX, 60, i);
	assert_int_equal(tape_read(t, 1000, see, &s), 300);
	tape_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_end_at_snaplen),
		cmocka_unit_test(copies_survive_every_wrap),
		cmocka_unit_test(what_does_not_fit_is_counted),
		cmocka_unit_test(a_full_ring_overwrites_nothing),
		cmocka_unit_test(rings_of_workers_are_read_in_turn_of_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
