// SPDX-License-Identifier: BSD-2-Clause
// The chain walk: a table of chains, good and malformed, direct and indirect, each with what the
// walk must answer.
#include "dataplane/virtq/chain.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define N VRING_DESC_F_NEXT
#define W VRING_DESC_F_WRITE
#define I VRING_DESC_F_INDIRECT

// Guest memory: [A, A + SIZE) and, adjacent in guest memory but not in ours, [B, B + SIZE).
#define SIZE 0x1000ull
#define A    0x10000ull
#define B    (A + SIZE)
#define END  (B + SIZE)
#define TAB  (A + 0x100) // where a case's indirect table lies

struct want {
	int err;
	unsigned n_desc, n_readable, n_writable;
	uint64_t readable_len, writable_len;
};

struct chain_case {
	const char *name;
	uint16_t head;
	struct vring_desc table[4], indirect[4];
	struct want want;
};

static const struct chain_case cases[] = {
	{"one readable", 0, {{A, 10, 0, 0}}, {{0}}, {0, 1, 1, 0, 10, 0}},
	{"one writable", 3, {[3] = {A, 10, W, 0}}, {{0}}, {0, 1, 0, 1, 0, 10}},
	{"readable then writable, backwards through the table", 3,
		{{A + 64, 7, W, 9}, [2] = {A + 32, 6, N, 0}, [3] = {A, 5, N, 2}}, {{0}},
		{0, 3, 2, 1, 11, 7}},
	{"as long as the table", 0, {{A, 1, N, 1}, {A, 2, N, 2}, {A, 3, N, 3}, {A, 4, 0, 0}}, {{0}},
		{0, 4, 4, 0, 10, 0}},
	{"next without NEXT is not looked at", 0, {{A, 1, 0, 0xffff}}, {{0}}, {0, 1, 1, 0, 1, 0}},
	{"unknown flags are ignored", 0, {{A, 1, 0xfff8, 0}}, {{0}}, {0, 1, 1, 0, 1, 0}},
	{"over two regions", 0, {{B - 4, 10, W, 0}}, {{0}}, {0, 1, 0, 2, 0, 10}},
	{"no bytes at all", 0, {{A, 0, 0, 0}}, {{0}}, {0, 1, 0, 0, 0, 0}},
	{"no bytes, then some", 0, {{A, 0, N, 1}, {A, 3, 0, 0}}, {{0}}, {0, 2, 1, 0, 3, 0}},
	{"up to the last byte of memory", 0, {{END - 1, 1, 0, 0}}, {{0}}, {0, 1, 1, 0, 1, 0}},

	{"head out of the table", 4, {{A, 1, 0, 0}}, {{0}}, {-EBADMSG}},
	{"head far out of the table", 0xffff, {{A, 1, 0, 0}}, {{0}}, {-EBADMSG}},
	{"next out of the table", 0, {{A, 1, N, 4}}, {{0}}, {-EBADMSG}},
	{"next far out of the table", 0, {{A, 1, N, 0xffff}}, {{0}}, {-EBADMSG}},
	{"loop of one", 0, {{A, 1, N, 0}}, {{0}}, {-EBADMSG}},
	{"loop of two", 0, {{A, 1, N, 1}, {A, 1, N, 0}}, {{0}}, {-EBADMSG}},
	{"loop of four", 0, {{A, 1, N, 1}, {A, 1, N, 2}, {A, 1, N, 3}, {A, 1, N, 0}}, {{0}},
		{-EBADMSG}},
	{"loop without bytes", 0, {{A, 0, N, 0}}, {{0}}, {-EBADMSG}},
	{"readable after writable", 0, {{A, 1, N | W, 1}, {A, 1, 0, 0}}, {{0}}, {-EBADMSG}},
	{"address outside", 0, {{END, 1, 0, 0}}, {{0}}, {-EFAULT}},
	{"address outside without bytes", 0, {{END, 0, 0, 0}}, {{0}}, {-EFAULT}},
	{"runs out of memory", 0, {{END - 1, 2, 0, 0}}, {{0}}, {-EFAULT}},
	{"starts before memory", 0, {{A - 1, 2, 0, 0}}, {{0}}, {-EFAULT}},
	{"address wraps", 0, {{UINT64_MAX, 2, 0, 0}}, {{0}}, {-EFAULT}},
	{"address wraps into memory", 0, {{UINT64_MAX - A, 0xffffffff, 0, 0}}, {{0}}, {-EFAULT}},
	{"second address outside", 0, {{A, 1, N, 1}, {0, 1, W, 0}}, {{0}}, {-EFAULT}},

	{"indirect", 0, {{TAB, 48, I, 0}}, {{A, 5, N, 1}, {A, 6, N | W, 2}, {A, 7, W, 0}},
		{0, 3, 1, 2, 5, 13}},
	{"indirect out of order", 0, {{TAB, 48, I, 0}}, {{A, 5, N, 2}, {A, 7, W, 0}, {A, 6, N, 1}},
		{0, 3, 2, 1, 11, 7}},
	{"indirect of one", 0, {{TAB, 16, I, 0}}, {{A, 5, 0, 0}}, {0, 1, 1, 0, 5, 0}},
	{"indirect that ends early", 0, {{TAB, 64, I, 0}}, {{A, 5, 0, 1}}, {0, 1, 1, 0, 5, 0}},
	{"indirect at the end of a direct chain", 0, {{A, 4, N, 1}, {TAB, 16, I, 0}},
		{{A, 5, W, 0}}, {0, 2, 1, 1, 4, 5}},
	{"WRITE on the reference is ignored", 0, {{TAB, 16, I | W, 0}}, {{A, 5, 0, 0}},
		{0, 1, 1, 0, 5, 0}},
	{"indirect as long as allowed", 0, {{TAB, 64, I, 0}},
		{{A, 1, N, 1}, {A, 1, N, 2}, {A, 1, N, 3}, {A, 1, 0, 0}}, {0, 4, 4, 0, 4, 0}},

	{"indirect longer than allowed", 0, {{TAB, 80, I, 0}}, {{A, 5, 0, 0}}, {-EBADMSG}},
	{"indirect much longer", 0, {{TAB, 0xfffffff0, I, 0}}, {{A, 5, 0, 0}}, {-EBADMSG}},
	{"indirect of length 0", 0, {{TAB, 0, I, 0}}, {{A, 5, 0, 0}}, {-EBADMSG}},
	{"indirect of length 0, outside", 0, {{END, 0, I, 0}}, {{0}}, {-EBADMSG}},
	{"indirect of length 15", 0, {{TAB, 15, I, 0}}, {{A, 5, 0, 0}}, {-EBADMSG}},
	{"indirect of length 17", 0, {{TAB, 17, I, 0}}, {{A, 5, 0, 0}}, {-EBADMSG}},
	{"indirect with NEXT", 0, {{TAB, 16, I | N, 1}, {A, 1, 0, 0}}, {{A, 5, 0, 0}}, {-EBADMSG}},
	{"nested indirect", 0, {{TAB, 32, I, 0}}, {{TAB + 16, 16, I, 0}, {A, 5, 0, 0}}, {-EBADMSG}},
	{"nested indirect as second", 0, {{TAB, 32, I, 0}}, {{A, 5, N, 1}, {TAB, 16, I, 0}},
		{-EBADMSG}},
	{"NEXT past the end of the indirect table", 0, {{TAB, 32, I, 0}},
		{{A, 5, N, 2}, {A, 5, 0, 0}, {A, 5, 0, 0}}, {-EBADMSG}},
	{"NEXT in the last entry", 0, {{TAB, 16, I, 0}}, {{A, 5, N, 1}, {A, 5, 0, 0}}, {-EBADMSG}},
	{"loop in the indirect table", 0, {{TAB, 32, I, 0}}, {{A, 5, N, 1}, {A, 5, N, 0}},
		{-EBADMSG}},
	{"readable in the table after writable before it", 0, {{A, 4, N | W, 1}, {TAB, 16, I, 0}},
		{{A, 5, 0, 0}}, {-EBADMSG}},
	{"indirect table outside", 0, {{END, 16, I, 0}}, {{0}}, {-EFAULT}},
	{"indirect table runs out of memory", 0, {{END - 16, 32, I, 0}}, {{0}}, {-EFAULT}},
	{"indirect table wraps", 0, {{UINT64_MAX - 14, 16, I, 0}}, {{0}}, {-EFAULT}},
};

