// SPDX-License-Identifier: BSD-2-Clause
// The driver side: descriptors and their shadow, pushing, reposting, kicks, and a device that lies.
#include "tests/unit/virtq_pair.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_init_checks(void **state)
{
	_Alignas(64) static uint8_t mem[8192];
	struct vq_layout l;
	struct vq_driver q;

	assert_int_equal(vq_layout_init(&l, 2, 8, 0, 0), 0);
	assert_int_equal(vq_driver_init(&q, &l, 2, mem, 0x1000, false), -EINVAL);
	assert_int_equal(vq_driver_init(&q, &l, 0, mem + 8, 0x1000, false), -EINVAL);
	assert_int_equal(vq_driver_init(&q, &l, 0, mem, 0x1008, false), -EINVAL);
	assert_int_equal(vq_driver_init(&q, &l, 0, mem, UINT64_MAX - 15, false), -EINVAL);
	vq_driver_fini(NULL);
}

static void test_init_zeroes_its_queue_only(void **state)
{
	_Alignas(64) static uint8_t mem[8192];
	struct vq_layout l;
	struct vq_driver q;

	memset(mem, 0x77, sizeof(mem));
	assert_int_equal(vq_layout_init(&l, 3, 8, 16, 0), 0);
	assert_int_equal(vq_driver_init(&q, &l, 1, mem, 0x40000, false), 0);
	assert_int_equal(mem[l.end - 1], 0x77);
	assert_int_equal(mem[l.end * 2], 0x77);
	for (uint64_t i = l.end; i < 2 * l.end; i++)
		assert_int_equal(mem[i], 0);
	assert_int_equal(vq_driver_desc_gpa(&q), 0x40000 + l.end);
	assert_int_equal(vq_driver_avail_gpa(&q), 0x40000 + l.end + l.avail);
	assert_int_equal(vq_driver_used_gpa(&q), 0x40000 + l.end + l.used);
	vq_driver_fini(&q);
	vq_driver_fini(&q); // twice does no harm
}

static void test_alloc_and_free(void **state)
{
	for (uint32_t size = 1; size <= VQ_MAX_SIZE; size *= 2) {
		uint8_t *seen = calloc(1, size);
		struct pair p;
		int id;

		pair_init(&p, (uint16_t)size, false);
		for (int round = 0; round < 2; round++) {
			memset(seen, 0, size);
			for (uint32_t i = 0; i < size; i++) {
				id = vq_driver_alloc(&p.drv);
				assert_in_range(id, 0, size - 1);
				assert_int_equal(seen[id]++, 0);
			}
			assert_int_equal(vq_driver_alloc(&p.drv), -ENOSPC);
			for (uint32_t i = 0; i < size; i++)
				assert_int_equal(vq_driver_free_chain(&p.drv, (uint16_t)i), 0);
		}
		assert_int_equal(p.drv.n_free, size);
		assert_int_equal(vq_driver_free_chain(&p.drv, (uint16_t)size), -EINVAL);
		pair_fini(&p);
		free(seen);
	}
}

static void test_write_chain(void **state)
{
	struct vring_desc bufs[5] = {{0x1000, 1, VRING_DESC_F_NEXT, 99}, {0x2000, 2, 0, 99},
		{0x3000, 3, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 99}};
	struct pair p;
	int head;
	uint16_t id;

	pair_init(&p, 4, false);
	assert_int_equal(vq_driver_write_chain(&p.drv, bufs, 0), -EINVAL);
	assert_int_equal(vq_driver_write_chain(&p.drv, bufs, 5), -ENOSPC);
	assert_int_equal(p.drv.n_free, 4);
	head = vq_driver_write_chain(&p.drv, bufs, 3);
	assert_in_range(head, 0, 3);
	id = (uint16_t)head;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(p.drv.desc[id].addr, bufs[i].addr);
		assert_int_equal(p.drv.desc[id].len, bufs[i].len);
		assert_int_equal(!!(p.drv.desc[id].flags & VRING_DESC_F_NEXT), i < 2);
		assert_memory_equal(vq_driver_shadow(&p.drv, id), &p.drv.desc[id], 16);
		id = p.drv.desc[id].next;
	}
	assert_int_equal(vq_driver_writable_len(&p.drv, (uint16_t)head), 3);
	assert_int_equal(p.drv.n_free, 1);
	assert_int_equal(vq_driver_free_chain(&p.drv, (uint16_t)head), 0);
	assert_int_equal(p.drv.n_free, 4);
	pair_fini(&p);
}

