// SPDX-License-Identifier: BSD-2-Clause
// The device side outside the frame path: what a transport sets, validity, reset, save and restore.
#include "tests/unit/virtq_pair.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_init_takes_powers_of_two(void **state)
{
	struct vq_device q;

	for (uint32_t n = 0; n <= 65535; n++) {
		bool ok = n && n <= 32768 && !(n & (n - 1));

		assert_int_equal(vq_device_init(&q, (uint16_t)n), ok ? 0 : -EINVAL);
	}
}

static void test_sizes(void **state)
{
	struct vq_device q;

	assert_int_equal(vq_device_init(&q, 256), 0);
	assert_int_equal(vq_device_set_size(&q, 256), 0);
	assert_int_equal(vq_device_set_size(&q, 512), -EINVAL);
	assert_int_equal(vq_device_set_size(&q, 0), -EINVAL);
	assert_int_equal(vq_device_set_size(&q, 100), -EINVAL);
	assert_int_equal(q.cfg.size, 256);
	assert_int_equal(vq_device_set_max_size(&q, 100), -EINVAL);
	assert_int_equal(vq_device_set_max_size(&q, 64), 0);
	assert_int_equal(q.cfg.size, 64); // cut down with it
	assert_int_equal(vq_device_set_size(&q, 128), -EINVAL);
	assert_int_equal(vq_device_set_size(&q, 1), 0);
}

static void test_address_halves_are_independent(void **state)
{
	struct vq_device q;

	assert_int_equal(vq_device_init(&q, 8), 0);
	vq_device_set_desc_high(&q, 0x11111111);
	vq_device_set_desc_low(&q, 0x22222220);
	vq_device_set_avail_low(&q, 0x33333333);
	vq_device_set_avail_high(&q, 0x44444444);
	vq_device_set_used_high(&q, 0x55555555);
	vq_device_set_used_low(&q, 0x66666666);
	assert_true(q.cfg.desc == 0x1111111122222220);
	assert_true(q.cfg.avail == 0x4444444433333333);
	assert_true(q.cfg.used == 0x5555555566666666);
	vq_device_set_desc_low(&q, 0);
	vq_device_set_avail_high(&q, 0);
	assert_true(q.cfg.desc == 0x1111111100000000);
	assert_true(q.cfg.avail == 0x33333333);
}

static void test_is_valid(void **state)
{
	static const struct {
		const char *what;
		int64_t desc, avail, used; // added to good addresses
		bool ready;
		int err;
	} cases[] = {
		{"good", 0, 0, 0, true, 0},
		{"not ready", 0, 0, 0, false, -EINVAL},
		{"descriptors misaligned", 8, 0, 0, true, -EINVAL},
		{"available ring misaligned", 0, 1, 0, true, -EINVAL},
		{"used ring misaligned", 0, 0, 2, true, -EINVAL},
		{"descriptors before memory", -16, 0, 0, true, -EFAULT},
		{"descriptors far away", 1ll << 40, 0, 0, true, -EFAULT},
		{"available ring far away", 0, 1ll << 40, 0, true, -EFAULT},
		{"used ring past the end", 0, 0, PAIR_DATA, true, 0},
		{"used ring just past the end", 0, 0, PAIR_DATA + 60, true, -EFAULT},
		{"wraps", -(int64_t)PAIR_GPA - 16, 0, 0, true, -EFAULT},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair p;

		pair_init(&p, 8, false);
		vq_device_unmap(&p.dev);
		p.dev.cfg.desc += (uint64_t)cases[i].desc;
		p.dev.cfg.avail += (uint64_t)cases[i].avail;
		p.dev.cfg.used += (uint64_t)cases[i].used;
		vq_device_set_ready(&p.dev, cases[i].ready);
		if (vq_device_is_valid(&p.dev, &p.mem) != !cases[i].err)
			fail_msg("%s: is_valid", cases[i].what);
		if (vq_device_map(&p.dev, &p.mem) != cases[i].err)
			fail_msg("%s: map", cases[i].what);
		assert_int_equal(vq_device_is_ready(&p.dev), !cases[i].err);
		pair_fini(&p);
	}
}

