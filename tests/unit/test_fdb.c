// SPDX-License-Identifier: BSD-2-Clause
// The forwarding database: learning, moves, static entries, ageing, fair shares under a flood.
#include "dataplane/switch/fdb.h"

#include "dataplane/port/cycles.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/time.h>
#include <cmocka.h>

static struct fdb *table(uint32_t max)
{
	struct fdb *fdb;

	assert_int_equal(fdb_new(max, max, &fdb), 0);
	return fdb;
}

static uint64_t key(uint32_t i)
{
	return fdb_key(0x000000000002ull | (uint64_t)i << 16, 1);
}

static enum fdb_result learn(struct fdb *fdb, uint64_t k, uint16_t port, uint32_t now)
{
	struct fdb_change change;
	return fdb_learn(fdb, k, port, now, &change);
}

static uint32_t where(const struct fdb *fdb, uint64_t k)
{
	uint32_t w;

	fdb_find(fdb, k, &w);
	return w;
}

static void learns_moves_and_renews(void **state)
{
	struct fdb *fdb = table(1000);
	struct fdb_change change;
	uint32_t w;

	assert_int_equal(where(fdb, key(1)), FDB_NONE);
	assert_int_equal(learn(fdb, key(1), 7, 100), FDB_LEARNT);
	assert_int_equal(where(fdb, key(1)), 7);
	assert_int_equal(learn(fdb, key(1), 7, 105), FDB_SAME);
	assert_int_equal(*fdb_seen(fdb, fdb_find(fdb, key(1), &w)), 105);

	uint32_t gen = fdb_gen(fdb);
	assert_int_equal(fdb_learn(fdb, key(1), 9, 106, &change), FDB_MOVED);
	assert_int_equal(change.old_port, 7);
	assert_int_equal(where(fdb, key(1)), 9);
	assert_int_not_equal(fdb_gen(fdb), gen);
	assert_int_equal(fdb->owned[7], 0);
	assert_int_equal(fdb->owned[9], 1);
	assert_int_equal(fdb_count(fdb), 1);
	fdb_free(fdb);
}

static void the_vlan_is_part_of_the_key(void **state)
{
	struct fdb *fdb = table(1000);

	learn(fdb, fdb_key(0x112233445502, 1), 3, 0);
	learn(fdb, fdb_key(0x112233445502, 4094), 4, 0);
	assert_int_equal(where(fdb, fdb_key(0x112233445502, 1)), 3);
	assert_int_equal(where(fdb, fdb_key(0x112233445502, 4094)), 4);
	assert_int_equal(where(fdb, fdb_key(0x112233445502, 2)), FDB_NONE);
	assert_int_equal(fdb_key_vid(fdb_key(0xffffffffffff, 4094)), 4094);
	fdb_free(fdb);
}

static void static_entries_stay(void **state)
{
	struct fdb *fdb = table(1000);

	learn(fdb, key(1), 7, 0);
	assert_int_equal(fdb_set(fdb, key(1), 8, 0), 0); // instead of the learnt one
	assert_int_equal(where(fdb, key(1)), 8 | FDB_STATIC);
	assert_int_equal(fdb_set(fdb, key(2), 8, 0), 0);
	assert_int_equal(learn(fdb, key(1), 7, 1), FDB_KEPT);
	assert_int_equal(learn(fdb, key(1), 8, 1), FDB_SAME);
	assert_int_equal(FDB_PORT(where(fdb, key(1))), 8);
	assert_int_equal(fdb_del(fdb, key(1)), 0);
	assert_int_equal(fdb_del(fdb, key(1)), -ENOENT);
	assert_int_equal(fdb_count(fdb), 1);
	fdb_free(fdb);
}

static void a_taken_lock_is_not_waited_for(void **state)
{
	struct fdb *fdb = table(1000);

	pthread_mutex_lock(&fdb->lock);
	assert_int_equal(learn(fdb, key(1), 7, 0), FDB_BUSY);
	assert_int_equal(where(fdb, key(1)), FDB_NONE);
	pthread_mutex_unlock(&fdb->lock);
	assert_int_equal(learn(fdb, key(1), 7, 0), FDB_LEARNT);
	fdb_free(fdb);
}

static bool older_than(void *ctx, uint64_t k, uint32_t w, uint32_t seen)
{
	return !(w & FDB_STATIC) && seen < *(uint32_t *)ctx;
}

static int count_one(void *ctx, uint64_t k, uint32_t w, uint32_t seen)
{
	++*(uint32_t *)ctx;
	return 0;
}

static int stop_at_once(void *ctx, uint64_t k, uint32_t w, uint32_t seen)
{
	return 42;
}

