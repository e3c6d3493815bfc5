// SPDX-License-Identifier: BSD-2-Clause
// Workers: several at once with shared destinations, moves under load, and sleep.
//
// Senders are threads of the test, ports are in memory, and each receiver checks that the numbers
// of every flow only grow: nothing is doubled or overtaken. Built with -Db_sanitize=thread this is
// the test for races.
#include "dataplane/switch/worker.h"

#include "dataplane/switch/switch.h"
#include "tests/lib/fake_port.h"
#include "tests/lib/switch_load.h"
#include "tests/lib/wait_for.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

const struct port_ops *const port_types[] = {&fake_port_ops, NULL};

static void workers_share_destinations(void **state)
{
	struct load l;

	load_start(&l, 3, 5000);
	load_end(&l);
}

// Queues change hands, ports come and go, addresses are flushed and read, captures start and stop:
// every frame arrives once and in order.
static void nothing_is_lost_while_everything_changes(void **state)
{
	struct load l;
	struct switch_event ev;
	struct switch_worker w;
	struct switch_port p;

	load_start(&l, 2, 3000);
	for (unsigned i = 0; i < 60; i++) {
		char name[16];
		snprintf(name, sizeof(name), "from%u", i % LOAD_SENDERS);
		assert_int_equal(
			switch_port_assign(l.sw, name, i / 4 % LOAD_QUEUES, (i + i / 8) % 2, NULL),
			0);
		struct port *extra = load_port(l.sw, "extra", 1);
		fake_set_forgetful(extra, true);
		assert_int_equal(switch_port_find(l.sw, name, &p), 0);
		assert_int_equal(switch_worker_get(l.sw, i % 2, &w), 0);
		switch_fdb_flush(l.sw, name, 0);
		assert_int_equal(switch_capture_start(l.sw, "to0", CAPTURE_TX, 60, NULL), 0);
		switch_tick(l.sw);
		while (switch_event_next(l.sw, &ev))
			;
		assert_int_equal(switch_capture_stop(l.sw, "to0", NULL), 0);
		assert_int_equal(switch_port_del(l.sw, "extra", NULL), 0);
	}
	load_end(&l);
}

// Two ports send as the same station: it moves between workers all the time.
static void an_address_that_two_claim(void **state)
{
	struct sw *sw = load_switch(2);
	struct port *a = load_port(sw, "a", 1), *b = load_port(sw, "b", 1),
		    *c = load_port(sw, "c", 1);
	struct switch_event ev;
	uint8_t f[64];

	fake_set_forgetful(a, true);
	fake_set_forgetful(b, true);
	fake_set_forgetful(c, true);
	for (uint32_t i = 0; i < 2000; i++) {
		load_frame(f, 1, 0, 1, 0, i);
		fake_send(a, 0, f, sizeof(f));
		fake_send(b, 0, f, sizeof(f));
		load_frame(f, 3, 0, 1, 0, i);
		fake_send(c, 0, f, sizeof(f));
		while (fake_backlog(a) + fake_backlog(b) + fake_backlog(c) > LOAD_BACKLOG)
			sched_yield();
		if (i % 64 == 0)
			while (switch_event_next(sw, &ev))
				;
	}
	while (fake_backlog(a) + fake_backlog(b) + fake_backlog(c))
		sched_yield();
	struct switch_port pa, pb, pc;
	assert_int_equal(switch_port_find(sw, "a", &pa), 0);
	assert_int_equal(switch_port_find(sw, "b", &pb), 0);
	assert_int_equal(switch_port_find(sw, "c", &pc), 0);
	assert_true(pa.stats.tx_frames + pb.stats.tx_frames >= 1000);
	switch_free(sw);
}

static unsigned long long blocked_signals(int tid)
{
	unsigned long long blocked = 0;
	char path[64], line[128];

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	FILE *st = fopen(path, "r");
	while (st && fgets(line, sizeof(line), st))
		sscanf(line, "SigBlk: %llx", &blocked);
	if (st)
		fclose(st);
	return blocked;
}

static void a_worker_has_a_name_and_no_signals(void **state)
{
	struct sw *sw = load_switch(2);
	char path[64], name[32] = "";
	unsigned found = 0;

	// Both are among this process' threads.
	for (int tid = getpid(); tid < getpid() + 2000 && found < 2; tid++) {
		snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
		FILE *f = fopen(path, "r");
		if (!f)
			continue;
		if (fgets(name, sizeof(name), f) && strncmp(name, "weft-worker-", 12) == 0) {
			unsigned long long blocked = blocked_signals(tid);
			assert_true(blocked >> (SIGTERM - 1) & 1);
			assert_true(blocked >> (SIGUSR1 - 1) & 1);
			// But that of lost memory (vhost_fault.h), once the thread has begun.
			for (int i = 0; i < 10000 && blocked >> (SIGBUS - 1) & 1; i++) {
				nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
				blocked = blocked_signals(tid);
			}
			assert_false(blocked >> (SIGBUS - 1) & 1);
			found++;
		}
		fclose(f);
	}
	assert_int_equal(found, 2);
	switch_free(sw);
}

