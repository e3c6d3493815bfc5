// SPDX-License-Identifier: BSD-2-Clause
// Another size of the table of addresses: what is kept, what goes, and frames that go on.
#include "dataplane/port/cycles.h"
#include "dataplane/switch/fdb.h"
#include "dataplane/switch/sw.h"

#include "tests/lib/fake_port.h"
#include "tests/lib/switch_load.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

const struct port_ops *const port_types[] = {&fake_port_ops, &fake_steered_ops, NULL};

static void add_static(struct sw *sw, const char *port, unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++) {
		const uint8_t mac[6] = {2, 0, 0, 1, (uint8_t)(i >> 8), (uint8_t)i};
		assert_int_equal(switch_fdb_add(sw, mac, 1, port, NULL), 0);
	}
}

struct count {
	unsigned n_static, n_learnt, on_quiet;
};

static int count_each(void *ctx, const struct switch_fdb_entry *e)
{
	struct count *c = ctx;

	c->n_static += e->is_static;
	c->n_learnt += !e->is_static;
	c->on_quiet += !e->is_static && strcmp(e->port, "quiet") == 0;
	return 0;
}

static struct count count(struct sw *sw)
{
	struct count c = {0};

	switch_fdb_foreach(sw, count_each, &c);
	return c;
}

// Teaches n addresses from station `from` on, one frame at a time: at most eight are learnt of a
// burst.
static void teach(struct sw *sw, struct port *port, struct port *to, unsigned from, unsigned n)
{
	uint8_t f[64];

	fake_forget(to);
	for (unsigned i = 0; i < n; i++) {
		load_frame(f, (uint8_t)(from + i), (uint8_t)((from + i) >> 8), 0xfe, 0, 0);
		fake_send(port, 0, f, sizeof(f));
		assert_true(fake_wait(to, i + 1));
	}
}

static void known_addresses_move_into_a_larger_table(void **state)
{
	struct sw *sw = load_switch(1);
	struct port *a = load_port(sw, "a", 1), *b = load_port(sw, "b", 1);
	uint32_t n, max;

	assert_int_equal(switch_set_fdb_max(sw, 512, NULL), 0);
	teach(sw, a, b, 1, 200);
	add_static(sw, "b", 0, 100);
	assert_int_equal(switch_set_fdb_max(sw, 100000, NULL), 0);
	switch_fdb_size(sw, &n, &max);
	assert_int_equal(n, 300);
	assert_int_equal(max, 100000);
	assert_int_equal(count(sw).n_static, 100);
	// The same again is nothing; the default is what it is without a word.
	assert_int_equal(switch_set_fdb_max(sw, 100000, NULL), 0);
	assert_int_equal(switch_set_fdb_max(sw, 0, NULL), 0);
	switch_fdb_size(sw, &n, &max);
	assert_int_equal(n, 300);
	assert_int_equal(max, FDB_MAX_DEFAULT);
	switch_free(sw);
}

// Static addresses stay, and so do those of a port within its share; what has no room is told.
static void a_smaller_table_keeps_what_counts(void **state)
{
	struct sw *sw = load_switch(1);
	struct port *a = load_port(sw, "a", 1), *b = load_port(sw, "b", 1),
		    *quiet = load_port(sw, "quiet", 1);
	struct switch_event ev;
	unsigned aged = 0;
	uint32_t n, max;

	teach(sw, quiet, b, 1000, 5);
	teach(sw, a, b, 1, 200);
	add_static(sw, "b", 0, 20);
	while (switch_event_next(sw, &ev))
		;
	assert_int_equal(switch_set_fdb_max(sw, 64, NULL), 0);
	switch_fdb_size(sw, &n, &max);
	assert_int_equal(max, 64);
	assert_true(n <= 64 && n > 40);
	const struct count c = count(sw);
	assert_int_equal(c.n_static, 20);
	assert_int_equal(c.on_quiet, 5);
	while (switch_event_next(sw, &ev))
		aged += ev.kind == EVENT_FDB_AGED;
	assert_int_equal(aged, 225 - n);
	switch_free(sw);
}

static void fewer_than_the_static_ones_is_refused(void **state)
{
	struct sw *sw = load_switch(1);
	struct error err;
	uint32_t n, max;

	load_port(sw, "a", 1);
	add_static(sw, "a", 0, 40);
	assert_int_equal(switch_set_fdb_max(sw, 39, &err), -EINVAL);
	assert_string_equal(err.key, "fdb.max");
	assert_non_null(strstr(err.text, "40 static"));
	assert_int_equal(switch_set_fdb_max(sw, FDB_MAX_LIMIT + 1, &err), -EINVAL);
	switch_fdb_size(sw, &n, &max);
	assert_int_equal(n, 40);
	assert_int_equal(max, FDB_MAX_DEFAULT);
	assert_int_equal(switch_set_fdb_max(sw, 40, &err), 0);
	const struct fdb *full = sw->common.fdb; // a larger one would hold no more
	assert_int_equal(
		switch_fdb_add(sw, (const uint8_t[]){2, 0, 0, 9, 0, 0}, 1, "a", &err), -ENOSPC);
	assert_ptr_equal(sw->common.fdb, full);
	switch_free(sw);
}

