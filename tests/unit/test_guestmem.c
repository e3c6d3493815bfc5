// SPDX-License-Identifier: BSD-2-Clause
// The region table: what it refuses, what it finds, where it cuts, and that the cache never answers
// for another range.
#include "dataplane/virtq/guestmem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define HVA(x) ((uint8_t *)(uintptr_t)(x)) // never followed: the table does not touch memory

static void test_add_refuses(void **state)
{
	static const struct {
		uint64_t gpa, size, hva, off;
		int err;
	} cases[] = {
		{0x1000, 0, 0x10000, 0, -EINVAL},
		{0x1000, 0x1000, 0, 0, -EINVAL},
		{UINT64_MAX, 2, 0x10000, 0, -EINVAL}, // guest end wraps
		{UINT64_MAX - 0xffe, 0x1000, 0x10000, 0, -EINVAL},
		{0x1000, 0x1000, UINT64_MAX - 0xffe, 0, -EINVAL}, // host end wraps
		{0x1000, 0x1000, 0x10000, UINT64_MAX, -EINVAL},   // file end wraps
		{0x4000, UINT64_MAX, 0x10000, 0, -EINVAL},
		{0x7fff, 1, 0x10000, 0, 0},
		{0xc000, 1, 0x10000, 0, 0},
		{0x8000, 1, 0x10000, 0, -EEXIST},
		{0xbfff, 1, 0x10000, 0, -EEXIST},
		{0x9000, 0x10, 0x10000, 0, -EEXIST},         // inside
		{0x7000, 0x8000, 0x10000, 0, -EEXIST},       // around
		{0x8000, 0x4000, 0x10000, 0, -EEXIST},       // the same
		{UINT64_MAX - 0xfff, 0x1000, 0x10000, 0, 0}, // up to the very end
		{UINT64_MAX, 1, 0x10000, 0, -EEXIST},
	};
	struct guestmem m;

	guestmem_init(&m);
	assert_int_equal(guestmem_add(&m, 0x8000, 0x4000, HVA(0x100000), 0), 0);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t n = m.n;

		assert_int_equal(guestmem_add(&m, cases[i].gpa, cases[i].size, HVA(cases[i].hva),
					 cases[i].off),
			cases[i].err);
		assert_int_equal(m.n, n + !cases[i].err);
	}
}

static void test_table_is_full_at_32(void **state)
{
	struct guestmem m;
	struct guestmem_cache c = {0};

	guestmem_init(&m);
	// Added from the top: each goes in front.
	for (uint64_t i = GUESTMEM_MAX_REGIONS; i-- > 0;)
		assert_int_equal(
			guestmem_add(&m, i * 0x2000, 0x1000, HVA(0x1000000 + i * 0x1000), i << 20),
			0);
	assert_int_equal(guestmem_add(&m, 0x100000, 1, HVA(1), 0), -ENOSPC);
	for (uint64_t i = 0; i < GUESTMEM_MAX_REGIONS; i++) {
		uint64_t off = 0;

		assert_int_equal(m.regions[i].gpa, i * 0x2000);
		assert_ptr_equal(
			guestmem_at(&m, &c, i * 0x2000 + 5, 1), HVA(0x1000000 + i * 0x1000 + 5));
		assert_null(guestmem_at(&m, &c, i * 0x2000 + 0x1000, 0));
		assert_int_equal(guestmem_file_offset(&m, i * 0x2000 + 0xfff, &off), 0);
		assert_int_equal(off, (i << 20) + 0xfff);
		assert_int_equal(guestmem_file_offset(&m, i * 0x2000 + 0x1000, &off), -EFAULT);
		assert_int_equal(off, (i << 20) + 0xfff);
	}
}

static void two_regions(struct guestmem *m)
{
	guestmem_init(m);
	assert_int_equal(guestmem_add(m, 0x8000, 0x1000, HVA(0x100000), 0), 0);
	assert_int_equal(guestmem_add(m, 0x9000, 0x1000, HVA(0x300000), 0), 0);
	assert_int_equal(guestmem_add(m, UINT64_MAX - 0xfff, 0x1000, HVA(0x500000), 0), 0);
}

static void test_lookup_stays_in_one_region(void **state)
{
	static const struct {
		uint64_t gpa, len, hva;
	} cases[] = {
		{0x8000, 0x1000, 0x100000},
		{0x8000, 0x1001, 0},
		{0x8fff, 1, 0x100fff},
		{0x8fff, 2, 0}, // the next byte is memory, but elsewhere
		{0x7fff, 1, 0},
		{0x7fff, 2, 0},
		{0x9000, 0x1000, 0x300000},
		{0x9fff, 0, 0x300fff},
		{0xa000, 0, 0},
		{0x8800, UINT64_MAX, 0},
		{0x8800, UINT64_MAX - 0x8800, 0},
		{UINT64_MAX, 1, 0x500fff},
		{UINT64_MAX, 2, 0},
		{UINT64_MAX - 0xfff, 0x1000, 0x500000},
		{UINT64_MAX - 0xfff, 0x1001, 0},
		{0, 1, 0},
	};
	struct guestmem m;

	two_regions(&m);
	// With every state the cache can be in.
	for (unsigned warm = 0; warm < 4; warm++) {
		for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct guestmem_cache c = {0};

			if (warm)
				c = (struct guestmem_cache){m.regions[warm - 1].gpa,
					m.regions[warm - 1].size, m.regions[warm - 1].hva};
			assert_ptr_equal(
				guestmem_at(&m, &c, cases[i].gpa, cases[i].len), HVA(cases[i].hva));
		}
	}
}