// Memory that is all zeros is no queue, whatever is set.
static void test_without_init_nothing_is_valid(void **state)
{
	struct vq_device q = {0};
	struct pair p;

	pair_init(&p, 8, false);
	q.cfg.desc = p.dev.cfg.desc;
	q.cfg.avail = p.dev.cfg.avail;
	q.cfg.used = p.dev.cfg.used;
	vq_device_set_ready(&q, true);
	assert_false(vq_device_is_valid(&q, &p.mem));
	assert_int_equal(vq_device_map(&q, &p.mem), -EINVAL);
	pair_fini(&p);
}

static void test_areas_stay_in_one_region(void **state)
{
	struct pair p;
	uint64_t cut;

	pair_init(&p, 8, false);
	cut = p.layout.used; // memory of two regions, the used ring in the second
	guestmem_init(&p.mem);
	assert_int_equal(guestmem_add(&p.mem, PAIR_GPA, cut, p.ram, 0), 0);
	assert_int_equal(guestmem_add(&p.mem, PAIR_GPA + cut, 4096, p.ram + cut, 0), 0);
	assert_true(vq_device_is_valid(&p.dev, &p.mem));
	guestmem_init(&p.mem);
	cut += 8; // through the used ring
	assert_int_equal(guestmem_add(&p.mem, PAIR_GPA, cut, p.ram, 0), 0);
	assert_int_equal(guestmem_add(&p.mem, PAIR_GPA + cut, 4096, p.ram + cut, 0), 0);
	assert_false(vq_device_is_valid(&p.dev, &p.mem));
	pair_fini(&p);
}

static void test_set_rings(void **state)
{
	struct pair p;
	struct vq_device q;
	uint8_t *base;

	pair_init(&p, 8, false);
	base = p.ram;
	assert_int_equal(vq_device_init(&q, 8), 0);
	vq_device_set_next(&q, 7, 5);
	assert_int_equal(vq_device_set_rings(&q, 16, p.drv.desc, p.drv.avail, p.drv.used), -EINVAL);
	assert_int_equal(vq_device_set_rings(&q, 6, p.drv.desc, p.drv.avail, p.drv.used), -EINVAL);
	assert_int_equal(vq_device_set_rings(&q, 8, NULL, p.drv.avail, p.drv.used), -EINVAL);
	assert_int_equal(vq_device_set_rings(&q, 8, p.drv.desc, NULL, p.drv.used), -EINVAL);
	assert_int_equal(vq_device_set_rings(&q, 8, p.drv.desc, p.drv.avail, NULL), -EINVAL);
	assert_int_equal(
		vq_device_set_rings(&q, 8, (void *)(base + 8), p.drv.avail, p.drv.used), -EINVAL);
	assert_int_equal(
		vq_device_set_rings(&q, 8, p.drv.desc, (void *)(base + 1), p.drv.used), -EINVAL);
	assert_int_equal(
		vq_device_set_rings(&q, 8, p.drv.desc, p.drv.avail, (void *)(base + 2)), -EINVAL);
	assert_false(vq_device_is_ready(&q));
	assert_int_equal(vq_device_set_rings(&q, 4, p.drv.desc, p.drv.avail, p.drv.used), 0);
	assert_true(vq_device_is_ready(&q));
	assert_int_equal(q.size, 4);
	assert_int_equal(vq_device_next_avail(&q), 7); // the indexes stay
	assert_int_equal(vq_device_next_used(&q), 5);
	vq_device_set_ready(&q, false);
	assert_false(vq_device_is_ready(&q)); // though it is mapped
	assert_int_equal(vq_device_set_rings(&q, 8, p.drv.desc, p.drv.avail, p.drv.used), 0);
	assert_int_equal(q.size, 8); // the largest
	vq_device_unmap(&q);
	assert_false(vq_device_is_ready(&q));
	pair_fini(&p);
}

static void test_reset(void **state)
{
	struct vq_device fresh;
	struct pair p;
	uint16_t head = 0;

	pair_init(&p, 8, true);
	assert_int_equal(vq_device_init(&fresh, 8), 0);
	pair_offer(&p, 0, 1, false);
	assert_int_equal(vq_device_pop_burst(&p.dev, &head, 1), 1);
	pair_give_back(&p, head, 0);
	vq_device_reset(&p.dev);
	assert_memory_equal(&p.dev, &fresh, sizeof(fresh));
	pair_fini(&p);
}

