// SPDX-License-Identifier: BSD-2-Clause
// The device side against the driver side: setters, life, every index wrap, bursts, hostile
// indexes, notification.
#include "tests/unit/virtq_pair.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

// Every size; the indexes pass every value and the wrap; the free list hands out every descriptor.
static void test_every_size_over_the_wrap(void **state)
{
	for (uint32_t size = 1; size <= VQ_MAX_SIZE; size *= 2) {
		for (int event_idx = 0; event_idx < 2; event_idx++) {
			struct pair p;

			pair_init(&p, (uint16_t)size, event_idx);
			for (uint32_t i = 0; i < 0x10000 + size + 3; i++) {
				uint16_t head = pair_offer(&p, i % PAIR_DATA, 1, true), got = 0;
				struct vq_reaped r;

				assert_int_equal(vq_device_pop_burst(&p.dev, &got, 1), 1);
				assert_int_equal(got, head);
				assert_int_equal(vq_device_desc(&p.dev, got).addr,
					p.data_gpa + i % PAIR_DATA);
				pair_give_back(&p, got, i & 1);
				assert_true(vq_driver_reap(&p.drv, &r));
				assert_int_equal(r.head, head);
				assert_int_equal(r.len, i & 1);
				assert_int_equal(vq_driver_free_chain(&p.drv, head), 0);
			}
			assert_int_equal(vq_device_next_avail(&p.dev), (uint16_t)(size + 3));
			assert_int_equal(vq_device_next_used(&p.dev), (uint16_t)(size + 3));
			assert_int_equal(vq_device_avail_idx(&p.dev), (uint16_t)(size + 3));
			assert_int_equal(vq_device_used_idx(&p.dev), (uint16_t)(size + 3));
			pair_fini(&p);
		}
	}
}

// A full ring, popped and given back in bursts of every length, starting before the wrap.
static void test_bursts_over_the_wrap(void **state)
{
	for (unsigned burst = 1; burst <= 64; burst++) {
		struct vring_used_elem elems[64];
		uint16_t heads[64], got[64];
		struct vq_reaped back[64];
		struct pair p;

		pair_init(&p, 64, false);
		pair_set_index(&p, 0xffe0);
		for (unsigned i = 0; i < 64; i++)
			heads[i] = pair_offer(&p, i, 1, true);
		for (unsigned done = 0; done < 64;) {
			unsigned left = 64 - done, want = left < burst ? left : burst;

			assert_int_equal(vq_device_avail(&p.dev, burst), want);
			assert_int_equal(vq_device_pop_burst(&p.dev, got, burst), want);
			for (unsigned i = 0; i < want; i++) {
				assert_int_equal(got[i], heads[done + i]);
				elems[want - 1 - i] = (struct vring_used_elem){got[i], 1};
			}
			vq_device_used_burst(&p.dev, elems, want);
			assert_int_equal(vq_driver_used_pending(&p.drv), 0);
			vq_device_publish(&p.dev);
			assert_int_equal(vq_driver_used_pending(&p.drv), want);
			assert_int_equal(vq_driver_reap_burst(&p.drv, back, 64), want);
			for (unsigned i = 0; i < want; i++)
				assert_int_equal(back[i].head, elems[i].id);
			done += want;
		}
		assert_int_equal(vq_device_pop_burst(&p.dev, got, burst), 0);
		pair_fini(&p);
	}
}

static void test_avail_is_read_again_only_when_short(void **state)
{
	struct pair p;

	pair_init(&p, 8, false);
	pair_offer(&p, 0, 1, false);
	pair_offer(&p, 0, 1, false);
	assert_int_equal(vq_device_avail(&p.dev, 1), 1); // learns of both
	p.drv.avail->idx = 0x4000;                       // would break the queue, if seen
	assert_int_equal(vq_device_avail(&p.dev, 0), 0);
	assert_int_equal(vq_device_avail(&p.dev, 2), 2);
	assert_false(p.dev.broken);
	assert_int_equal(vq_device_avail(&p.dev, 3), 0);
	assert_true(p.dev.broken);
	pair_fini(&p);
}