static void test_cleared_cache_forgets_the_table(void **state)
{
	struct guestmem m;
	struct guestmem_cache c = {0};

	two_regions(&m);
	assert_ptr_equal(guestmem_at(&m, &c, 0x8000, 1), HVA(0x100000));
	guestmem_init(&m);
	guestmem_cache_clear(&c);
	assert_null(guestmem_at(&m, &c, 0x8000, 1));
	assert_int_equal(guestmem_add(&m, 0, 0x10000, HVA(0x700000), 0), 0);
	assert_ptr_equal(guestmem_at(&m, &c, 0x8000, 1), HVA(0x708000));
}

static void test_split(void **state)
{
	static const struct {
		uint64_t gpa, len;
		int n;
		uint32_t len0, len1;
	} cases[] = {
		{0x8000, 0x1000, 1, 0x1000, 0},
		{0x8ff0, 0x20, 2, 0x10, 0x10},
		{0x8fff, 2, 2, 1, 1},
		{0x8000, 0x2000, 2, 0x1000, 0x1000},
		{0x8000, 0x2001, -EFAULT, 0, 0},
		{0x7fff, 2, -EFAULT, 0, 0},
		{0x8000, 0, 0, 0, 0},
		{0xa000, 0, -EFAULT, 0, 0},
		{UINT64_MAX - 0xf, 0x10, 1, 0x10, 0},
		{UINT64_MAX - 0xf, 0x11, -EFAULT, 0, 0}, // wraps to 0
		{UINT64_MAX, UINT64_MAX, -EFAULT, 0, 0},
		{0x8000, UINT64_MAX, -EFAULT, 0, 0},
	};
	struct guestmem m;
	struct guestmem_cache c = {0};

	two_regions(&m);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vq_seg s[2] = {{0}};
		int n = guestmem_split(&m, &c, cases[i].gpa, cases[i].len, s, 2);

		assert_int_equal(n, cases[i].n);
		if (n > 0)
			assert_int_equal(s[0].len, cases[i].len0);
		if (n > 1) {
			assert_int_equal(s[1].len, cases[i].len1);
			assert_ptr_equal(s[0].base + s[0].len, HVA(0x101000));
			assert_ptr_equal(s[1].base, HVA(0x300000));
		}
	}
}

static void test_split_wrapping_over_two_regions_is_refused(void **state)
{
	struct guestmem m;
	struct guestmem_cache c = {0};
	struct vq_seg s[2];

	two_regions(&m);
	// Memory at both ends of the address space: the sum wraps from one into the other.
	assert_int_equal(guestmem_add(&m, 0, 0x1000, HVA(0x700000), 0), 0);
	assert_int_equal(guestmem_split(&m, &c, UINT64_MAX - 0xf, 0x20, s, 2), -EFAULT);
	assert_null(guestmem_at(&m, &c, UINT64_MAX - 0xf, 0x20));
}

static void test_split_needs_room(void **state)
{
	struct guestmem m;
	struct guestmem_cache c = {0};
	struct vq_seg s[2] = {{0}};

	two_regions(&m);
	assert_int_equal(guestmem_split(&m, &c, 0x8ff0, 0x20, s, 1), -ENOSPC);
	assert_null(s[1].base);
	assert_int_equal(guestmem_split(&m, &c, 0x8ff0, 0x10, s, 0), -ENOSPC);
	assert_int_equal(guestmem_split(&m, &c, 0x8ff0, 0, s, 0), 0);
}

static void test_long_piece_is_cut_at_2_31(void **state)
{
	struct guestmem m;
	struct guestmem_cache c = {0};
	struct vq_seg s[3];

	guestmem_init(&m);
	assert_int_equal(guestmem_add(&m, 0, 1ull << 33, HVA(0x100000000), 0), 0);
	assert_int_equal(guestmem_split(&m, &c, 0x1000, UINT32_MAX, s, 3), 2);
	assert_int_equal(s[0].len, 1u << 31);
	assert_int_equal(s[1].len, UINT32_MAX - (1u << 31));
	assert_ptr_equal(s[1].base, s[0].base + s[0].len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_refuses),
		cmocka_unit_test(test_table_is_full_at_32),
		cmocka_unit_test(test_lookup_stays_in_one_region),
		cmocka_unit_test(test_cleared_cache_forgets_the_table),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_split_wrapping_over_two_regions_is_refused),
		cmocka_unit_test(test_split_needs_room),
		cmocka_unit_test(test_long_piece_is_cut_at_2_31),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
