// SPDX-License-Identifier: BSD-2-Clause
// The internet checksum against a sum of words one by one, over all lengths, addresses and splits.
#include "dataplane/frame/checksum.h"
#include "tests/lib/craft.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static uint8_t bytes[70000];
static struct frame_seg segs[CRAFT_SEGS];

static int fill(void **state)
{
	uint32_t x = 1;
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		x = x * 1664525u + 1013904223u;
		bytes[i] = (uint8_t)(x >> 24);
	}
	return 0;
}

// As it would be written into a frame, as a number.
static uint16_t as_written(uint64_t sum)
{
	return ntohs((uint16_t)~checksum_fold(sum));
}

static void every_length_at_every_address(void **state)
{
	for (unsigned at = 0; at < 33; at++) {
		for (uint32_t len = 0; len < 700; len++)
			assert_int_equal(as_written(checksum_add(0, bytes + at, len)),
				craft_checksum(bytes + at, len, 0));
	}
	for (uint32_t len = 65000; len < 65536; len += 5)
		assert_int_equal(as_written(checksum_add(0, bytes + len % 7, len)),
			craft_checksum(bytes + len % 7, len, 0));
}

static void carries_are_kept(void **state)
{
	static uint8_t ones[70000];
	memset(ones, 0xff, sizeof(ones));
	for (uint32_t len = 1; len < sizeof(ones); len = len * 2 + 1)
		assert_int_equal(
			as_written(checksum_add(0, ones, len)), craft_checksum(ones, len, 0));
	assert_int_equal(checksum_fold(UINT64_MAX), 0xffff);
	assert_int_equal(checksum_fold(0x1fffffffe), 0xffff);
	assert_int_equal(checksum_fold(0x100000000), 1);
	assert_int_equal(checksum_fold(0xffff0001ffff), 1);
	assert_int_equal(checksum_fold(0), 0);
}

static void a_sum_goes_on(void **state)
{
	uint64_t sum = checksum_add(0, bytes, 40);
	sum = checksum_add(sum, bytes + 40, 1001);
	assert_int_equal(as_written(sum), craft_checksum(bytes, 1041, 0));
}

static void frames_in_pieces_of_every_length(void **state)
{
	static const uint32_t lens[] = {40, 64, 65, 77, 300, 1514, 4097};
	struct frame f;
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		for (uint32_t seg = 1; seg < 150; seg++) {
			craft_lend(&f, bytes, lens[i], seg, segs, NULL);
			for (uint32_t off = 0; off < lens[i]; off += off < 80 ? 1 : 97)
				assert_int_equal(as_written(checksum_frame(&f, off)),
					craft_checksum(bytes + off, lens[i] - off, 0));
		}
	}
}

static void empty_pieces_do_not_count(void **state)
{
	struct frame f;
	const uint32_t len = FRAME_HEAD + 4;
	const uint8_t *rest = bytes + FRAME_HEAD;
	struct frame_seg some[] = {{1, rest}, {0, rest + 1}, {3, rest + 1}};
	craft_lend(&f, bytes, len, 100, segs, NULL);
	frame_set_segs(&f, some, 3);
	for (uint32_t off = 0; off < len; off++)
		assert_int_equal(as_written(checksum_frame(&f, off)),
			craft_checksum(bytes + off, len - off, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_at_every_address),
		cmocka_unit_test(carries_are_kept),
		cmocka_unit_test(a_sum_goes_on),
		cmocka_unit_test(frames_in_pieces_of_every_length),
		cmocka_unit_test(empty_pieces_do_not_count),
	};
	return cmocka_run_group_tests(tests, fill, NULL);
}