struct mem {
	struct guestmem m;
	struct guestmem_cache c;
	uint8_t *a, *b;
};

static void mem_init(struct mem *mem)
{
	guestmem_init(&mem->m);
	guestmem_cache_clear(&mem->c);
	mem->a = calloc(1, SIZE);
	mem->b = calloc(1, SIZE);
	assert_int_equal(guestmem_add(&mem->m, A, SIZE, mem->a, 0), 0);
	assert_int_equal(guestmem_add(&mem->m, B, SIZE, mem->b, 0), 0);
}

static void mem_fini(struct mem *mem)
{
	free(mem->a);
	free(mem->b);
}

static void check(const struct chain_case *tc, const struct vq_table *t, struct mem *mem,
	struct vq_seg *segs, unsigned max)
{
	struct vq_chain got = {.n_desc = 999}, untouched = got;
	int err = vq_chain_walk(t, &mem->m, &mem->c, tc->head, segs, max, &got);

	if (err != tc->want.err)
		fail_msg("%s: got %d, want %d", tc->name, err, tc->want.err);
	if (err) {
		assert_memory_equal(&got, &untouched, sizeof(got));
		return;
	}
	if (got.head != tc->head || got.n_desc != tc->want.n_desc ||
		got.n_readable != tc->want.n_readable || got.n_writable != tc->want.n_writable ||
		got.readable_len != tc->want.readable_len ||
		got.writable_len != tc->want.writable_len)
		fail_msg("%s: %u desc, %u + %u segments, %lu + %lu bytes", tc->name, got.n_desc,
			got.n_readable, got.n_writable, got.readable_len, got.writable_len);
}

