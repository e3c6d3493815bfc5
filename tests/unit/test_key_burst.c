// SPDX-License-Identifier: BSD-2-Clause
// The loops over a burst's addresses, for each instruction set of this CPU, against the same thing
// written down frame by frame.
#include "dataplane/switch/key_burst.h"

#include "dataplane/frame/eth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ROUNDS 3000u
#define VID    7u
#define NOW    1000u

static struct burst burst;
static struct burst_keys keys;
static struct frame_list lists[PORT_MAX];
static uint32_t random_state = 1;

static uint32_t rnd(uint32_t below)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)(random_state >> 8) * below >> 24);
}

static void put_mac(uint8_t *to, uint32_t n)
{
	const uint8_t mac[ETH_ADDR_LEN] = {
		2, 0xff, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};

	memcpy(to, mac, sizeof(mac));
}

static uint64_t key_of(uint32_t n)
{
	uint8_t mac[ETH_ADDR_LEN];

	put_mac(mac, n);
	return fdb_key(eth_addr(mac), VID);
}

static uint8_t *head_of(uint32_t i)
{
	return burst.f[i].buf + FRAME_HEAD_OFF;
}

// n frames between the stations 1 and 2. What lies behind a frame's first 14 bytes, and frames behind
// the n-th, must not matter.
static void make(uint32_t n)
{
	for (uint32_t i = 0; i < FRAME_BURST; i++) {
		for (uint32_t k = 0; k < FRAME_HEAD; k++)
			head_of(i)[k] = (uint8_t)rnd(256);
		put_mac(head_of(i), 2);
		put_mac(head_of(i) + ETH_ADDR_LEN, 1);
		eth_put_be16(head_of(i) + 2 * ETH_ADDR_LEN, 0x0800);
		if (i >= n)
			memset(head_of(i), 0xff, FRAME_HEAD);
	}
	burst.n = n;
}

static struct key_classes read_with(const struct key_burst_ops *ops)
{
	memset(&keys, 0xee, sizeof(keys));
	return ops->read(&keys, &burst, burst.n, VID, key_of(1), key_of(2));
}

static void reads_keys_and_what_they_have_in_common(const struct key_burst_ops *ops)
{
	for (uint32_t n = 1; n <= FRAME_BURST; n++) {
		const uint32_t at = rnd(n);
		struct key_classes c;

		make(n);
		c = read_with(ops);
		assert_true(!c.src_differs && !c.dst_differs && !c.tagged && !c.odd);
		for (uint32_t i = 0; i < n; i++) {
			assert_int_equal(keys.src[i], key_of(1));
			assert_int_equal(keys.dst[i], key_of(2));
		}
		put_mac(head_of(at), 3 + rnd(1000));
		c = read_with(ops);
		assert_true(!c.src_differs && c.dst_differs && !c.tagged && !c.odd);
		make(n);
		put_mac(head_of(at) + ETH_ADDR_LEN, 3 + rnd(1000));
		c = read_with(ops);
		assert_true(c.src_differs && !c.dst_differs && !c.tagged && !c.odd);
		make(n);
		eth_put_be16(head_of(at) + 2 * ETH_ADDR_LEN, ETH_TYPE_VLAN);
		c = read_with(ops);
		assert_true(!c.src_differs && !c.dst_differs && c.tagged && !c.odd);
		// The tag's number elsewhere is none.
		make(n);
		eth_put_be16(head_of(at) + 2 * ETH_ADDR_LEN + 2, ETH_TYPE_VLAN);
		eth_put_be16(head_of(at) + 2, ETH_TYPE_VLAN);
		assert_false(read_with(ops).tagged);
	}
}

static void tells_odd_addresses(const struct key_burst_ops *ops)
{
	for (uint32_t n = 1; n <= FRAME_BURST; n += 3) {
		const uint32_t at = rnd(n);

		make(n);
		head_of(at)[0] |= 1;
		assert_true(read_with(ops).odd);
		make(n);
		head_of(at)[ETH_ADDR_LEN] |= 1;
		assert_true(read_with(ops).odd);
		make(n);
		memset(head_of(at) + ETH_ADDR_LEN, 0, ETH_ADDR_LEN);
		assert_true(read_with(ops).odd);
		// A destination of zero belongs to nobody, and is looked up as any.
		make(n);
		memset(head_of(at), 0, ETH_ADDR_LEN);
		assert_false(read_with(ops).odd);
	}
}

static uint64_t known[4096];

// A table that is so full that addresses are in each slot of either line; n of them in known[].
static struct fdb *full_table(uint32_t *n)
{
	struct fdb *fdb;
	struct fdb_change change;
	uint32_t second = 0, where;

	assert_int_equal(fdb_new(100000, 16, &fdb), 0);
	*n = 0;
	for (uint32_t i = 0; *n < fdb->n_slots * 7 / 8; i++)
		if (fdb_learn(fdb, key_of(i), (uint16_t)(i % PORT_MAX), NOW, &change) == FDB_LEARNT)
			known[(*n)++] = key_of(i);
	for (uint32_t i = 0; i < *n; i++) {
		const uint32_t slot = fdb_find(fdb, known[i], &where);
		assert_int_not_equal(slot, FDB_NONE);
		second += (slot ^ fdb_slot(fdb, fdb_mix(fdb, known[i]))) >= FDB_WAYS;
	}
	assert_true(second > 20);
	return fdb;
}

