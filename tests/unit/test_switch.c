// SPDX-License-Identifier: BSD-2-Clause
// The switch from outside, with running workers: ports, events, addresses, capture, sleep.
#include "dataplane/switch/switch.h"

#include "tests/lib/fake_port.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

const struct port_ops *const port_types[] = {&fake_port_ops, &fake_steered_ops, NULL};

static struct sw *new_switch(uint32_t n_workers)
{
	struct switch_config config = {.n_workers = n_workers};
	struct error err = {0};
	struct sw *sw = NULL;

	for (uint32_t i = 0; i < n_workers; i++)
		config.cores[i] = -1;
	assert_int_equal(switch_new(&config, &sw, &err), 0);
	return sw;
}

static struct switch_port_config port_config(const char *name)
{
	struct switch_port_config c = {.port.type = "fake", .vlan.access = 1};

	snprintf(c.port.name, sizeof(c.port.name), "%s", name);
	return c;
}

static struct port *add(struct sw *sw, const struct switch_port_config *config)
{
	struct error err = {0};

	assert_int_equal(switch_port_add(sw, config, &err), 0);
	return fake_find(config->port.name);
}

static struct port *add_named(struct sw *sw, const char *name)
{
	struct switch_port_config c = port_config(name);

	return add(sw, &c);
}

// A frame of 60 bytes from 02::from to 02::to.
static void send(struct port *port, unsigned from, unsigned to)
{
	uint8_t f[60] = {2, 0, 0, 0, (uint8_t)(to >> 8), (uint8_t)to, 2, 0, 0, 0,
		(uint8_t)(from >> 8), (uint8_t)from, 0x88, 0xb5};

	fake_send(port, 0, f, sizeof(f));
}

static void frames_find_their_way(void **state)
{
	struct sw *sw = new_switch(1);
	struct port *a = add_named(sw, "a"), *b = add_named(sw, "b"), *c = add_named(sw, "c");
	uint32_t n, max;

	send(a, 1, 2); // unknown: flooded
	assert_true(fake_wait(b, 1));
	assert_true(fake_wait(c, 1));
	send(b, 2, 1); // known
	assert_true(fake_wait(a, 1));
	send(a, 1, 2);
	assert_true(fake_wait(b, 2));
	assert_int_equal(fake_n_received(c), 1);
	switch_fdb_size(sw, &n, &max);
	assert_int_equal(n, 2);
	assert_int_equal(max, 65536);
	switch_free(sw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_find_their_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
