// SPDX-License-Identifier: BSD-2-Clause
// One pass of a worker: which queues have a turn, how often, and whose time it is.
#include "dataplane/switch/worker.h"

#include "dataplane/port/cycles.h"
#include "dataplane/switch/behind.h"
#include "tests/lib/fake_port.h"
#include "tests/lib/switch_load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

const struct port_ops *const port_types[] = {&fake_port_ops, &fake_steered_ops, NULL};

#define PORTS_MAX 4

// A worker without a thread, and a plan of some ports, one queue each.
struct bed {
	struct worker w;
	struct workers shared;
	struct plan *plan;
	struct fdb *fdb;
	struct port *port[PORTS_MAX];
	struct lane lanes[PORTS_MAX][PORT_QUEUES_MAX];
	uint32_t n;
};

static void bed_make(struct bed *bed, uint32_t n, const char *const type[])
{
	const struct vlan_config vlan = {.access = 1};
	struct plan_input in[PORTS_MAX] = {0};

	memset(bed, 0, sizeof(*bed));
	bed->n = n;
	for (unsigned i = 0; i < n; i++) {
		const struct port_upcalls up = {0};
		struct port_config c = {.queues = 1};
		snprintf(c.name, sizeof(c.name), "port%u", i);
		snprintf(c.type, sizeof(c.type), "%s", type[i]);
		assert_int_equal(port_new(&c, &up, &bed->port[i], NULL), 0);
		bed->port[i]->id = i;
		in[i] = (struct plan_input){
			.port = bed->port[i], .lanes = bed->lanes[i], .vlan = &vlan};
	}
	assert_int_equal(fdb_new(16, 16, &bed->fdb), 0);
	const struct plan_common common = {.fdb = bed->fdb};
	bed->plan = plan_new(1, &common, in, n);
	assert_non_null(bed->plan);
	announce_init(&bed->shared.announce);
	bed->shared.cycles_hz = 1000000000; // a tick counts as a nanosecond
	bed->w.shared = &bed->shared;
	assert_int_equal(event_ring_init(&bed->w.events, -1), 0);
	forward_init(&bed->w.forward, 0, false, bed->fdb, &bed->w.events);
}

static void bed_free(struct bed *bed)
{
	event_ring_fini(&bed->w.events);
	fdb_free(bed->fdb);
	announce_fini(&bed->shared.announce);
	plan_free(bed->plan);
	for (unsigned i = 0; i < bed->n; i++)
		port_free(bed->port[i]);
}

// Frames of station `from` on port `from` to station `to`.
static void send(struct bed *bed, uint8_t from, uint8_t to, uint32_t n)
{
	uint8_t f[64];

	for (uint32_t i = 0; i < n; i++) {
		load_frame(f, from, 0, to, 0, i);
		fake_send(bed->port[from], 0, f, sizeof(f));
	}
}

static uint32_t bursts(const struct bed *bed, unsigned i)
{
	return (uint32_t)bed->port[i]->stats[0]->rx_bursts;
}

static void an_announcement_for_a_port_that_left(void **state)
{
	static struct bed bed;

	bed_make(&bed, 0, NULL);
	assert_true(announce_add(&bed.shared.announce, 3, (const uint8_t[6]){2}));
	assert_true(worker_pass(&bed.w, bed.plan));
	assert_false(worker_pass(&bed.w, bed.plan));
	bed_free(&bed);
}

// One port's queue takes long, the other's does not: the time goes to the one, and no more than there was.
static void time_goes_to_the_port_that_takes_it(void **state)
{
	static struct bed bed;
	uint64_t before = 0, passes = 200;

	bed_make(&bed, 2, (const char *[]){"fake", "fake"});
	const struct port_stats *slow = bed.port[0]->stats[0], *quick = bed.port[1]->stats[0];
	fake_set_cost(bed.port[0], 10000);
	uint64_t start = cycles();
	for (uint64_t i = 0; i < passes; i++) {
		send(&bed, 0, 1, 1);
		send(&bed, 1, 0, 1);
		assert_true(worker_pass_timed(&bed.w, bed.plan));
		assert_true(slow->cpu_ns - before >= 10000 * WORKER_TIMED_EACH - 1);
		before = slow->cpu_ns;
		assert_true(bed.w.to_timed >= 1 && bed.w.to_timed < 2 * WORKER_TIMED_EACH);
	}
	uint64_t all = (cycles() - start) * WORKER_TIMED_EACH;
	assert_true(quick->cpu_ns > 0);
	assert_true(slow->cpu_ns + quick->cpu_ns <= all);
	// Other passes count none, nor does one without frames.
	uint64_t other = quick->cpu_ns;
	send(&bed, 0, 1, 1);
	assert_true(worker_pass(&bed.w, bed.plan));
	assert_false(worker_pass_timed(&bed.w, bed.plan));
	assert_int_equal(slow->cpu_ns, before);
	assert_int_equal(quick->cpu_ns, other);
	bed_free(&bed);
}

