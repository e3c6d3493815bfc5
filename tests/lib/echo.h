// SPDX-License-Identifier: BSD-2-Clause
// A vhost-user port whose worker sends every frame back to where it came from, for tests.
#pragma once

#include "dataplane/port/port.h"

#include "tests/lib/front_guest.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define ECHO_WAIT_MS 3000

struct echo {
	struct port *port;
	pthread_t thread;
	bool stop;
	unsigned links_up, links_down, announced, logged;
	enum port_link link; // as told last; who is told takes as long as this does, NULL: no time
	void (*takes_time)(struct echo *e);
	char log[512];  // the last line that the port logged
	uint8_t mac[6]; // the last address that was to be announced
	char dir[64], path[108];
};

// Opens the port (its socket in a directory of its own) and starts the worker. Fails the test if it
// cannot.
struct echo *echo_start(struct port_config *c);
// The same with a keeper, NULL: none; at the path of `c` if it has one.
struct echo *echo_start_kept(struct port_config *c, const struct port_keeper *keeper);
// Stops all, checks that the socket is gone, frees.
void echo_stop(struct echo *e);
// Waits until a counter of the above has reached `want`.
bool echo_wait(const unsigned *counter, unsigned want);
// Drops of the port by one reason, so far.
uint64_t echo_drops(const struct echo *e, enum drop_reason r);

// Fills a frame of `len` bytes from a seed.
void echo_make_frame(uint8_t *f, size_t len, unsigned seed);
// Sends a frame and checks that the very same comes back.
void echo_round_trip(struct front_guest *g, unsigned pair, size_t len, unsigned seed);

// Group setup: starts the EAL once.
int echo_start_eal(void **state);
