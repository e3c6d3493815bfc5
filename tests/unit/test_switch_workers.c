// SPDX-License-Identifier: BSD-2-Clause
// Workers that come, go and change their ways while frames flow: every frame arrives once and in
// order. Built with -Db_sanitize=thread this is the test for races.
#include "dataplane/switch/switch.h"

#include "tests/lib/fake_port.h"
#include "tests/lib/switch_load.h"
#include "tests/lib/wait_for.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

const struct port_ops *const port_types[] = {&fake_port_ops, NULL};

static struct switch_port port(struct sw *sw, const char *name)
{
	struct switch_port p;

	assert_int_equal(switch_port_find(sw, name, &p), 0);
	return p;
}

static struct switch_worker worker(struct sw *sw, uint32_t id)
{
	struct switch_worker w;

	assert_int_equal(switch_worker_get(sw, id, &w), 0);
	return w;
}

static void drain(struct sw *sw)
{
	struct switch_event ev;

	while (switch_event_next(sw, &ev))
		;
}

// A core that this test may use.
static int32_t one_core(void)
{
	cpu_set_t cpus;
	int32_t core = 0;

	assert_int_equal(switch_cpus(&cpus), 0);
	while (!CPU_ISSET((unsigned)core, &cpus))
		core++;
	return core;
}

static void nothing_is_lost_while_workers_come_and_go(void **state)
{
	const int32_t one = one_core();
	const struct {
		uint32_t n;
		int32_t cores[3];
	} sets[] = {{1, {-1}}, {3, {-1, -1, -1}}, {2, {one, -1}}, {1, {one}}, {2, {-1, -1}},
		{1, {-1}}, {3, {-1, one, -1}}};
	struct load l;
	unsigned changes = 0;

	// A fast machine is through with one load before many changes are made.
	while (changes < 3 * (sizeof(sets) / sizeof(sets[0]))) {
		load_start(&l, 1, 2000);
		do {
			const unsigned i = changes++ % (sizeof(sets) / sizeof(sets[0]));
			assert_int_equal(
				switch_set_workers(l.sw, sets[i].cores, sets[i].n, NULL), 0);
			assert_int_equal(switch_n_workers(l.sw), sets[i].n);
			for (uint32_t w = 0; w < sets[i].n; w++)
				assert_int_equal(worker(l.sw, w).core, sets[i].cores[w]);
			drain(l.sw);
			sched_yield();
		} while (load_arrived(&l) < load_expected(&l) && changes < 2000);
		load_end(&l);
	}
	print_message("%u changes of workers\n", changes);
}

// A capture has a ring for workers that are not there yet; what they learn is told by those gone.
static void beside_captures_moves_and_other_tables(void **state)
{
	struct load l;
	char name[16];

	load_start(&l, 2, 1500);
	for (unsigned i = 0; i < 30; i++) {
		const uint32_t n = 1 + i % 3;
		assert_int_equal(switch_capture_start(l.sw, "to0", CAPTURE_TX, 60, NULL), 0);
		assert_int_equal(
			switch_set_workers(l.sw, (const int32_t[]){-1, -1, -1}, n, NULL), 0);
		snprintf(name, sizeof(name), "from%u", i % LOAD_SENDERS);
		assert_int_equal(switch_port_assign(l.sw, name, i % 2, i % n, NULL), 0);
		assert_int_equal(switch_set_idle(l.sw, i % 2, 1 + i, NULL), 0);
		assert_int_equal(switch_set_fdb_max(l.sw, 16 << i % 4, NULL), 0);
		switch_tick(l.sw);
		drain(l.sw);
		assert_int_equal(switch_capture_stop(l.sw, "to0", NULL), 0);
	}
	load_end(&l);
}