static void test_impossible_index_breaks_the_queue(void **state)
{
	static const struct {
		uint16_t start, idx;
		unsigned n;
		bool broken;
	} cases[] = {
		{0, 8, 8, false},
		{0, 9, 0, true},
		{0, 0xffff, 0, true},
		{5, 4, 0, true},
		{5, 5, 0, false},
		{0xfffc, 4, 8, false},
		{0xfffc, 5, 0, true},
		{0xfffc, 0xfffb, 0, true},
		{0x8000, 0, 0, true},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair p;
		uint16_t heads[8];

		pair_init(&p, 8, false);
		pair_set_index(&p, cases[i].start);
		p.drv.avail->idx = cases[i].idx;
		assert_int_equal(vq_device_avail(&p.dev, 64), cases[i].n);
		assert_int_equal(p.dev.broken, cases[i].broken);
		if (cases[i].broken) {
			// Nothing more, whatever the ring says then; until reset.
			p.drv.avail->idx = (uint16_t)(cases[i].start + 1);
			assert_int_equal(vq_device_avail(&p.dev, 1), 0);
			assert_int_equal(vq_device_pop_burst(&p.dev, heads, 8), 0);
			vq_device_reset(&p.dev);
			assert_false(p.dev.broken);
		}
		pair_fini(&p);
	}
}

// Popped chains still belong to the device: with those, no more than size can have been made available.
static void test_more_in_flight_than_size_breaks_the_queue(void **state)
{
	uint16_t heads[8];
	struct pair p;

	pair_init(&p, 8, false);
	pair_set_index(&p, 0xfffc);
	p.drv.avail->idx = 0; // four
	assert_int_equal(vq_device_pop_burst(&p.dev, heads, 8), 4);
	vq_device_used(&p.dev, 0, heads[0], 0);
	vq_device_add(&p.dev, 1);
	p.drv.avail->idx = 5; // three popped, five waiting
	assert_int_equal(vq_device_avail(&p.dev, 8), 5);
	p.drv.avail->idx = 6;
	assert_int_equal(vq_device_avail(&p.dev, 8), 0);
	assert_true(p.dev.broken);
	pair_fini(&p);
}

// Behind what was popped, but not behind what was given back.
static void test_index_going_back_breaks_the_queue(void **state)
{
	uint16_t heads[8];
	struct pair p;

	pair_init(&p, 8, false);
	p.drv.avail->idx = 4;
	assert_int_equal(vq_device_pop_burst(&p.dev, heads, 3), 3);
	p.drv.avail->idx = 3; // one was not popped yet: it may go
	assert_int_equal(vq_device_avail(&p.dev, 8), 0);
	assert_false(p.dev.broken);
	p.drv.avail->idx = 2;
	assert_int_equal(vq_device_avail(&p.dev, 8), 0);
	assert_true(p.dev.broken);
	pair_fini(&p);
}

static void test_bad_head_breaks_the_queue(void **state)
{
	struct vq_chain chain;
	struct vq_seg segs[4];
	uint16_t heads[8];
	struct pair p;

	pair_init(&p, 8, false);
	for (int i = 0; i < 4; i++)
		pair_offer(&p, 0, 1, false);
	p.drv.avail->ring[2] = 8;
	assert_int_equal(vq_device_pop_burst(&p.dev, heads, 8), 2);
	assert_true(p.dev.broken);
	assert_int_equal(vq_device_next_avail(&p.dev), 2);
	assert_int_equal(vq_device_avail(&p.dev, 1), 0);
	assert_int_equal(
		vq_device_pop_chain(&p.dev, &p.mem, &p.cache, 0, segs, 4, &chain), -EBADMSG);
	pair_fini(&p);
}