static void sweeps_what_is_selected(void **state)
{
	struct fdb *fdb = table(1000);
	uint32_t limit = 50, n = 0;

	for (uint32_t i = 0; i < 100; i++)
		learn(fdb, key(i), 1, i);
	fdb_set(fdb, key(1000), 1, 0);
	uint32_t gen = fdb_gen(fdb);
	assert_int_equal(fdb_sweep(fdb, older_than, &limit), 50);
	assert_int_not_equal(fdb_gen(fdb), gen);
	assert_int_equal(fdb_count(fdb), 51);
	assert_int_equal(where(fdb, key(49)), FDB_NONE);
	assert_int_equal(where(fdb, key(50)), 1);
	assert_int_equal(fdb_foreach(fdb, count_one, &n), 0);
	assert_int_equal(n, 51);
	assert_int_equal(fdb_foreach(fdb, stop_at_once, NULL), 42);
	gen = fdb_gen(fdb);
	assert_int_equal(fdb_sweep(fdb, older_than, &limit), 0);
	assert_int_equal(fdb_gen(fdb), gen); // nothing changed, no cache is dropped
	fdb_free(fdb);
}

// Full tables lose next to nothing: with 65,536 addresses in it, each can be found.
static void a_full_table_holds_what_it_says(void **state)
{
	const uint32_t max = 65536;
	struct fdb *fdb = table(max);
	uint32_t missing = 0;

	for (uint32_t i = 0; i < max; i++)
		learn(fdb, key(i), (uint16_t)(i % 16), 0);
	for (uint32_t i = 0; i < max; i++)
		missing += where(fdb, key(i)) != i % 16;
	assert_true(missing < max / 1000);
	assert_true(fdb_count(fdb) <= max);
	fdb_free(fdb);
}

// Sixteen honest ports with ten addresses each, and one that floods: the honest keep theirs, the
// flooder replaces its own oldest, and nobody's table grows.
static void a_flood_evicts_the_flooder_only(void **state)
{
	const uint32_t max = 1024;
	struct fdb *fdb = table(max);
	struct fdb_change change;

	for (uint32_t i = 0; i < 160; i++)
		assert_int_equal(learn(fdb, key(i), (uint16_t)(i / 10), 0), FDB_LEARNT);
	assert_int_equal(fdb_set(fdb, key(900000), 3, 0), 0);
	for (uint32_t i = 0; i < 50; i++) // of the flooder's port, but static
		assert_int_equal(fdb_set(fdb, key(910000 + i), 99, 0), 0);
	for (uint32_t i = 0; i < 50000; i++) {
		fdb_learn(fdb, key(1000 + i), 99, 1 + i / 100, &change);
		if (change.evicted)
			assert_int_equal(change.evicted_port, 99);
		assert_true(fdb_count(fdb) <= max);
	}
	for (uint32_t i = 0; i < 160; i++)
		assert_int_equal(where(fdb, key(i)), i / 10);
	assert_int_equal(where(fdb, key(900000)), 3 | FDB_STATIC);
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(where(fdb, key(910000 + i)), 99 | FDB_STATIC);
	// The newest of the flood are there, the oldest are gone.
	assert_int_equal(where(fdb, key(1000)), FDB_NONE);
	uint32_t recent = 0;
	for (uint32_t i = 49900; i < 50000; i++)
		recent += where(fdb, key(1000 + i)) == 99;
	assert_true(recent > 50);
	fdb_free(fdb);
}

// In a table that one search sees whole, the oldest goes; a stamp from a worker whose clock has
// just ticked on is not old.
static void the_oldest_goes_first(void **state)
{
	static const uint32_t seen[16] = {
		105, 101, 107, 103, 109, 111, 100, 115, 113, 102, 104, 106, 120, 108, 110, 112};
	struct fdb *fdb = table(16);
	struct fdb_change change;

	for (uint32_t i = 0; i < 16; i++)
		assert_int_equal(learn(fdb, key(i), 1, seen[i]), FDB_LEARNT);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(fdb_learn(fdb, key(100 + i), 1, 119, &change), FDB_LEARNT);
		assert_int_equal(change.evicted, key(i == 0 ? 6 : i == 1 ? 1 : 9));
	}
	fdb_free(fdb);
}

// A port that comes late gets its share from the one that has filled the table.
static void a_late_port_gets_its_share(void **state)
{
	const uint32_t max = 256;
	struct fdb *fdb = table(max);
	struct fdb_change change;

	for (uint32_t i = 0; i < 10000; i++)
		learn(fdb, key(i), 1, 1);
	assert_true(fdb->owned[1] > max * 9 / 10);
	for (uint32_t i = 0; i < 1000; i++) {
		fdb_learn(fdb, key(20000 + i), 2, 2, &change);
		if (change.evicted && fdb->owned[2] < max / 2)
			assert_int_equal(change.evicted_port, 1);
	}
	assert_true(fdb->owned[2] >= max / 2 - 1);
	assert_true(fdb->owned[1] >= max / 2 - 1);
	fdb_free(fdb);
}