// --- Sleep ---

static void send_one(struct port *port)
{
	uint8_t f[64];

	load_frame(f, 1, 0, 2, 0, 0);
	fake_send(port, 0, f, sizeof(f));
}

static bool asleep(struct sw *sw)
{
	struct switch_worker w;

	assert_int_equal(switch_worker_get(sw, 0, &w), 0);
	return w.asleep;
}

static void an_idle_worker_sleeps_until_it_is_kicked(void **state)
{
	struct sw *sw = load_switch(1);
	struct port *a = load_port(sw, "a", 1), *b = load_port(sw, "b", 1);
	struct switch_worker before, after;
	struct port_stats st;

	for (unsigned i = 0; i < 20; i++) {
		WAIT_FOR(asleep(sw) && fake_calls(a, 0).armed);
		send_one(a);
		assert_true(fake_wait(b, i + 1));
	}
	port_stats_sum(a, &st);
	assert_true(st.kicks >= 20);
	struct fake_calls c = fake_calls(a, 0);
	assert_true(c.disarm + 1 >= c.arm); // awake, it wants no kicks
	// Asleep it does nothing at all, however many guests there are. (A kick may come late.)
	do {
		WAIT_FOR(asleep(sw));
		switch_worker_get(sw, 0, &before);
		nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
		switch_worker_get(sw, 0, &after);
	} while (before.sleeps != after.sleeps);
	assert_int_equal(before.passes, after.passes);
	assert_true(after.sleeps >= 20);
	assert_int_equal(after.frames, 20);
	assert_true(after.busy_passes >= 1);
	assert_true(after.busy_cycles > 0);
	switch_free(sw);
}

static void a_sleeping_worker_sees_a_new_port(void **state)
{
	struct sw *sw = load_switch(1);

	for (unsigned i = 0; i < 20; i++) {
		WAIT_FOR(asleep(sw));
		struct port *a = load_port(sw, "a", 1), *b = load_port(sw, "b", 1);
		send_one(a);
		assert_true(fake_wait(b, 1));
		assert_int_equal(switch_port_del(sw, "a", NULL), 0);
		assert_int_equal(switch_port_del(sw, "b", NULL), 0);
	}
	switch_free(sw);
}

static uint32_t keep_sending;

static void *send_on(void *arg)
{
	while (__atomic_load_n(&keep_sending, __ATOMIC_RELAXED)) {
		if (fake_backlog(arg) < LOAD_BACKLOG)
			send_one(arg);
		else
			sched_yield();
	}
	return NULL;
}

// A queue that one worker armed before it slept is polled by another, which is awake and wants no
// kicks.
static void a_queue_that_moves_is_disarmed(void **state)
{
	const struct switch_config config = {.n_workers = 2, .cores = {-1, -1}, .idle_us = 100000};
	struct switch_worker w;
	pthread_t sender;
	struct sw *sw;

	assert_int_equal(switch_new(&config, &sw, NULL), 0);
	struct port *a = load_port(sw, "a", 1), *b = load_port(sw, "b", 1);
	assert_int_equal(switch_port_assign(sw, "a", 0, 0, NULL), 0);
	assert_int_equal(switch_port_assign(sw, "b", 0, 1, NULL), 0);
	keep_sending = 1;
	assert_int_equal(pthread_create(&sender, NULL, send_on, b), 0);
	WAIT_FOR((switch_worker_get(sw, 0, &w), w.asleep && fake_calls(a, 0).armed));
	assert_int_equal(switch_port_assign(sw, "a", 0, 1, NULL), 0);
	WAIT_FOR(!fake_calls(a, 0).armed);
	__atomic_store_n(&keep_sending, 0, __ATOMIC_RELAXED);
	pthread_join(sender, NULL);
	switch_free(sw);
}

static void a_polling_worker_does_not_sleep(void **state)
{
	struct switch_config config = {.n_workers = 1, .cores = {-1}, .idle_poll = true};
	struct switch_worker w;
	struct sw *sw;

	assert_int_equal(switch_new(&config, &sw, NULL), 0);
	load_port(sw, "a", 1);
	WAIT_FOR((switch_worker_get(sw, 0, &w), w.passes > 100000));
	assert_int_equal(w.sleeps, 0);
	assert_true(w.idle_cycles > 0);
	assert_true(w.cpu_ns > 0);
	switch_free(sw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_share_destinations),
		cmocka_unit_test(nothing_is_lost_while_everything_changes),
		cmocka_unit_test(an_address_that_two_claim),
		cmocka_unit_test(a_worker_has_a_name_and_no_signals),
		cmocka_unit_test(an_idle_worker_sleeps_until_it_is_kicked),
		cmocka_unit_test(a_sleeping_worker_sees_a_new_port),
		cmocka_unit_test(a_queue_that_moves_is_disarmed),
		cmocka_unit_test(a_polling_worker_does_not_sleep),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