static void test_pop_chain(void **state)
{
	struct vring_desc bufs[3] = {
		{0, 10, 0, 0}, {0, 20, VRING_DESC_F_WRITE, 0}, {0, 1, VRING_DESC_F_WRITE, 0}};
	struct vq_chain chain = {0};
	struct vq_seg segs[4];
	struct pair p;
	int head;

	pair_init(&p, 8, false);
	assert_int_equal(vq_device_pop_chain(&p.dev, &p.mem, &p.cache, 0, segs, 4, &chain), 0);
	for (int i = 0; i < 3; i++)
		bufs[i].addr = p.data_gpa + 100 * i;
	head = vq_driver_write_chain(&p.drv, bufs, 3);
	assert_true(vq_driver_push(&p.drv, (uint16_t)head));
	vq_driver_publish(&p.drv);
	assert_int_equal(vq_device_pop_chain(&p.dev, &p.mem, &p.cache, 0, segs, 4, &chain), 1);
	assert_int_equal(chain.head, head);
	assert_int_equal(chain.n_desc, 3);
	assert_ptr_equal(segs[1].base, p.ram + p.layout.total + 100);

	// A malformed chain counts as popped and can be given back.
	head = pair_offer(&p, 0, 1, false);
	p.drv.desc[head].flags = VRING_DESC_F_INDIRECT;
	assert_int_equal(
		vq_device_pop_chain(&p.dev, &p.mem, &p.cache, 0, segs, 4, &chain), -EBADMSG);
	assert_int_equal(chain.head, head);
	assert_int_equal(chain.n_desc, 0);
	assert_false(p.dev.broken);
	assert_int_equal(vq_device_next_avail(&p.dev), 2);
	pair_fini(&p);
}

static void test_go_back(void **state)
{
	uint16_t heads[8], again[8];
	struct pair p;

	pair_init(&p, 8, false);
	pair_set_index(&p, 0xfffe);
	for (int i = 0; i < 5; i++)
		pair_offer(&p, 0, 1, false);
	assert_int_equal(vq_device_pop_burst(&p.dev, heads, 4), 4);
	vq_device_unpop(&p.dev, 1);
	assert_int_equal(vq_device_pop_burst(&p.dev, again, 1), 1);
	assert_int_equal(again[0], heads[3]);
	vq_device_unpop(&p.dev, 4);
	assert_int_equal(vq_device_next_avail(&p.dev), 0xfffe);
	assert_int_equal(vq_device_pop_burst(&p.dev, again, 8), 5);
	assert_memory_equal(again, heads, 4 * sizeof(heads[0]));
	pair_fini(&p);
}

// A burst that ends at a bad head: the queue breaks first, then what came before it is popped.
static void test_pop_in_a_broken_queue_shows_no_chain(void **state)
{
	struct pair p;

	pair_init(&p, 8, false);
	pair_offer(&p, 0, 1, false);
	pair_offer(&p, 0, 1, false);
	assert_int_equal(vq_device_avail(&p.dev, 2), 2);
	vq_device_break(&p.dev);
	vq_device_pop(&p.dev, 1);
	assert_int_equal(vq_device_avail(&p.dev, 1), 0);
	assert_int_equal(vq_device_avail(&p.dev, 64), 0);
	pair_fini(&p);
}

// Found by fuzzing.
static void test_go_back_in_a_broken_queue_shows_no_chain(void **state)
{
	uint16_t head = 0;
	struct pair p;

	pair_init(&p, 8, false);
	pair_offer(&p, 0, 1, false);
	assert_int_equal(vq_device_pop_burst(&p.dev, &head, 1), 1);
	vq_device_break(&p.dev);
	vq_device_unpop(&p.dev, 1);
	assert_int_equal(vq_device_pop_burst(&p.dev, &head, 1), 0);
	pair_fini(&p);
}

static void test_iterate_without_popping(void **state)
{
	uint16_t heads[5], head;
	unsigned seen = 0;
	struct pair p;

	pair_init(&p, 8, false);
	pair_set_index(&p, 0xfffd);
	for (int i = 0; i < 5; i++)
		heads[i] = pair_offer(&p, 0, 1, false);
	for (vq_device_foreach(&p.dev, i, n, head)) {
		assert_int_equal(n, 5);
		assert_int_equal(head, heads[i]);
		seen++;
	}
	assert_int_equal(seen, 5);
	assert_int_equal(vq_device_next_avail(&p.dev), 0xfffd);
	pair_fini(&p);
}