static void test_table_of_chains(void **state)
{
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct chain_case *tc = &cases[i];
		struct vring_desc *table = aligned_alloc(16, sizeof(tc->table));
		struct vq_table t = {table, 4, 4};
		struct vq_seg segs[8];
		struct mem mem;

		mem_init(&mem);
		memcpy(table, tc->table, sizeof(tc->table));
		memcpy(mem.a + (TAB - A), tc->indirect, sizeof(tc->indirect));
		check(tc, &t, &mem, segs, 8);
		check(tc, &t, &mem, NULL, 0); // only validate and count: the same answer
		mem_fini(&mem);
		free(table);
	}
}

static void test_segments_are_in_order(void **state)
{
	struct vring_desc table[4] = {
		{A, 3, N, 1}, {B - 1, 2, N, 2}, {B - 2, 4, N | W, 3}, {A + 9, 1, W, 0}};
	struct vq_table t = {table, 4, 0};
	struct vq_chain chain;
	struct vq_seg s[8];
	struct mem mem;

	mem_init(&mem);
	assert_int_equal(vq_chain_walk(&t, &mem.m, &mem.c, 0, s, 8, &chain), 0);
	assert_int_equal(chain.n_readable, 3);
	assert_int_equal(chain.n_writable, 3);
	assert_ptr_equal(s[0].base, mem.a);
	assert_int_equal(s[0].len, 3);
	assert_ptr_equal(s[1].base, mem.a + SIZE - 1);
	assert_ptr_equal(s[2].base, mem.b);
	assert_ptr_equal(s[3].base, mem.a + SIZE - 2);
	assert_int_equal(s[3].len, 2);
	assert_ptr_equal(s[4].base, mem.b);
	assert_int_equal(s[4].len, 2);
	assert_ptr_equal(s[5].base, mem.a + 9);
	mem_fini(&mem);
}

static void test_room_for_segments(void **state)
{
	struct vring_desc table[4] = {{A, 3, N, 1}, {B - 1, 2, N, 2}, {A, 4, W, 0}};
	struct vq_table t = {table, 4, 0};
	struct vq_chain chain = {.n_desc = 999}, untouched = chain;
	struct vq_seg s[4];
	struct mem mem;

	mem_init(&mem);
	for (unsigned max = 0; max < 4; max++) {
		assert_int_equal(vq_chain_walk(&t, &mem.m, &mem.c, 0, s, max, &chain), -ENOSPC);
		assert_memory_equal(&chain, &untouched, sizeof(chain));
	}
	assert_int_equal(vq_chain_walk(&t, &mem.m, &mem.c, 0, s, 4, &chain), 0);
	assert_int_equal(chain.n_desc, 3);
	mem_fini(&mem);
}

static void test_indirect_not_negotiated(void **state)
{
	struct vring_desc table[1] = {{TAB, 16, I, 0}};
	struct vq_table t = {table, 1, 0};
	struct vq_chain chain;
	struct vq_seg s[4];
	struct mem mem;

	mem_init(&mem);
	*(struct vring_desc *)(mem.a + (TAB - A)) = (struct vring_desc){A, 5, 0, 0};
	assert_int_equal(vq_chain_walk(&t, &mem.m, &mem.c, 0, s, 4, &chain), -EBADMSG);
	t.max_indirect = 1;
	assert_int_equal(vq_chain_walk(&t, &mem.m, &mem.c, 0, s, 4, &chain), 0);
	mem_fini(&mem);
}