static void queues_are_shared_out(void **state)
{
	struct sw *sw = load_switch(1);
	static const int32_t any[3] = {-1, -1, -1};

	for (unsigned i = 0; i < 3; i++) {
		char name[8];
		snprintf(name, sizeof(name), "p%u", i);
		load_port(sw, name, 2);
	}
	assert_int_equal(worker(sw, 0).n_rxq, 6);
	assert_int_equal(switch_set_workers(sw, any, 3, NULL), 0);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(worker(sw, i).n_rxq, 2);
	// What was chosen stays while its worker does.
	assert_int_equal(switch_port_assign(sw, "p0", 0, 0, NULL), 0);
	assert_int_equal(switch_port_assign(sw, "p0", 1, 0, NULL), 0);
	assert_int_equal(switch_set_workers(sw, any, 2, NULL), 0);
	assert_int_equal(worker(sw, 0).n_rxq + worker(sw, 1).n_rxq, 6);
	assert_int_equal(port(sw, "p0").rxq_worker[0], 0);
	assert_int_equal(port(sw, "p0").rxq_worker[1], 0);
	assert_int_equal(switch_port_assign(sw, "p1", 0, 0, NULL), 0);
	assert_int_equal(switch_port_assign(sw, "p1", 1, 0, NULL), 0);
	assert_int_equal(switch_port_assign(sw, "p2", 0, 0, NULL), 0);
	assert_int_equal(switch_port_assign(sw, "p2", 1, 0, NULL), 0);
	assert_int_equal(switch_set_workers(sw, any, 3, NULL), 0);
	assert_int_equal(worker(sw, 0).n_rxq, 6);
	// Until they need not.
	switch_port_unpin(sw, "p1", 0);
	switch_port_unpin(sw, "p2", 1);
	assert_int_equal(switch_set_workers(sw, any, 2, NULL), 0);
	assert_int_equal(switch_set_workers(sw, any, 3, NULL), 0);
	assert_int_equal(port(sw, "p2").rxq_worker[0], 0);
	assert_int_equal(worker(sw, 0).n_rxq, 3);
	switch_free(sw);
}

// Numbers are places in the list; who stays keeps its counters.
static void workers_are_known_by_their_cores(void **state)
{
	struct sw *sw = load_switch(1);
	struct port *a = load_port(sw, "a", 1), *b = load_port(sw, "b", 1);
	const int32_t one = one_core();
	uint8_t f[64];

	assert_int_equal(switch_set_workers(sw, (const int32_t[]){one, -1}, 2, NULL), 0);
	assert_int_equal(switch_port_assign(sw, "a", 0, 1, NULL), 0);
	load_frame(f, 1, 0, 2, 0, 0);
	fake_send(a, 0, f, sizeof(f));
	assert_true(fake_wait(b, 1));
	WAIT_FOR(worker(sw, 1).frames == 1);
	assert_int_equal(switch_set_workers(sw, (const int32_t[]){-1, one}, 2, NULL), 0);
	assert_int_equal(worker(sw, 0).frames, 1);
	assert_int_equal(worker(sw, 0).core, -1);
	assert_int_equal(port(sw, "a").rxq_worker[0], 0);
	// Another one on another core takes over.
	assert_int_equal(switch_set_workers(sw, (const int32_t[]){one}, 1, NULL), 0);
	assert_int_equal(port(sw, "a").rxq_worker[0], 0);
	fake_send(a, 0, f, sizeof(f));
	assert_true(fake_wait(b, 2));
	assert_int_equal(port(sw, "a").stats.rx_frames, 2);
	switch_free(sw);
}

static void what_cannot_be_changes_nothing(void **state)
{
	struct sw *sw = load_switch(2);
	const int32_t one = one_core();
	int32_t many[WORKERS_MAX + 1];
	struct error err;

	for (unsigned i = 0; i <= WORKERS_MAX; i++)
		many[i] = -1;
	load_port(sw, "a", 2);
	assert_int_equal(switch_set_workers(sw, (const int32_t[]){one, one}, 2, &err), -EINVAL);
	assert_int_equal(switch_set_workers(sw, (const int32_t[]){-1, 1023}, 2, &err), -EINVAL);
	assert_string_equal(err.key, "workers.core");
	assert_int_equal(switch_set_workers(sw, many, WORKERS_MAX + 1, &err), -EINVAL);
	assert_int_equal(switch_n_workers(sw), 2);
	assert_int_equal(switch_set_workers(sw, many, WORKERS_MAX, &err), 0);
	// All slots are taken: one for another core has to wait until one is gone.
	many[3] = one;
	assert_int_equal(switch_set_workers(sw, many, WORKERS_MAX, &err), -ENOSPC);
	assert_int_equal(worker(sw, 3).core, -1);
	assert_int_equal(switch_set_workers(sw, many, WORKERS_MAX - 1, &err), -ENOSPC);
	assert_int_equal(switch_set_workers(sw, many, 1, &err), 0);
	assert_int_equal(worker(sw, 0).n_rxq, 2);
	// None named: one, on a core that is found.
	assert_int_equal(switch_set_workers(sw, many, 0, &err), 0);
	assert_int_equal(switch_n_workers(sw), 1);
	assert_true(worker(sw, 0).core >= 0);
	switch_free(sw);
}

