// SPDX-License-Identifier: BSD-2-Clause
// A switch with running workers and fake ports: what the tests of the switch from outside start from.
#pragma once

#include "dataplane/switch/switch.h"

#include "tests/lib/fake_port.h"
#include "tests/lib/wait_for.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static inline struct sw *new_switch(uint32_t n_workers)
{
	struct switch_config config = {.n_workers = n_workers};
	struct error err = {0};
	struct sw *sw = NULL;

	for (uint32_t i = 0; i < n_workers; i++)
		config.cores[i] = -1;
	assert_int_equal(switch_new(&config, &sw, &err), 0);
	return sw;
}

static inline struct switch_port_config port_config(const char *name)
{
	struct switch_port_config c = {.port.type = "fake", .vlan.access = 1};

	snprintf(c.port.name, sizeof(c.port.name), "%s", name);
	return c;
}

static inline struct port *add(struct sw *sw, const struct switch_port_config *config)
{
	struct error err = {0};

	assert_int_equal(switch_port_add(sw, config, &err), 0);
	return fake_find(config->port.name);
}

static inline struct port *add_named(struct sw *sw, const char *name)
{
	struct switch_port_config c = port_config(name);

	return add(sw, &c);
}

// A frame of 60 bytes from 02::from to 02::to.
static inline void send(struct port *port, unsigned from, unsigned to)
{
	uint8_t f[60] = {2, 0, 0, 0, (uint8_t)(to >> 8), (uint8_t)to, 2, 0, 0, 0,
		(uint8_t)(from >> 8), (uint8_t)from, 0x88, 0xb5};

	fake_send(port, 0, f, sizeof(f));
}

static inline int find_entry(void *ctx, const struct switch_fdb_entry *e)
{
	struct switch_fdb_entry *want = ctx;

	if (memcmp(want->mac, e->mac, 6) != 0 || want->vid != e->vid)
		return 0;
	*want = *e;
	return 1;
}

// The entry of 02::`last` in a VLAN, if there is one.
static inline bool entry(struct sw *sw, uint8_t last, uint16_t vid, struct switch_fdb_entry *e)
{
	*e = (struct switch_fdb_entry){.mac = {2, 0, 0, 0, 0, last}, .vid = vid};
	return switch_fdb_foreach(sw, find_entry, e) == 1;
}