static void test_save_and_restore(void **state)
{
	struct vq_device_state s, bad;
	struct vq_device moved;
	uint16_t heads[4];
	struct vq_reaped r;
	struct pair p;

	pair_init(&p, 8, true);
	pair_set_index(&p, 0xffff);
	for (int i = 0; i < 4; i++)
		heads[i] = pair_offer(&p, 0, 1, false);
	assert_int_equal(vq_device_pop_burst(&p.dev, &heads[0], 2), 2);
	pair_give_back(&p, heads[0], 0);
	vq_device_save(&p.dev, &s);
	memset(&moved, 0x5a, sizeof(moved));

	bad = s;
	bad.size = 3;
	assert_int_equal(vq_device_restore(&moved, &bad), -EINVAL);
	bad = s;
	bad.max_size = 12;
	assert_int_equal(vq_device_restore(&moved, &bad), -EINVAL);
	bad = s;
	bad.size = 16;
	assert_int_equal(vq_device_restore(&moved, &bad), -EINVAL);
	bad = s;
	bad.next_used = (uint16_t)(s.next_avail - 9);
	assert_int_equal(vq_device_restore(&moved, &bad), -EINVAL);
	bad.next_used = (uint16_t)(s.next_avail + 1);
	assert_int_equal(vq_device_restore(&moved, &bad), -EINVAL);
	assert_int_equal(moved.size, 0x5a5a);
	bad.next_used = (uint16_t)(s.next_avail - 8); // as many with the device as there can be
	assert_int_equal(vq_device_restore(&moved, &bad), 0);

	assert_int_equal(vq_device_restore(&moved, &s), 0);
	assert_false(vq_device_is_ready(&moved));
	assert_int_equal(vq_device_map(&moved, &p.mem), 0);
	assert_true(vq_device_needs_notification(&moved)); // the first decision after a move
	p.dev = moved;
	pair_give_back(&p, heads[1], 0);
	assert_true(vq_driver_reap(&p.drv, &r));
	assert_int_equal(r.head, heads[0]);
	assert_true(vq_driver_reap(&p.drv, &r));
	assert_int_equal(r.head, heads[1]);
	assert_int_equal(vq_device_pop_burst(&p.dev, heads, 4), 2);
	assert_int_equal(vq_device_next_avail(&p.dev), 3);
	pair_fini(&p);
}

static void test_map_forgets_what_was_seen(void **state)
{
	struct pair p;

	pair_init(&p, 8, false);
	for (int i = 0; i < 4; i++)
		pair_offer(&p, 0, 1, false);
	assert_int_equal(vq_device_avail(&p.dev, 4), 4);
	assert_true(vq_device_needs_notification(&p.dev));
	vq_device_unmap(&p.dev);
	p.drv.avail->idx = 1; // another ring, at the same place
	vq_device_set_ready(&p.dev, true);
	assert_int_equal(vq_device_map(&p.dev, &p.mem), 0);
	assert_int_equal(vq_device_avail(&p.dev, 4), 1);
	assert_true(vq_device_needs_notification(&p.dev));
	pair_fini(&p);
}

static void test_set_next_forgets_what_was_seen(void **state)
{
	struct pair p;
	uint16_t head = 0;

	pair_init(&p, 8, false);
	for (int i = 0; i < 4; i++)
		pair_offer(&p, 0, 1, false);
	assert_int_equal(vq_device_avail(&p.dev, 4), 4);
	assert_true(vq_device_needs_notification(&p.dev));
	vq_device_set_next(&p.dev, 3, 3);
	assert_int_equal(vq_device_pop_burst(&p.dev, &head, 1), 1);
	assert_int_equal(vq_device_avail(&p.dev, 1), 0);
	assert_true(vq_device_needs_notification(&p.dev));
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_takes_powers_of_two),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_address_halves_are_independent),
		cmocka_unit_test(test_is_valid),
		cmocka_unit_test(test_without_init_nothing_is_valid),
		cmocka_unit_test(test_areas_stay_in_one_region),
		cmocka_unit_test(test_set_rings),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_save_and_restore),
		cmocka_unit_test(test_map_forgets_what_was_seen),
		cmocka_unit_test(test_set_next_forgets_what_was_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