static void test_write_desc(void **state)
{
	struct pair p;
	int a, b;

	pair_init(&p, 4, false);
	a = vq_driver_alloc(&p.drv);
	b = vq_driver_alloc(&p.drv);
	vq_driver_write_desc(&p.drv, (uint16_t)a, 0x123456789abc, 100,
		VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, (uint16_t)b);
	vq_driver_write_desc(&p.drv, (uint16_t)b, 0x1000, 0xffffffff, VRING_DESC_F_WRITE, 0);
	assert_true(p.drv.desc[a].addr == 0x123456789abc);
	assert_int_equal(p.drv.desc[a].len, 100);
	assert_int_equal(p.drv.desc[a].flags, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE);
	assert_int_equal(p.drv.desc[a].next, b);
	// No 32-bit sum.
	assert_true(vq_driver_writable_len(&p.drv, (uint16_t)a) == 100 + 0xffffffffull);
	assert_int_equal(vq_driver_free_chain(&p.drv, (uint16_t)a), 0);
	assert_int_equal(p.drv.n_free, 4);
	pair_fini(&p);
}

// A chain that its user wrote in a circle ends nevertheless.
static void test_a_circle_of_descriptors_ends(void **state)
{
	struct pair p;
	uint16_t ids[4];

	pair_init(&p, 4, false);
	for (int i = 0; i < 4; i++)
		ids[i] = (uint16_t)vq_driver_alloc(&p.drv);
	for (int i = 0; i < 4; i++)
		vq_driver_write_desc(&p.drv, ids[i], 0x1000, 10,
			VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, ids[(i + 1) % 4]);
	assert_true(vq_driver_writable_len(&p.drv, ids[2]) == 40);
	pair_fini(&p);
}

static void test_push_refuses(void **state)
{
	struct pair p;
	uint16_t heads[6];

	pair_init(&p, 4, false);
	for (int i = 0; i < 4; i++)
		heads[i] = (uint16_t)vq_driver_alloc(&p.drv);
	assert_false(vq_driver_push(&p.drv, 4)); // out of range
	assert_true(vq_driver_push(&p.drv, heads[0]));
	assert_false(vq_driver_push(&p.drv, heads[0])); // in flight
	assert_int_equal(vq_driver_free_chain(&p.drv, heads[0]), -EBUSY);
	assert_int_equal(p.drv.avail->idx, 0);
	heads[4] = heads[5] = 77;
	assert_int_equal(vq_driver_push_burst(&p.drv, heads + 1, 5), 3); // full
	assert_int_equal(vq_driver_in_flight(&p.drv), 4);
	assert_int_equal(vq_driver_push_burst(&p.drv, heads, 1), 0);
	vq_driver_publish(&p.drv);
	assert_int_equal(p.drv.avail->idx, 4);
	pair_fini(&p);
}

// A device that uses in order, a driver that offers the same slots for ever, over the wrap of the
// index.
static void test_repost_in_order(void **state)
{
	uint16_t heads[8], got[8];
	struct pair p;

	pair_init(&p, 8, false);
	pair_set_index(&p, 0xfff0);
	assert_int_equal(vq_driver_repost(&p.drv, 8), 0); // nothing written yet
	for (int i = 0; i < 8; i++)
		heads[i] = pair_offer(&p, 0, 1, true);
	assert_int_equal(vq_driver_repost(&p.drv, 1), 0); // all in flight
	for (unsigned round = 0; round < 70000; round++) {
		unsigned n = 1 + round % 8;

		assert_int_equal(vq_device_pop_burst(&p.dev, got, n), n);
		for (unsigned i = 0; i < n; i++)
			vq_device_used(&p.dev, i, got[i], 0);
		vq_device_add(&p.dev, n);
		vq_device_publish(&p.dev);
		assert_int_equal(vq_driver_used_pending(&p.drv), n);
		vq_driver_skip_used(&p.drv, n);
		assert_int_equal(vq_driver_repost(&p.drv, 8), n);
		vq_driver_publish(&p.drv);
	}
	assert_false(p.dev.broken);
	assert_false(p.drv.broken);
	pair_fini(&p);
	(void)heads;
}