static void idle_changes_at_once(void **state)
{
	struct sw *sw = load_switch(1);

	load_port(sw, "a", 1);
	WAIT_FOR(worker(sw, 0).asleep);
	assert_int_equal(switch_set_idle(sw, true, 0, NULL), 0);
	WAIT_FOR(!worker(sw, 0).asleep);
	const uint64_t sleeps = worker(sw, 0).sleeps, passes = worker(sw, 0).passes;
	WAIT_FOR(worker(sw, 0).passes > passes + 100000);
	assert_int_equal(worker(sw, 0).sleeps, sleeps);
	assert_int_equal(switch_set_idle(sw, false, 100, NULL), 0);
	WAIT_FOR(worker(sw, 0).asleep);
	switch_free(sw);
}

// A guest that arrives by migration is announced by whoever is the first worker now.
static void announcements_go_on(void **state)
{
	struct sw *sw = load_switch(2);
	struct port *a = load_port(sw, "a", 1), *b = load_port(sw, "b", 1);
	const int32_t one = one_core();

	for (unsigned i = 1; i <= 8; i++) {
		const uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)i};
		assert_int_equal(
			switch_set_workers(sw,
				i % 2 ? (const int32_t[]){one, -1} : (const int32_t[]){-1, one},
				1 + i / 2 % 2, NULL),
			0);
		WAIT_FOR(worker(sw, 0).asleep);
		a->up.announce(a->up.ctx, a, mac);
		assert_true(fake_wait(b, i));
	}
	switch_free(sw);
}

// Bug: a new worker that was to announce did so at once, while the old one was still in a pass in which it had
// taken itself for the only one: both wrote the same transmit queue, and none had locked it.
static void announcements_wait_for_the_last_pass_of_old(void **state)
{
	struct sw *sw = load_switch(1);
	struct port *a = load_port(sw, "a", 1), *b = load_port(sw, "b", 1);
	const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	uint8_t f[64];

	assert_int_equal(switch_set_idle(sw, true, 0, NULL), 0);
	fake_set_slow_tx(b, worker(sw, 0).cycles_hz / 2);
	load_frame(f, 1, 0, 2, 0, 0);
	fake_send(a, 0, f, sizeof(f));
	assert_true(fake_wait(b, 1)); // and tx goes on for half a second
	a->up.announce(a->up.ctx, a, mac);
	assert_int_equal(switch_set_workers(sw, (const int32_t[]){one_core()}, 1, NULL), 0);
	assert_true(fake_wait(b, 2));
	switch_free(sw);
}

// Frames that wait for a minute, and then need not: patience changes while they do.
static void patience_changes_while_frames_wait(void **state)
{
	struct sw *sw = load_switch(1);
	struct port *a = load_port(sw, "a", 1), *b = load_port(sw, "b", 1);
	uint8_t f[64];

	assert_int_equal(switch_set_patience(sw, 60000000, NULL), 0);
	load_frame(f, 2, 0, 1, 0, 0); // says where b's station is
	fake_send(b, 0, f, sizeof(f));
	WAIT_FOR(port(sw, "b").stats.rx_frames == 1);
	load_frame(f, 1, 0, 2, 0, 0);
	fake_send(a, 0, f, sizeof(f));
	assert_true(fake_wait(b, 1));
	fake_set_room(b, 0, 0);
	for (unsigned i = 0; i < 10; i++)
		fake_send(a, 0, f, sizeof(f));
	WAIT_FOR(port(sw, "a").stats.waited_ns > 0);
	assert_int_equal(fake_backlog(a), 10);
	assert_false(worker(sw, 0).asleep);
	assert_int_equal(switch_set_patience(sw, 0, NULL), 0);
	WAIT_FOR(port(sw, "b").stats.drop[DROP_ring_full] == 10);
	drain(sw);
	switch_free(sw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patience_changes_while_frames_wait),
		cmocka_unit_test(nothing_is_lost_while_workers_come_and_go),
		cmocka_unit_test(beside_captures_moves_and_other_tables),
		cmocka_unit_test(queues_are_shared_out),
		cmocka_unit_test(workers_are_known_by_their_cores),
		cmocka_unit_test(what_cannot_be_changes_nothing),
		cmocka_unit_test(idle_changes_at_once),
		cmocka_unit_test(announcements_go_on),
		cmocka_unit_test(announcements_wait_for_the_last_pass_of_old),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