static void static_entries_fill_the_table_and_no_more(void **state)
{
	const uint32_t max = 16;
	struct fdb *fdb = table(max);

	for (uint32_t i = 0; i < max; i++)
		assert_int_equal(fdb_set(fdb, key(i), 1, 0), 0);
	assert_int_equal(fdb_set(fdb, key(100), 1, 0), -ENOSPC);
	assert_int_equal(learn(fdb, key(101), 1, 0), FDB_FULL);
	assert_int_equal(fdb_count(fdb), max);
	fdb_free(fdb);
}

// A key that has the same slot of first choice as `k`, and the same second line; another one for each i, which is
// small.
static uint64_t neighbour(const struct fdb *fdb, uint64_t k, uint32_t i)
{
	return fdb_unmix(fdb, fdb_mix(fdb, k) ^ (i + 1ull) << 32);
}

// Puts an address in the place of another one wherever a look-up for it is at the moment, as another
// worker may.
static struct {
	struct fdb *fdb;
	uint64_t other;
	volatile sig_atomic_t is_open;
} meanwhile;

static void learn_meanwhile(int sig)
{
	if (!meanwhile.is_open)
		return;
	meanwhile.is_open = false;
	fdb_del(meanwhile.fdb, meanwhile.other);
	learn(meanwhile.fdb, key(0), 2, 0);
}

// Looks for an address until it is there. All that it may be told is the port where it is, though
// another had its place before. `taken` slots that come before that place are taken.
static void look_until_it_is_learnt(uint32_t taken)
{
	const struct itimerval often = {{0, 20}, {0, 20}}, never = {{0, 0}, {0, 0}};
	const uint64_t end = clock_ns(CLOCK_MONOTONIC) + 1000000000;
	struct fdb *fdb = table(1000);
	uint32_t w = 2, slot, was;

	for (uint32_t i = 0; i < taken; i++)
		learn(fdb, neighbour(fdb, key(0), 1 + i), 3, 0);
	meanwhile.fdb = fdb;
	meanwhile.other = neighbour(fdb, key(0), 0);
	signal(SIGALRM, learn_meanwhile);
	setitimer(ITIMER_REAL, &often, NULL);
	while (w == 2 && clock_ns(CLOCK_MONOTONIC) < end) {
		learn(fdb, meanwhile.other, 1, 0);
		was = fdb_find(fdb, meanwhile.other, &w);
		meanwhile.is_open = true;
		while ((slot = fdb_find(fdb, key(0), &w)) == FDB_NONE)
			;
		meanwhile.is_open = false;
		assert_int_equal(slot, was);
		fdb_del(fdb, key(0));
	}
	setitimer(ITIMER_REAL, &never, NULL);
	fdb_free(fdb);
	assert_int_equal(w, 2);
}

// Bug: the place that an address is learnt in had its value read before its key. An address that was learnt
// in between was told with the port that the place had before, which workers then remembered.
static void what_is_learnt_meanwhile_has_no_old_port(void **state)
{
	look_until_it_is_learnt(0);
	look_until_it_is_learnt(FDB_WAYS - 1);
	look_until_it_is_learnt(FDB_WAYS + 2);
}

static void nobodys_second_line_is_the_first(void **state)
{
	for (uint32_t i = 0; i < 400; i++) {
		struct fdb *fdb = table(1000);
		for (uint32_t k = 0; k <= FDB_WAYS; k++)
			assert_int_equal(learn(fdb, neighbour(fdb, key(i), k), 1, 0), FDB_LEARNT);
		assert_int_equal(fdb_count(fdb), FDB_WAYS + 1);
		fdb_free(fdb);
	}
}

