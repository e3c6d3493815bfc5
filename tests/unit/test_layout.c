// SPDX-License-Identifier: BSD-2-Clause
// Where the areas of queues lie: offsets, alignment, order without overlap, and every error.
#include "dataplane/virtq/layout.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_offsets_of_a_small_queue(void **state)
{
	struct vq_layout l;
	uint64_t off;

	assert_int_equal(vq_layout_init(&l, 2, 8, 24, 16), 0);
	assert_int_equal(l.avail, 128); // 8 descriptors of 16 bytes
	assert_int_equal(l.used, 160);  // 128 + 6 + 2 * 8 = 150, up to 16
	assert_int_equal(l.data, 256);  // 160 + 6 + 8 * 8 = 230, up to a cache line
	assert_int_equal(l.end, 448);   // 256 + 8 * 24
	assert_int_equal(l.total, 896);

	assert_int_equal(vq_layout_desc(&l, 1, 7, &off), 0);
	assert_int_equal(off, 448 + 112);
	assert_int_equal(vq_layout_avail(&l, 1, &off), 0);
	assert_int_equal(off, 448 + 128);
	assert_int_equal(vq_layout_used(&l, 0, &off), 0);
	assert_int_equal(off, 160);
	assert_int_equal(vq_layout_used_elem(&l, 0, 3, &off), 0);
	assert_int_equal(off, 160 + 4 + 24);
	assert_int_equal(vq_layout_used_event(&l, 0, &off), 0);
	assert_int_equal(off, 128 + 4 + 16);
	assert_int_equal(vq_layout_avail_event(&l, 0, &off), 0);
	assert_int_equal(off, 160 + 4 + 64);
	assert_int_equal(vq_layout_data(&l, 1, 7, &off), 0);
	assert_int_equal(off, 448 + 256 + 7 * 24);
}

static void test_out_of_range_has_no_address(void **state)
{
	struct vq_layout l;
	uint64_t off = 42;

	assert_int_equal(vq_layout_init(&l, 2, 8, 0, 0), 0);
	assert_int_equal(vq_layout_desc(&l, 0, 8, &off), -ERANGE);
	assert_int_equal(vq_layout_desc(&l, 2, 0, &off), -ERANGE);
	assert_int_equal(vq_layout_used_elem(&l, 0, 8, &off), -ERANGE);
	assert_int_equal(vq_layout_used_elem(&l, 2, 0, &off), -ERANGE);
	assert_int_equal(vq_layout_avail(&l, 2, &off), -ERANGE);
	assert_int_equal(vq_layout_used(&l, 2, &off), -ERANGE);
	assert_int_equal(vq_layout_used_event(&l, 2, &off), -ERANGE);
	assert_int_equal(vq_layout_avail_event(&l, 2, &off), -ERANGE);
	assert_int_equal(vq_layout_data(&l, 0, 0, &off), -ERANGE); // there is no request data
	assert_int_equal(off, 42);
}

static void test_every_size(void **state)
{
	static const uint32_t aligns[] = {0, 16, 64, 4096, 1u << 31};

	for (uint32_t size = 1; size <= VQ_MAX_SIZE; size *= 2) {
		for (unsigned a = 0; a < sizeof(aligns) / sizeof(aligns[0]); a++) {
			uint64_t align = aligns[a] ? aligns[a] : 64;
			struct vq_layout l;

			assert_int_equal(vq_layout_init(&l, 3, size, 40, aligns[a]), 0);
			assert_int_equal(l.avail % VQ_AVAIL_ALIGN, 0);
			assert_int_equal(l.used % align, 0);
			assert_int_equal(l.data % VQ_DATA_ALIGN, 0);
			assert_int_equal(l.end % align, 0);
			assert_true(l.avail >= 16ull * size);
			assert_true(l.used >= l.avail + 6 + 2ull * size);
			assert_true(l.data >= l.used + 6 + 8ull * size);
			assert_true(l.end >= l.data + 40ull * size);
			assert_int_equal(l.total, 3 * l.end);
		}
	}
}

static void test_legacy_layout_is_that_of_the_standard(void **state)
{
	struct vq_layout l;

	// virtio 1.2, 2.7.2: ALIGN(16 n + 2 (3 + n)) + ALIGN(6 + 8 n)
	assert_int_equal(vq_layout_init(&l, 1, 256, 0, VQ_LEGACY_ALIGN), 0);
	assert_int_equal(l.avail, 4096);
	assert_int_equal(l.used, 8192);
	assert_int_equal(l.end, 12288);
}

static void test_area_sizes(void **state)
{
	assert_int_equal(vq_desc_bytes(256), 4096);
	assert_int_equal(vq_avail_bytes(256), 518);
	assert_int_equal(vq_used_bytes(256), 2054);
	assert_int_equal(vq_desc_bytes(VQ_MAX_SIZE), 524288);
}

static void test_errors(void **state)
{
	static const struct {
		uint32_t n, size;
		uint64_t data;
		uint32_t align;
		int err;
	} cases[] = {
		{0, 8, 0, 0, -EINVAL}, {1, 0, 0, 0, -EINVAL}, {1, 3, 0, 0, -EINVAL},
		{1, 255, 0, 0, -EINVAL}, {1, 32769, 0, 0, -EINVAL}, {1, 65536, 0, 0, -EINVAL},
		{1, 0x80000000u, 0, 0, -EINVAL}, {1, 8, 0, 8, -EINVAL}, {1, 8, 0, 48, -EINVAL},
		{1, 8, UINT64_MAX, 0, -EOVERFLOW},          // data * size
		{1, 8, UINT64_MAX / 8, 0, -EOVERFLOW},      // + the areas
		{1, 1, (uint64_t)INT64_MAX, 0, -EOVERFLOW}, // over 63 bits only after adding
		{4, 1, 1ull << 61, 0, -EOVERFLOW},          // end * n, within 64 bits
		{UINT32_MAX, 1, 1ull << 40, 0, -EOVERFLOW}, // end * n, over 64 bits
	};
	struct vq_layout l = {.total = 42};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(vq_layout_init(&l, cases[i].n, cases[i].size, cases[i].data,
					 cases[i].align),
			cases[i].err);
	assert_int_equal(l.total, 42);
	assert_int_equal(l.end, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offsets_of_a_small_queue),
		cmocka_unit_test(test_out_of_range_has_no_address),
		cmocka_unit_test(test_every_size),
		cmocka_unit_test(test_legacy_layout_is_that_of_the_standard),
		cmocka_unit_test(test_area_sizes),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