// More addresses than a table has room for at first: it grows with them, at the next tick, and knows them all.
static void a_table_grows_with_what_is_known(void **state)
{
	struct sw *sw = load_switch(1);
	struct port *a = load_port(sw, "a", 1), *b = load_port(sw, "b", 1);
	const uint32_t max = 3 * SW_FDB_ROOM;
	struct switch_event ev;
	uint32_t n, before, limit;

	assert_int_equal(switch_set_fdb_max(sw, max, NULL), 0);
	assert_int_equal(sw->common.fdb->room, SW_FDB_ROOM);
	for (unsigned i = 0; i < SW_FDB_ROOM + 300; i += 200) {
		teach(sw, a, b, 1000 + i, 200);
		if (i == 8000)
			switch_tick(sw); // there is room
		while (switch_event_next(sw, &ev))
			;
	}
	switch_fdb_size(sw, &before, &limit);
	assert_true(before > SW_FDB_ROOM); // there were slots for nearly all
	assert_int_equal(sw->common.fdb->room, SW_FDB_ROOM);
	sw->common.fdb->crowded = false; // as if all had found one
	switch_tick(sw);
	assert_true(sw->common.fdb->room > before);
	switch_fdb_size(sw, &n, &limit);
	assert_int_equal(n, before);
	assert_int_equal(limit, max);
	assert_int_equal(count(sw).n_learnt, before);
	assert_false(switch_event_next(sw, &ev)); // nobody was forgotten
	add_static(sw, "b", 0, max - before);
	assert_in_range(fdb_count(sw->common.fdb), max - 100, max); // one may replace another
	switch_free(sw);
}

// An address for which both its lines are full is learnt after the next tick, however few others are known.
static void a_table_grows_where_it_is_crowded(void **state)
{
	struct sw *sw = load_switch(1);
	struct fdb *fdb = sw->common.fdb;
	struct fdb_change change;
	const uint64_t mixed = fdb_mix(fdb, fdb_key(2, 1));
	enum fdb_result r = FDB_LEARNT;
	uint64_t key = 0;
	uint32_t n = 0;

	load_port(sw, "a", 1);
	for (; r == FDB_LEARNT && n <= 2 * FDB_WAYS; n++) {
		// The same first slot and second line, but another address.
		key = fdb_unmix(fdb, mixed ^ (uint64_t)n << 32);
		r = fdb_learn(fdb, key, 0, clock_s(), &change);
	}
	assert_int_equal(r, FDB_FULL);
	assert_int_equal(n, 2 * FDB_WAYS + 1);
	switch_tick(sw);
	assert_ptr_not_equal(sw->common.fdb, fdb);
	assert_int_equal(fdb_count(sw->common.fdb), 2 * FDB_WAYS);
	assert_int_equal(fdb_learn(sw->common.fdb, key, 0, clock_s(), &change), FDB_LEARNT);
	fdb = sw->common.fdb;
	switch_tick(sw); // and no further
	assert_ptr_equal(sw->common.fdb, fdb);
	assert_int_equal(switch_set_fdb_max(sw, 64, NULL), 0);
	for (unsigned i = 0; i < 20; i++)
		sw_grow_fdb(sw);
	assert_in_range(sw->common.fdb->room, 64, 64 * 16);
	switch_free(sw);
}

// A table that is much too small for what is set at once, between two ticks.
static void what_is_set_by_hand_makes_room(void **state)
{
	struct sw *sw = load_switch(1);
	uint32_t n, max;

	load_port(sw, "a", 1);
	add_static(sw, "a", 0, 60000);
	switch_fdb_size(sw, &n, &max);
	assert_int_equal(n, 60000);
	assert_true(sw->common.fdb->room > SW_FDB_ROOM);
	switch_free(sw);
}

static unsigned lines(const char *text, char first)
{
	unsigned n = 0;

	for (const char *p = text; *p; p = strchr(p, '\n') + 1)
		n += *p == first;
	return n;
}

// A port that steers is told of what is not known any more.
static void steering_follows(void **state)
{
	struct sw *sw = load_switch(1);
	struct port *a = load_port(sw, "a", 1), *b = load_port(sw, "b", 1);
	struct switch_port_config c = {
		.port = {.name = "nic", .type = "fake-nic"}, .vlan.access = 1};
	struct switch_event ev;
	uint32_t n, max;

	assert_int_equal(switch_port_add(sw, &c, NULL), 0);
	struct port *nic = fake_find("nic");
	teach(sw, a, b, 1, 100);
	while (switch_event_next(sw, &ev))
		;
	const unsigned told = lines(fake_steered(nic), '+'), taken = lines(fake_steered(nic), '-');
	assert_true(told >= 100);
	assert_int_equal(switch_set_fdb_max(sw, 16, NULL), 0);
	switch_fdb_size(sw, &n, &max);
	assert_int_equal(lines(fake_steered(nic), '-') - taken, 100 - n);
	switch_free(sw);
}

// The receivers never send: were they forgotten, frames would be flooded, and counted twice.
static void nothing_is_lost_while_tables_change(void **state)
{
	struct load l;
	struct switch_event ev;
	unsigned changes = 0;

	load_start(&l, 2, 3000);
	do {
		assert_int_equal(switch_set_fdb_max(l.sw, 32u << changes % 8, NULL), 0);
		while (switch_event_next(l.sw, &ev))
			;
		changes++;
	} while (load_arrived(&l) < load_expected(&l) && changes < 5000);
	print_message("%u changes of the table\n", changes);
	load_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_addresses_move_into_a_larger_table),
		cmocka_unit_test(a_table_grows_with_what_is_known),
		cmocka_unit_test(a_table_grows_where_it_is_crowded),
		cmocka_unit_test(what_is_set_by_hand_makes_room),
		cmocka_unit_test(a_smaller_table_keeps_what_counts),
		cmocka_unit_test(fewer_than_the_static_ones_is_refused),
		cmocka_unit_test(steering_follows),
		cmocka_unit_test(nothing_is_lost_while_tables_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
