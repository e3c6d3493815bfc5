// SPDX-License-Identifier: BSD-2-Clause
// Sizes and addresses of a guest's rings: a ring that has others than the standard allows does not run.
#include "tests/lib/echo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 256

static struct echo *port;

static int open_port(void **state)
{
	struct port_config c = {.queues = 2};

	port = echo_start(&c);
	return 0;
}

static int close_port(void **state)
{
	echo_stop(port);
	return 0;
}

// The sizes of the rings that a worker may touch, as the port describes them.
struct running {
	uint64_t queue;
	bool from_guest;
	uint64_t size[2 * PORT_QUEUES_MAX]; // 0: does not run
};

static void see_str(void *ctx, const char *key, const char *value)
{
	struct running *r = ctx;

	if (key && !strcmp(key, "direction"))
		r->from_guest = !strcmp(value, "from-guest");
}

// A ring's size comes after its queue and direction.
static void see_num(void *ctx, const char *key, uint64_t value)
{
	struct running *r = ctx;

	if (key && !strcmp(key, "queue"))
		r->queue = value;
	if (key && !strcmp(key, "size") && r->queue < PORT_QUEUES_MAX)
		r->size[2 * r->queue + r->from_guest] = value;
}

static void see_flag(void *ctx, const char *key, bool value)
{
}

// What is behind the queues has sizes too.
static void see_open(void *ctx, const char *key)
{
	struct running *r = ctx;

	if (key && !strcmp(key, "memory"))
		r->queue = PORT_QUEUES_MAX;
}

static void see_close(void *ctx)
{
}

static uint64_t size_of_ring(unsigned ring)
{
	struct running r = {0};
	const struct describer to = {&r, see_str, see_num, see_flag, see_open, see_open, see_close};

	port->port->ops->describe(port->port, &to);
	return r.size[ring];
}

// A guest with one pair, both of whose rings run.
static void start_guest(struct front_guest *g)
{
	const struct front_guest_config c = {.socket = port->path, .ring_size = SIZE};
	unsigned up = port->links_up;

	assert_int_equal(front_guest_init(g, &c), 0);
	assert_int_equal(front_guest_connect(g), 0);
	assert_true(echo_wait(&port->links_up, up + 1));
	echo_round_trip(g, 0, 100, 1);
	assert_int_equal(size_of_ring(0), SIZE);
	assert_int_equal(size_of_ring(1), SIZE);
}

// All messages were acted on, or the VMM was sent away for one of them.
static void wait_handled(struct front_guest *g)
{
	uint64_t features;

	(void)vhost_front_get_features(&g->front, &features);
}

// The ring starts anew with its next kick descriptor: with the new size, or if that is none with the
// one before, or not at all.
static void ring_sizes(void **state)
{
	static const struct {
		uint32_t size;
		bool good;
	} rows[] = {{128, true}, {0, false}, {3, false}, {100, false}, {65536, false},
		{UINT32_MAX, false}};

	for (unsigned i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		const unsigned q = i % 2;
		struct front_guest g;
		uint64_t size;

		start_guest(&g);
		(void)vhost_front_set_vring_num(&g.front, q, rows[i / 2].size);
		(void)vhost_front_set_vring_kick(&g.front, q, g.queues[q].kick);
		wait_handled(&g);
		size = size_of_ring(q);
		if (rows[i / 2].good)
			assert_int_equal(size, rows[i / 2].size);
		else
			assert_true(!size || size == SIZE);
		front_guest_fini(&g);
	}
}

// An area is aligned, and lies in memory to its end.
static void ring_addresses(void **state)
{
	enum { DESC, USED, AVAIL, AREAS };
	static const unsigned align[AREAS] = {16, 4, 2};

	// Which area of which ring, and what is wrong with it: nothing, aligned to half of what it
	// must be, at the end of memory.
	for (unsigned i = 0; i < 2 * AREAS * 3; i++) {
		const unsigned q = i % 2, area = i / 2 % AREAS, fault = i / 2 / AREAS;
		struct front_guest g;

		start_guest(&g);
		uint64_t at[AREAS] = {(uintptr_t)g.queues[q].drv.desc,
			(uintptr_t)g.queues[q].drv.used, (uintptr_t)g.queues[q].drv.avail};
		if (fault == 1)
			at[area] += align[area] / 2;
		if (fault == 2)
			at[area] = (uintptr_t)g.mem[0].map + g.mem[0].size - 16;
		(void)vhost_front_set_vring_addr(&g.front, q, 0, at[DESC], at[USED], at[AVAIL], 0);
		(void)vhost_front_set_vring_kick(&g.front, q, g.queues[q].kick);
		wait_handled(&g);
		assert_int_equal(size_of_ring(q), fault ? 0 : SIZE);
		front_guest_fini(&g);
	}
}

#define PORT_TEST(f) cmocka_unit_test_setup_teardown(f, open_port, close_port)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PORT_TEST(ring_sizes),
		PORT_TEST(ring_addresses),
	};

	return cmocka_run_group_tests(tests, echo_start_eal, NULL);
}