// An indirect table needs no alignment, and may lie over two regions, even one descriptor of it.
static void test_indirect_table_anywhere(void **state)
{
	static const uint64_t starts[] = {
		TAB, TAB + 1, TAB + 7, B - 16, B - 17, B - 1, B - 24, B - 47};
	const struct vring_desc ind[3] = {{A, 5, N, 2}, {A, 7, W, 0}, {A, 6, N, 1}};

	for (unsigned i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		struct vring_desc table[1] = {{starts[i], 48, I, 0}};
		struct vq_table t = {table, 1, 3};
		struct vq_chain chain;
		struct vq_seg s[4];
		struct mem mem;

		mem_init(&mem);
		for (unsigned k = 0; k < sizeof(ind); k++) {
			uint64_t at = starts[i] + k;

			*(at < B ? mem.a + (at - A) : mem.b + (at - B)) = ((uint8_t *)ind)[k];
		}
		assert_int_equal(vq_chain_walk(&t, &mem.m, &mem.c, 0, s, 4, &chain), 0);
		assert_int_equal(chain.readable_len, 11);
		assert_int_equal(chain.writable_len, 7);
		mem_fini(&mem);
	}
}

// All of a table must be there, also what a chain that ends early does not use.
static void test_indirect_table_partly_outside(void **state)
{
	struct vring_desc table[1] = {{END - 16, 32, I, 0}};
	struct vq_table t = {table, 1, 3};
	struct vq_chain chain;
	struct vq_seg s[4];
	struct mem mem;

	mem_init(&mem);
	*(struct vring_desc *)(mem.b + SIZE - 16) = (struct vring_desc){A, 5, 0, 0};
	assert_int_equal(vq_chain_walk(&t, &mem.m, &mem.c, 0, s, 4, &chain), -EFAULT);
	table[0].len = 16;
	assert_int_equal(vq_chain_walk(&t, &mem.m, &mem.c, 0, s, 4, &chain), 0);
	mem_fini(&mem);
}

// Exactly 2^32 bytes is allowed, one more is not; no 32-bit sum anywhere.
static void test_total_length(void **state)
{
	struct vring_desc table[3] = {{0, UINT32_MAX, N, 1}, {0, 1, N | W, 2}, {0, 0, W, 0}};
	struct vq_table t = {table, 3, 0};
	struct guestmem m;
	struct guestmem_cache c = {0};
	struct vq_chain chain;
	struct vq_seg s[8];

	guestmem_init(&m);
	assert_int_equal(guestmem_add(&m, 0, 1ull << 32, (void *)0x100000000, 0), 0);
	assert_int_equal(vq_chain_walk(&t, &m, &c, 0, s, 8, &chain), 0);
	assert_int_equal(chain.n_readable, 2); // cut at 2^31
	assert_int_equal(chain.readable_len, UINT32_MAX);
	table[2].len = 1;
	assert_int_equal(vq_chain_walk(&t, &m, &c, 0, s, 8, &chain), -EBADMSG);
	assert_int_equal(vq_chain_walk(&t, &m, &c, 0, NULL, 0, &chain), -EBADMSG);
}

// The longest that can be: a table of 32768 whose last entry refers to an indirect table of 32768.
static void test_longest_chain(void **state)
{
	const unsigned n = VQ_MAX_SIZE;
	struct vring_desc *table = aligned_alloc(16, n * 16), *ind = aligned_alloc(16, n * 16);
	struct vq_table t = {table, (uint16_t)n, (uint16_t)n};
	struct guestmem m;
	struct guestmem_cache c = {0};
	struct vq_chain chain;
	uint8_t byte;

	guestmem_init(&m);
	assert_int_equal(guestmem_add(&m, 0x1000, 1, &byte, 0), 0);
	assert_int_equal(guestmem_add(&m, 0x100000, n * 16, ind, 0), 0);
	for (unsigned i = 0; i < n; i++) {
		table[i] = (struct vring_desc){0x1000, 1, N, (uint16_t)(i + 1)};
		ind[i] = (struct vring_desc){0x1000, 1, N | W, (uint16_t)(i + 1)};
	}
	table[n - 1] = (struct vring_desc){0x100000, n * 16, I, 0};
	ind[n - 1].flags = W;
	assert_int_equal(vq_chain_walk(&t, &m, &c, 0, NULL, 0, &chain), 0);
	assert_int_equal(chain.n_desc, 65535);
	assert_int_equal(chain.readable_len, n - 1);
	assert_int_equal(chain.writable_len, n);
	ind[n - 1].flags = W | N;
	ind[n - 1].next = 0;
	assert_int_equal(vq_chain_walk(&t, &m, &c, 0, NULL, 0, &chain), -EBADMSG);
	free(table);
	free(ind);
}