// A device that uses out of order: a slot whose chain is still out is not offered twice.
static void test_repost_waits_for_the_slots_chain(void **state)
{
	uint16_t heads[4];
	struct vq_reaped r;
	struct pair p;

	pair_init(&p, 4, false);
	for (int i = 0; i < 4; i++)
		heads[i] = pair_offer(&p, 0, 1, true);
	pair_give_back(&p, heads[1], 0);
	assert_true(vq_driver_reap(&p.drv, &r));
	assert_int_equal(vq_driver_repost(&p.drv, 4), 0); // slot 0 holds heads[0], still out
	pair_give_back(&p, heads[0], 0);
	assert_true(vq_driver_reap(&p.drv, &r));
	// The ring in shared memory is not asked.
	p.drv.avail->ring[0] = 0xffff;
	assert_int_equal(vq_driver_repost(&p.drv, 4), 2);
	assert_int_equal(vq_driver_in_flight(&p.drv), 4);
	pair_fini(&p);
}

// A full ring goes round by its indexes alone; whatever else it is does not.
static void test_recycle(void **state)
{
	uint16_t got[4];
	struct pair p;

	pair_init(&p, 4, false);
	pair_set_index(&p, 0xfffe);
	for (int i = 0; i < 4; i++) {
		assert_false(vq_driver_recycle(&p.drv, 0)); // not full
		pair_offer(&p, 0, 1, true);
	}
	for (unsigned round = 0; round < 100; round++) {
		unsigned n = 1 + round % 4;

		assert_int_equal(vq_device_pop_burst(&p.dev, got, n), n);
		for (unsigned i = 0; i < n; i++)
			vq_device_used(&p.dev, i, got[i], 100 + i);
		vq_device_add(&p.dev, n);
		vq_device_publish(&p.dev);
		assert_false(vq_driver_recycle(&p.drv, n)); // it has not looked
		assert_int_equal(vq_driver_used_pending(&p.drv), n);
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(vq_driver_peek_used(&p.drv, i).id, got[i]);
			assert_int_equal(vq_driver_peek_used(&p.drv, i).len, 100 + i);
		}
		assert_false(vq_driver_recycle(&p.drv, n + 1));
		assert_true(vq_driver_recycle(&p.drv, n));
		vq_driver_publish(&p.drv);
	}
	assert_false(p.dev.broken);
	assert_false(p.drv.broken);
	pair_fini(&p);
}

static void test_skip_takes_no_more_than_was_seen(void **state)
{
	struct pair p;

	pair_init(&p, 4, false);
	vq_driver_skip_used(&p.drv, 100);
	assert_int_equal(p.drv.next_used, 0);
	pair_give_back(&p, pair_offer(&p, 0, 1, false), 0);
	pair_offer(&p, 0, 1, false);
	vq_driver_skip_used(&p.drv, 100); // it has not looked
	assert_int_equal(p.drv.next_used, 0);
	assert_int_equal(vq_driver_used_pending(&p.drv), 1);
	vq_driver_skip_used(&p.drv, 100);
	assert_int_equal(p.drv.next_used, 1);
	assert_int_equal(vq_driver_in_flight(&p.drv), 1);
	pair_give_back(&p, 1, 0);
	assert_int_equal(vq_driver_used_pending(&p.drv), 1);
	vq_driver_break(&p.drv);
	vq_driver_skip_used(&p.drv, 1); // nothing in a broken queue
	assert_int_equal(p.drv.next_used, 1);
	pair_fini(&p);
}

static void test_reap_in_pieces(void **state)
{
	struct vq_reaped r[8];
	uint16_t heads[8];
	struct pair p;

	pair_init(&p, 8, false);
	pair_set_index(&p, 0xfffc);
	for (int i = 0; i < 8; i++) {
		heads[i] = pair_offer(&p, 0, 1, true);
		pair_give_back(&p, heads[i], 1);
	}
	for (unsigned i = 0, max = 1; i < 8; i += max, max = max < 4 ? max + 1 : 1) {
		memset(r, 0xff, sizeof(r));
		if (max > 8 - i)
			max = 8 - i;
		assert_int_equal(vq_driver_reap_burst(&p.drv, r, max), max);
		for (unsigned k = 0; k < max; k++)
			assert_int_equal(r[k].head, heads[i + k]);
		if (max < 8)
			assert_int_equal(r[max].head, 0xffff);
	}
	assert_int_equal(vq_driver_reap_burst(&p.drv, r, 8), 0);
	pair_fini(&p);
}