static void test_enable_notification_sees_what_came_meanwhile(void **state)
{
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		uint16_t head = 0;
		struct pair p;

		pair_init(&p, 8, event_idx);
		pair_set_index(&p, 0xffff);
		vq_device_disable_notification(&p.dev);
		assert_int_equal(
			vq_device_used_flags(&p.dev), event_idx ? 0 : VRING_USED_F_NO_NOTIFY);
		assert_true(vq_driver_needs_kick(&p.drv)); // the first
		pair_offer(&p, 0, 1, false);
		if (!event_idx)
			assert_false(vq_driver_needs_kick(&p.drv));
		assert_true(vq_device_enable_notification(&p.dev)); // do not sleep
		assert_int_equal(vq_device_pop_burst(&p.dev, &head, 1), 1);
		assert_false(vq_device_enable_notification(&p.dev));
		assert_int_equal(vq_device_used_flags(&p.dev), 0);
		vq_driver_needs_kick(&p.drv);
		pair_offer(&p, 0, 1, false);
		assert_true(vq_driver_needs_kick(&p.drv));
		pair_offer(&p, 0, 1, false);
		// With EVENT_IDX one kick per arming, with flags as long as they stay.
		assert_int_equal(vq_driver_needs_kick(&p.drv), !event_idx);
		pair_fini(&p);
	}
}

// Bug class: a guest breaks its queue, and the worker never sleeps again.
static void test_broken_queue_lets_the_worker_sleep(void **state)
{
	struct pair p;

	pair_init(&p, 8, true);
	p.drv.avail->idx = 100;
	assert_true(vq_device_enable_notification(&p.dev)); // it looks like work
	assert_int_equal(vq_device_avail(&p.dev, 1), 0);
	assert_false(vq_device_enable_notification(&p.dev));
	pair_fini(&p);
}

static void test_needs_notification(void **state)
{
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		uint16_t heads[8];
		struct pair p;

		pair_init(&p, 8, event_idx);
		pair_set_index(&p, 0xfffe);
		for (int i = 0; i < 6; i++)
			pair_offer(&p, 0, 1, false);
		assert_int_equal(vq_device_pop_burst(&p.dev, heads, 6), 6);
		assert_true(vq_device_needs_notification(&p.dev)); // the first after start
		assert_false(vq_device_needs_notification(&p.dev));
		assert_false(vq_driver_enable_callbacks(&p.drv));
		vq_device_used(&p.dev, 0, heads[0], 0);
		vq_device_add(&p.dev, 1);
		assert_false(vq_device_needs_notification(&p.dev)); // added is not published
		vq_device_publish(&p.dev);
		assert_true(vq_device_needs_notification(&p.dev));
		assert_false(vq_device_needs_notification(&p.dev));
		vq_driver_disable_callbacks(&p.drv);
		pair_give_back(&p, heads[1], 0);
		assert_false(vq_device_needs_notification(&p.dev));
		assert_true(vq_driver_enable_callbacks(&p.drv)); // two wait already
		vq_device_notify_invalidate(&p.dev);
		assert_true(vq_device_needs_notification(&p.dev));
		pair_fini(&p);
	}
}

static void test_used_slot_names_the_bytes_written(void **state)
{
	struct pair p;

	pair_init(&p, 8, false);
	pair_set_index(&p, 0xfffd);
	for (unsigned i = 0; i < 8; i++) {
		uint16_t slot = vq_device_used_slot(&p.dev, i);

		vq_device_used(&p.dev, i, (uint16_t)i, 1000 + i);
		assert_int_equal(p.drv.used->ring[slot].len, 1000 + i);
	}
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_size_over_the_wrap),
		cmocka_unit_test(test_bursts_over_the_wrap),
		cmocka_unit_test(test_avail_is_read_again_only_when_short),
		cmocka_unit_test(test_impossible_index_breaks_the_queue),
		cmocka_unit_test(test_more_in_flight_than_size_breaks_the_queue),
		cmocka_unit_test(test_index_going_back_breaks_the_queue),
		cmocka_unit_test(test_bad_head_breaks_the_queue),
		cmocka_unit_test(test_pop_chain),
		cmocka_unit_test(test_go_back),
		cmocka_unit_test(test_pop_in_a_broken_queue_shows_no_chain),
		cmocka_unit_test(test_go_back_in_a_broken_queue_shows_no_chain),
		cmocka_unit_test(test_iterate_without_popping),
		cmocka_unit_test(test_enable_notification_sees_what_came_meanwhile),
		cmocka_unit_test(test_broken_queue_lets_the_worker_sleep),
		cmocka_unit_test(test_needs_notification),
		cmocka_unit_test(test_used_slot_names_the_bytes_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