static void test_data_without_header_and_status(void **state)
{
	// A block request: header over two regions, data, status.
	struct vring_desc table[4] = {
		{B - 8, 16, N, 1}, {A, 512, N, 2}, {A, 100, N | W, 3}, {A + 64, 1, W, 0}};
	struct vq_table t = {table, 4, 0};
	struct vq_chain chain;
	unsigned from = 77, n = 77;
	uint64_t gpa = 77;
	struct vq_seg s[8];
	struct mem mem;

	mem_init(&mem);
	assert_int_equal(vq_chain_walk(&t, &mem.m, &mem.c, 0, s, 8, &chain), 0);
	assert_int_equal(vq_chain_data(&chain, true, true, &from, &n), 0);
	assert_int_equal(from, 2);
	assert_int_equal(n, 2);
	assert_int_equal(vq_chain_data(&chain, true, false, &from, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(vq_chain_data(&chain, false, true, &from, &n), 0);
	assert_int_equal(from, 0);
	assert_int_equal(n, 4);
	assert_int_equal(vq_chain_data(&chain, false, false, &from, &n), 0);
	assert_int_equal(n, 5);
	assert_int_equal(vq_chain_status(&chain, &gpa), 0);
	assert_int_equal(gpa, A + 64);
	mem_fini(&mem);
}

static void test_no_header_or_status(void **state)
{
	struct vring_desc readable = {A, 16, 0, 0}, writable = {A, 16, W, 0}, empty = {A, 0, W, 0};
	struct vq_table t = {&readable, 1, 0};
	struct vq_chain chain;
	unsigned from = 77, n = 77;
	uint64_t gpa = 77;
	struct vq_seg s[2];
	struct mem mem;

	mem_init(&mem);
	assert_int_equal(vq_chain_walk(&t, &mem.m, &mem.c, 0, s, 2, &chain), 0);
	assert_int_equal(vq_chain_data(&chain, false, true, &from, &n), -EBADMSG);
	assert_int_equal(vq_chain_data(&chain, true, true, &from, &n), -EBADMSG);
	assert_int_equal(vq_chain_status(&chain, &gpa), -EBADMSG);
	t.desc = &writable;
	assert_int_equal(vq_chain_walk(&t, &mem.m, &mem.c, 0, s, 2, &chain), 0);
	assert_int_equal(vq_chain_data(&chain, true, false, &from, &n), -EBADMSG);
	assert_int_equal(vq_chain_data(&chain, true, true, &from, &n), -EBADMSG);
	t.desc = &empty;
	assert_int_equal(vq_chain_walk(&t, &mem.m, &mem.c, 0, s, 2, &chain), 0);
	assert_int_equal(vq_chain_status(&chain, &gpa), -EBADMSG);
	assert_int_equal(from, 77);
	assert_int_equal(n, 77);
	assert_int_equal(gpa, 77);
	mem_fini(&mem);
}

static void test_descriptor_copies(void **state)
{
	uint8_t raw[48];
	struct vring_desc d = {0x1122334455667788, 0x99aabbcc, 0xddee, 0xff01}, got;

	for (unsigned shift = 0; shift < 16; shift++) {
		memset(raw, 0, sizeof(raw));
		vq_desc_store(raw + shift, d);
		assert_memory_equal(raw + shift, &d, sizeof(d));
		got = vq_desc_load(raw + shift);
		assert_memory_equal(&got, &d, sizeof(d));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_of_chains),
		cmocka_unit_test(test_segments_are_in_order),
		cmocka_unit_test(test_room_for_segments),
		cmocka_unit_test(test_indirect_not_negotiated),
		cmocka_unit_test(test_indirect_table_anywhere),
		cmocka_unit_test(test_indirect_table_partly_outside),
		cmocka_unit_test(test_total_length),
		cmocka_unit_test(test_longest_chain),
		cmocka_unit_test(test_data_without_header_and_status),
		cmocka_unit_test(test_no_header_or_status),
		cmocka_unit_test(test_descriptor_copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
