// SPDX-License-Identifier: BSD-2-Clause
// The driver side against a device that lies: about indexes, ids, lengths and descriptors.
#include "tests/unit/virtq_pair.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

// The device rewrites the shared table; freeing and judging lengths go by the shadow.
static void test_shadow_is_what_counts(void **state)
{
	struct vring_desc bufs[3] = {
		{0x1000, 1, 0, 0}, {0x2000, 2, 0, 0}, {0x3000, 3, VRING_DESC_F_WRITE, 0}};
	struct vq_reaped r;
	struct pair p;
	int head;

	pair_init(&p, 4, false);
	head = vq_driver_write_chain(&p.drv, bufs, 3);
	assert_true(vq_driver_push(&p.drv, (uint16_t)head));
	vq_driver_publish(&p.drv);
	for (int i = 0; i < 4; i++)
		p.drv.desc[i] = (struct vring_desc){0, 0xffffffff, 0xffff, 0xffff};
	pair_give_back(&p, (uint16_t)head, 0xffffffff);
	assert_true(vq_driver_reap(&p.drv, &r));
	assert_int_equal(r.len, 3);
	assert_int_equal(p.drv.n_bad_len, 1);
	assert_int_equal(vq_driver_free_chain(&p.drv, (uint16_t)head), 0);
	assert_int_equal(p.drv.n_free, 4);
	pair_fini(&p);
}

static void test_indirect_length_is_known(void **state)
{
	struct vq_reaped r;
	struct pair p;
	int id;

	pair_init(&p, 4, false);
	id = vq_driver_alloc(&p.drv);
	vq_driver_write_indirect(&p.drv, (uint16_t)id, 0x9000, 3, 500);
	assert_int_equal(p.drv.desc[id].len, 48);
	assert_int_equal(p.drv.desc[id].flags, VRING_DESC_F_INDIRECT);
	for (uint32_t len = 499; len <= 501; len++) {
		assert_true(vq_driver_push(&p.drv, (uint16_t)id));
		vq_driver_publish(&p.drv);
		pair_give_back(&p, (uint16_t)id, len);
		assert_true(vq_driver_reap(&p.drv, &r));
		assert_int_equal(r.len, len > 500 ? 500 : len);
		assert_int_equal(p.drv.n_bad_len, len > 500);
	}
	pair_fini(&p);
}

static void test_hostile_used_index(void **state)
{
	static const struct {
		uint16_t start, idx;
		unsigned n;
		bool broken;
	} cases[] = {
		{0, 0, 0, false},
		{0, 2, 2, false},
		{0, 3, 0, true},
		{0, 0xffff, 0, true},
		{0xffff, 0, 1, false},
		{0xffff, 1, 2, false},
		{0xffff, 2, 0, true},
		{0xffff, 0xfffe, 0, true},
		{7, 0x8007, 0, true},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vq_reaped r[4];
		struct pair p;

		pair_init(&p, 4, false);
		pair_set_index(&p, cases[i].start);
		pair_offer(&p, 0, 1, false);
		pair_offer(&p, 0, 1, false);
		p.drv.used->idx = cases[i].idx;
		assert_int_equal(vq_driver_used_pending(&p.drv), cases[i].n);
		assert_int_equal(p.drv.broken, cases[i].broken);
		if (cases[i].broken) {
			p.drv.used->idx = (uint16_t)(cases[i].start + 1);
			assert_int_equal(vq_driver_used_pending(&p.drv), 0);
			assert_int_equal(vq_driver_reap_burst(&p.drv, r, 4), 0);
		}
		pair_fini(&p);
	}
}

// Pushed but not published chains cannot have been used.
static void test_used_before_published(void **state)
{
	struct pair p;
	int id;

	pair_init(&p, 4, false);
	id = vq_driver_alloc(&p.drv);
	assert_true(vq_driver_push(&p.drv, (uint16_t)id));
	pair_give_back(&p, (uint16_t)id, 0);
	assert_int_equal(vq_driver_used_pending(&p.drv), 0);
	assert_true(p.drv.broken);
	pair_fini(&p);
}

static void test_hostile_used_id(void **state)
{
	static const uint32_t ids[] = {4, 5, 0xffff, 0x10000, 0x10001, 0xffffffff, 3 /* idle */};

	for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct vq_reaped r[4];
		struct pair p;

		pair_init(&p, 4, false);
		for (int k = 0; k < 3; k++)
			assert_int_equal(pair_offer(&p, 0, 1, false), k);
		for (int k = 0; k < 3; k++) {
			p.drv.used->ring[k].id = k == 1 ? ids[i] : (unsigned)k;
			p.drv.used->ring[k].len = 0;
		}
		p.drv.used->idx = 3;
		assert_int_equal(vq_driver_reap_burst(&p.drv, r, 4), 1);
		assert_int_equal(r[0].head, 0);
		assert_true(p.drv.broken);
		assert_int_equal(vq_driver_reap_burst(&p.drv, r, 4), 0);
		pair_fini(&p);
	}
}

static void test_same_id_used_twice(void **state)
{
	struct vq_reaped r[4];
	struct pair p;

	pair_init(&p, 4, false);
	pair_offer(&p, 0, 1, false);
	pair_offer(&p, 0, 1, false);
	p.drv.used->ring[0].id = p.drv.used->ring[1].id = 1;
	p.drv.used->idx = 2;
	assert_int_equal(vq_driver_reap_burst(&p.drv, r, 4), 1);
	assert_true(p.drv.broken);
	pair_fini(&p);
}

static void test_broken_queue_lets_the_driver_sleep(void **state)
{
	struct pair p;

	pair_init(&p, 8, true);
	p.drv.used->idx = 100;
	assert_true(vq_driver_enable_callbacks(&p.drv)); // it looks like work
	assert_int_equal(vq_driver_used_pending(&p.drv), 0);
	assert_false(vq_driver_enable_callbacks(&p.drv));
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shadow_is_what_counts),
		cmocka_unit_test(test_indirect_length_is_known),
		cmocka_unit_test(test_hostile_used_index),
		cmocka_unit_test(test_used_before_published),
		cmocka_unit_test(test_hostile_used_id),
		cmocka_unit_test(test_same_id_used_twice),
		cmocka_unit_test(test_broken_queue_lets_the_driver_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