// Addresses that all want one slot fill two lines. Each is found there; what comes then replaces them, the oldest
// first, and says their names.
static void two_lines_take_what_wants_one_slot(void **state)
{
	const uint32_t n = 2 * FDB_WAYS;
	struct fdb *fdb = table(n);
	uint32_t slot[2 * FDB_WAYS], w;
	struct fdb_change change;

	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(learn(fdb, neighbour(fdb, key(0), i), 7, 100 + i), FDB_LEARNT);
	for (uint32_t i = 0; i < n; i++) {
		slot[i] = fdb_find(fdb, neighbour(fdb, key(0), i), &w);
		assert_int_equal(w, 7);
		assert_int_equal(*fdb_seen(fdb, slot[i]), 100 + i);
		assert_int_equal(slot[i] / FDB_WAYS, slot[i / FDB_WAYS * FDB_WAYS] / FDB_WAYS);
	}
	assert_int_not_equal(slot[0] / FDB_WAYS, slot[FDB_WAYS] / FDB_WAYS);
	assert_int_equal(where(fdb, neighbour(fdb, key(0), n)), FDB_NONE);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(
			fdb_learn(fdb, neighbour(fdb, key(0), n + i), 7, 200, &change), FDB_LEARNT);
		assert_int_equal(change.evicted, neighbour(fdb, key(0), i));
		assert_int_equal(change.evicted_port, 7);
		assert_int_equal(fdb_find(fdb, neighbour(fdb, key(0), n + i), &w), slot[i]);
	}
	// One that moves, or is set by hand, stays where it is.
	assert_int_equal(learn(fdb, neighbour(fdb, key(0), 2 * n - 1), 8, 201), FDB_MOVED);
	assert_int_equal(fdb_find(fdb, neighbour(fdb, key(0), 2 * n - 1), &w), slot[n - 1]);
	assert_int_equal(w, 8);
	assert_int_equal(fdb_set(fdb, neighbour(fdb, key(0), n), 9, 201), 0);
	assert_int_equal(fdb_find(fdb, neighbour(fdb, key(0), n), &w), slot[0]);
	assert_int_equal(w, 9 | FDB_STATIC);
	fdb_free(fdb);
}

// What says which address an entry is for is in its word and its place. An address is not found in its first line under
// the word of another that has its second line there.
static void a_second_line_is_no_first_one(void **state)
{
	struct fdb *fdb = table(64);
	uint32_t w;

	for (uint32_t i = 0; i <= FDB_WAYS; i++)
		assert_int_equal(learn(fdb, neighbour(fdb, key(0), i), 7, 0), FDB_LEARNT);
	const uint64_t far = neighbour(fdb, key(0), FDB_WAYS), mixed = fdb_mix(fdb, far);
	const uint32_t lines = (fdb_slot(fdb, mixed) ^ fdb_find(fdb, far, &w)) / FDB_WAYS;
	assert_int_not_equal(lines, 0);
	const uint64_t same_word = mixed ^ (uint64_t)lines * FDB_WAYS << fdb->shift;
	assert_int_equal(fdb_word(same_word), fdb_word(mixed));
	assert_int_equal(where(fdb, fdb_unmix(fdb, same_word)), FDB_NONE);
	assert_int_equal(learn(fdb, fdb_unmix(fdb, same_word), 8, 0), FDB_LEARNT);
	assert_int_equal(where(fdb, fdb_unmix(fdb, same_word)), 8);
	assert_int_equal(where(fdb, far), 7);
	fdb_free(fdb);
}

static int is_same(void *ctx, uint64_t k, uint32_t w, uint32_t seen)
{
	uint64_t *left = ctx;

	assert_int_equal(seen, 7);
	assert_true(fdb_key_vid(k) >= 1 && fdb_key_vid(k) <= 4094);
	assert_int_equal(w, fdb_key_vid(k) % PORT_MAX);
	*left ^= k;
	return 0;
}

// A table of any size tells the addresses that are in it as they were learnt.
static void addresses_are_told_as_they_were_learnt(void **state)
{
	for (uint32_t max = 16; max <= 1u << 20; max *= 4) {
		const uint32_t n = max < 20000 ? max : 20000;
		struct fdb *fdb = table(max);
		uint64_t random = max, left = 0;
		struct fdb_change change;

		for (uint32_t i = 0; i < n; i++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			const uint16_t vid = (uint16_t)(1 + (random >> 16) % 4094);
			const uint64_t in_vlan = fdb_key(random >> 16 & 0xffffffffffff, vid);

			if (fdb_learn(fdb, in_vlan, vid % PORT_MAX, 7, &change) == FDB_LEARNT)
				left ^= in_vlan ^ change.evicted;
		}
		assert_true(fdb_count(fdb) > n * 9 / 10);
		fdb_foreach(fdb, is_same, &left);
		assert_int_equal(left, 0);
		fdb_free(fdb);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(learns_moves_and_renews),
		cmocka_unit_test(the_vlan_is_part_of_the_key),
		cmocka_unit_test(static_entries_stay),
		cmocka_unit_test(a_taken_lock_is_not_waited_for),
		cmocka_unit_test(sweeps_what_is_selected),
		cmocka_unit_test(a_full_table_holds_what_it_says),
		cmocka_unit_test(a_flood_evicts_the_flooder_only),
		cmocka_unit_test(the_oldest_goes_first),
		cmocka_unit_test(a_late_port_gets_its_share),
		cmocka_unit_test(static_entries_fill_the_table_and_no_more),
		cmocka_unit_test(what_is_learnt_meanwhile_has_no_old_port),
		cmocka_unit_test(nobodys_second_line_is_the_first),
		cmocka_unit_test(two_lines_take_what_wants_one_slot),
		cmocka_unit_test(a_second_line_is_no_first_one),
		cmocka_unit_test(addresses_are_told_as_they_were_learnt),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
