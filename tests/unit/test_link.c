// SPDX-License-Identifier: BSD-2-Clause
// Links that go down and come back faster than the second hand looks.
#include "dataplane/switch/switch.h"

#include "tests/lib/fake_port.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

const struct port_ops *const port_types[] = {&fake_port_ops, NULL};

static struct port *add(struct sw *sw, const char *name)
{
	struct switch_port_config c = {.port.type = "fake", .vlan.access = 1};
	struct error err = {0};

	snprintf(c.port.name, sizeof(c.port.name), "%s", name);
	assert_int_equal(switch_port_add(sw, &c, &err), 0);
	return fake_find(name);
}

static void send(struct port *port, uint8_t from, uint8_t to)
{
	const uint8_t f[60] = {2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 0x88, 0xb5};

	fake_send(port, 0, f, sizeof(f));
}

// A guest that is there again before anybody forgot what was learnt of it keeps its addresses: no
// frame for it is flooded.
static void a_link_that_is_back_keeps_its_addresses(void **state)
{
	struct switch_config config = {.n_workers = 1, .cores = {-1}};
	struct error err = {0};
	struct sw *sw = NULL;
	uint32_t n, max;

	assert_int_equal(switch_new(&config, &sw, &err), 0);
	struct port *a = add(sw, "a"), *b = add(sw, "b"), *c = add(sw, "c");
	send(a, 1, 2);
	assert_true(fake_wait(b, 1));
	fake_set_link(a, PORT_LINK_DOWN, "gone");
	fake_set_link(a, PORT_LINK_UP, "back");
	send(a, 1, 2);
	assert_true(fake_wait(b, 2));
	assert_true(fake_wait(c, 2)); // nobody knew where 2 lives
	switch_tick(sw);
	switch_fdb_size(sw, &n, &max);
	assert_int_equal(n, 1);
	send(b, 2, 1);
	assert_true(fake_wait(a, 1));
	assert_int_equal(fake_n_received(c), 2);
	// Gone for longer, it has none.
	fake_set_link(a, PORT_LINK_DOWN, "gone");
	switch_tick(sw);
	switch_fdb_size(sw, &n, &max);
	assert_int_equal(n, 1);
	switch_free(sw);
}

// Nothing is taken from a port after switch_end: it waits for the next daemon.
static void an_ending_switch_takes_nothing(void **state)
{
	struct switch_config config = {.n_workers = 1, .cores = {-1}};
	struct error err = {0};
	struct sw *sw = NULL;

	assert_int_equal(switch_new(&config, &sw, &err), 0);
	struct port *a = add(sw, "a"), *b = add(sw, "b");
	send(a, 1, 2);
	assert_true(fake_wait(b, 1));
	switch_end(sw);
	send(a, 1, 2);
	assert_int_equal(switch_port_del(sw, "b", &err), 0);
	assert_int_equal(fake_backlog(a), 1);
	switch_free(sw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_that_is_back_keeps_its_addresses),
		cmocka_unit_test(an_ending_switch_takes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