#define MANY  20u
#define WHOLE (MANY * FRAME_BURST)

// Ticks of so many milliseconds.
static uint64_t ticks(uint64_t ms)
{
	uint64_t ns = clock_ns(CLOCK_MONOTONIC), from = cycles();

	while (clock_ns(CLOCK_MONOTONIC) - ns < 2000000)
		;
	return (cycles() - from) * ms / 2;
}

// A guest's burst takes long: longer than this test is ever kept waiting. A NIC's backlog, which would be lost,
// goes on meanwhile; another guest's waits.
static void a_nic_catches_up_with_slow_guests(void **state)
{
	static struct bed bed;

	bed_make(&bed, 3, (const char *[]){"fake", "fake-nic", "fake"});
	fake_set_cost(bed.port[0], ticks(300));
	send(&bed, 0, 1, 1);
	send(&bed, 1, 0, WHOLE + 5);
	send(&bed, 2, 0, WHOLE);
	assert_true(worker_pass_timed(&bed.w, bed.plan));
	assert_int_equal(bursts(&bed, 1), MANY + 1);
	assert_int_equal(bursts(&bed, 2), 1);
	assert_int_equal(bed.w.counters.frames, 1 + WHOLE + 5 + FRAME_BURST);
	assert_true(bed.port[1]->stats[0]->cpu_ns > 0);
	// Those that came last were told of as well, on both sides.
	assert_int_equal(fake_backlog(bed.port[1]), 0);
	assert_int_equal(fake_calls(bed.port[1], 0).notify_rx, 2);
	assert_int_equal(fake_calls(bed.port[0], 0).notify_tx, 2);
	bed_free(&bed);
}

// What takes long is the NIC alone: its own time gives it no more. Others of this host may take time from a
// pass, so this must be seen once.
static void a_slow_nic_has_one_turn(void **state)
{
	static struct bed bed;
	uint32_t least = 2;

	bed_make(&bed, 2, (const char *[]){"fake", "fake-nic"});
	fake_set_cost(bed.port[1], ticks(50));
	send(&bed, 1, 0, WHOLE);
	for (unsigned i = 0; i < 10 && least > 1; i++) {
		const uint32_t before = bursts(&bed, 1);
		send(&bed, 0, 1, 1);
		assert_true(worker_pass(&bed.w, bed.plan));
		least = bursts(&bed, 1) - before;
	}
	assert_int_equal(least, 1);
	bed_free(&bed);
}

// A burst that is not whole says that there was no more.
static void a_nic_without_backlog_has_one_turn(void **state)
{
	static struct bed bed;

	bed_make(&bed, 2, (const char *[]){"fake", "fake-nic"});
	fake_set_cost(bed.port[0], ticks(50));
	send(&bed, 0, 1, 1);
	send(&bed, 1, 0, FRAME_BURST - 1);
	assert_true(worker_pass(&bed.w, bed.plan));
	assert_int_equal(fake_calls(bed.port[1], 0).rx, 1);
	assert_int_equal(fake_calls(bed.port[1], 0).notify_rx, 1);
	bed_free(&bed);
}

// The time of the others, in equal parts; what a part has left goes to those after it.
static void what_may_go_on(void **state)
{
	static const struct plan_rxq one, two;
	struct behind b = {0};

	behind_add(&b, &one, 100);
	assert_ptr_equal(b.rq[0], &one);
	// The others took 1000 of 1100: another burst of 100 is begun up to 899.
	assert_true(behind_may_go_on(&b, 0, 1100, 0));
	assert_true(behind_may_go_on(&b, 0, 1100, 899));
	assert_false(behind_may_go_on(&b, 0, 1100, 900));
	// They took as long as it did, or less.
	assert_false(behind_may_go_on(&b, 0, 200, 0));
	assert_false(behind_may_go_on(&b, 0, 100, 0));
	// Two have half each, and a burst takes 200 on average.
	behind_add(&b, &two, 300);
	assert_true(behind_may_go_on(&b, 0, 1400, 299));
	assert_false(behind_may_go_on(&b, 0, 1400, 300));
	assert_true(behind_may_go_on(&b, 1, 1400, 300));
	assert_true(behind_may_go_on(&b, 1, 1400, 799));
	assert_false(behind_may_go_on(&b, 1, 1400, 800));
	// More than there are places: the rest waits.
	for (unsigned i = 2; i < BEHIND_MAX + 5; i++)
		behind_add(&b, &one, 0);
	assert_int_equal(b.n, BEHIND_MAX);
	assert_int_equal(b.took, 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_announcement_for_a_port_that_left),
		cmocka_unit_test(time_goes_to_the_port_that_takes_it),
		cmocka_unit_test(a_nic_catches_up_with_slow_guests),
		cmocka_unit_test(a_slow_nic_has_one_turn),
		cmocka_unit_test(a_nic_without_backlog_has_one_turn),
		cmocka_unit_test(what_may_go_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
