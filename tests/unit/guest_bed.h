// SPDX-License-Identifier: BSD-2-Clause
// A running switch with some guests on real vhost-user sockets: what tests of guest to guest start from.
#pragma once

#include "dataplane/switch/switch.h"

#include "tests/lib/echo.h"
#include "tests/lib/wait_for.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct guest_bed {
	struct sw *sw;
	char dir[32]; // of the sockets
};

static inline bool guest_bed_is_up(struct guest_bed *b, const char *name)
{
	struct switch_port p;

	return !switch_port_find(b->sw, name, &p) && p.link_up;
}

// Starts a switch with one worker.
static inline void guest_bed_open(struct guest_bed *b)
{
	struct switch_config config = {.n_workers = 1, .cores = {-1}};
	struct error err = {0};

	strcpy(b->dir, "/tmp/weft-test-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	assert_int_equal(switch_new(&config, &b->sw, &err), 0);
}

// Connects guest `i`, made as `g` says but for its socket.
static inline void guest_bed_add(
	struct guest_bed *b, unsigned i, struct front_guest *guest, struct front_guest_config g)
{
	struct switch_port_config c = {.port.type = "vhost-user", .vlan.access = 1};
	struct error err = {0};

	snprintf(c.port.name, sizeof(c.port.name), "g%u", i);
	snprintf(c.port.socket, sizeof(c.port.socket), "%s/%u", b->dir, i);
	g.socket = c.port.socket;
	assert_int_equal(switch_port_add(b->sw, &c, &err), 0);
	assert_int_equal(front_guest_init(guest, &g), 0);
	assert_int_equal(front_guest_connect(guest), 0);
	WAIT_FOR(guest_bed_is_up(b, c.port.name));
}

// After all guests have ended. 0 if nothing is left in the file system.
static inline int guest_bed_close(struct guest_bed *b)
{
	switch_free(b->sw);
	return rmdir(b->dir);
}