static void test_kicks_with_flags(void **state)
{
	struct pair p;

	pair_init(&p, 8, false);
	assert_true(vq_driver_needs_kick(&p.drv)); // the first decision after start
	assert_false(vq_driver_needs_kick(&p.drv));
	pair_offer(&p, 0, 1, false);
	assert_true(vq_driver_needs_kick(&p.drv));
	vq_device_disable_notification(&p.dev);
	pair_offer(&p, 0, 1, false);
	assert_false(vq_driver_needs_kick(&p.drv));
	vq_driver_kick_invalidate(&p.drv);
	assert_true(vq_driver_needs_kick(&p.drv));
	pair_fini(&p);
}

static void test_kicks_with_event_idx(void **state)
{
	struct pair p;

	pair_init(&p, 8, true);
	pair_set_index(&p, 0xfffe);
	assert_true(vq_driver_needs_kick(&p.drv));
	assert_false(vq_device_enable_notification(&p.dev)); // avail_event = 0xfffe
	pair_offer(&p, 0, 1, false);
	assert_true(vq_driver_needs_kick(&p.drv));
	for (int i = 0; i < 5; i++) {
		pair_offer(&p, 0, 1, false);
		assert_false(vq_driver_needs_kick(&p.drv));
	}
	p.drv.used->flags = VRING_USED_F_NO_NOTIFY; // means nothing with EVENT_IDX
	*vq_avail_event(p.drv.used, 8) = 4;         // over the wrap: after 0xfffe + 6
	pair_offer(&p, 0, 1, false);
	assert_true(vq_driver_needs_kick(&p.drv));
	pair_fini(&p);
}

static void test_whole_turn_without_decision_kicks(void **state)
{
	struct vq_reaped r;
	struct pair p;
	uint16_t head = 0;

	pair_init(&p, 8, true);
	vq_driver_needs_kick(&p.drv);
	*vq_avail_event(p.drv.used, 8) = 100;
	for (uint32_t i = 0; i < 65536; i++) {
		uint16_t offered = pair_offer(&p, 0, 1, false);

		assert_int_equal(vq_device_pop_burst(&p.dev, &head, 1), 1);
		pair_give_back(&p, head, 0);
		assert_true(vq_driver_reap(&p.drv, &r));
		assert_int_equal(vq_driver_free_chain(&p.drv, offered), 0);
	}
	assert_true(vq_driver_needs_kick(&p.drv));
	pair_fini(&p);
}

static void test_callbacks(void **state)
{
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		struct vq_reaped r;
		struct pair p;
		uint16_t head = 0;

		pair_init(&p, 8, event_idx);
		pair_set_index(&p, 0xffff);
		vq_driver_disable_callbacks(&p.drv);
		assert_int_equal(p.drv.avail->flags, event_idx ? 0 : VRING_AVAIL_F_NO_INTERRUPT);
		head = pair_offer(&p, 0, 1, false);
		pair_offer(&p, 0, 1, false);
		pair_give_back(&p, head, 0);
		assert_true(vq_driver_enable_callbacks(&p.drv)); // one waits: do not sleep
		assert_true(vq_driver_reap(&p.drv, &r));
		assert_false(vq_driver_enable_callbacks(&p.drv));
		assert_int_equal(p.drv.avail->flags, 0);
		if (event_idx)
			assert_int_equal(*vq_used_event(p.drv.avail, 8), 0);
		pair_fini(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_checks),
		cmocka_unit_test(test_init_zeroes_its_queue_only),
		cmocka_unit_test(test_alloc_and_free),
		cmocka_unit_test(test_write_chain),
		cmocka_unit_test(test_write_desc),
		cmocka_unit_test(test_a_circle_of_descriptors_ends),
		cmocka_unit_test(test_push_refuses),
		cmocka_unit_test(test_repost_in_order),
		cmocka_unit_test(test_repost_waits_for_the_slots_chain),
		cmocka_unit_test(test_recycle),
		cmocka_unit_test(test_skip_takes_no_more_than_was_seen),
		cmocka_unit_test(test_reap_in_pieces),
		cmocka_unit_test(test_kicks_with_flags),
		cmocka_unit_test(test_kicks_with_event_idx),
		cmocka_unit_test(test_whole_turn_without_decision_kicks),
		cmocka_unit_test(test_callbacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