static void finds_what_a_single_look_finds(const struct key_burst_ops *ops)
{
	uint32_t n_keys;
	struct fdb *fdb = full_table(&n_keys);
	uint32_t n_all = 0, n_not = 0;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		const uint32_t n = 1 + rnd(FRAME_BURST), span = rnd(4) ? n_keys : n_keys + 8;
		uint64_t key[FRAME_BURST];
		uint8_t port[FRAME_BURST];
		bool all = true;

		make(n);
		for (uint32_t i = 0; i < n; i++) {
			uint32_t where;
			const uint32_t at = rnd(span);
			key[i] = at < n_keys ? known[at] : key_of(1000000 + at);
			memcpy(head_of(i), &key[i], ETH_ADDR_LEN);
			all &= fdb_find(fdb, key[i], &where) != FDB_NONE;
		}
		assert_int_equal(ops->find(fdb, &burst, n, VID, port), all);
		assert_false(ops->find(fdb, &burst, n, VID + 1, port));
		n_all += all;
		n_not += !all;
		for (uint32_t i = 0; all && i < n; i++) {
			uint32_t where;
			fdb_find(fdb, key[i], &where);
			assert_int_equal(port[i], FDB_PORT(where));
		}
	}
	assert_true(n_all > ROUNDS / 4 && n_not > ROUNDS / 20);
	fdb_free(fdb);
}

static void knows_sources_by_port_and_time(const struct key_burst_ops *ops)
{
	struct fdb_change change;
	struct fdb *fdb;
	uint64_t key[FRAME_BURST];

	assert_int_equal(fdb_new(1024, 1024, &fdb), 0);
	make(FRAME_BURST);
	for (uint32_t i = 0; i < FRAME_BURST; i++) {
		key[i] = key_of(i);
		memcpy(head_of(i) + ETH_ADDR_LEN, &key[i], ETH_ADDR_LEN);
		fdb_learn(fdb, key[i], 5, NOW, &change);
	}
	for (uint32_t at = 0; at < FRAME_BURST; at++) {
		const uint32_t n = at + 1;
		uint32_t slot, where;

		assert_true(ops->is_known(fdb, &burst, n, VID, 5, NOW));
		assert_false(ops->is_known(fdb, &burst, n, VID + 1, 5, NOW));
		fdb_learn(fdb, key[at], 6, NOW, &change);
		assert_false(ops->is_known(fdb, &burst, n, VID, 5, NOW));
		assert_false(ops->is_known(fdb, &burst, FRAME_BURST, VID, 5, NOW));
		assert_true((!at || ops->is_known(fdb, &burst, at, VID, 5, NOW)));
		fdb_learn(fdb, key[at], 5, NOW, &change);
		slot = fdb_find(fdb, key[at], &where);
		*fdb_seen(fdb, slot) = NOW - 1;
		assert_false(ops->is_known(fdb, &burst, n, VID, 5, NOW));
		*fdb_seen(fdb, slot) = NOW;
		fdb_del(fdb, key[at]);
		assert_false(ops->is_known(fdb, &burst, n, VID, 5, NOW));
		fdb_learn(fdb, key[at], 5, NOW, &change);
	}
	fdb_free(fdb);
}

static void sorts_in_order(const struct key_burst_ops *ops)
{
	for (uint32_t round = 0; round < ROUNDS; round++) {
		const uint32_t n = 1 + rnd(FRAME_BURST),
			       n_ports = 1 + rnd(round % 2 ? 4 : PORT_MAX);
		uint8_t port[FRAME_BURST], at[PORT_MAX] = {0};
		uint16_t touched[PORT_MAX + 1];
		uint32_t n_touched, seen = 0;

		for (uint32_t i = 0; i < FRAME_BURST; i++)
			port[i] = (uint8_t)(rnd(n_ports) + (round % 3 ? 0 : PORT_MAX - n_ports));
		n_touched = ops->sort(port, n, lists, touched);
		for (uint32_t i = 0; i < n; i++) {
			const uint8_t id = port[i];
			if (!at[id])
				assert_int_equal(touched[seen++], id);
			assert_int_equal(lists[id].f[at[id]++], i);
		}
		assert_int_equal(n_touched, seen);
		for (uint32_t i = 0; i < PORT_MAX; i++) {
			assert_int_equal(lists[i].n, at[i]);
			lists[i].n = 0;
		}
	}
}

static void each_instruction_set(void (*test)(const struct key_burst_ops *))
{
	unsigned n = 0;

	for (const struct key_burst_ops *ops; (ops = key_burst_each(n)) != NULL; n++) {
		print_message("%s\n", ops->isa);
		test(ops);
	}
	assert_true(n >= 1);
	assert_ptr_equal(key_burst_choose(), key_burst_each(0));
	assert_string_equal(key_burst_each(n - 1)->isa, "base");
}

#define CASE(name)                            \
	static void case_##name(void **state) \
	{                                     \
		each_instruction_set(name);   \
	}
CASE(reads_keys_and_what_they_have_in_common)
CASE(tells_odd_addresses)
CASE(finds_what_a_single_look_finds)
CASE(knows_sources_by_port_and_time)
CASE(sorts_in_order)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(case_reads_keys_and_what_they_have_in_common),
		cmocka_unit_test(case_tells_odd_addresses),
		cmocka_unit_test(case_finds_what_a_single_look_finds),
		cmocka_unit_test(case_knows_sources_by_port_and_time),
		cmocka_unit_test(case_sorts_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
