// SPDX-License-Identifier: BSD-2-Clause
// The daemon: what its parts are, and the loop they run in.
#pragma once

#include "control/config.h"
#include "control/running.h"
#include "control/server.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

struct metrics;

// Control thread only, all of it.
struct daemon {
	struct event_base *base;
	struct sw *sw;
	struct running *running;
	struct server *server;
	struct metrics *metrics;
	const char *config_path; // absolute
	json_t *saved;           // what the file said when it was read or written last
	uint64_t start_ns;       // CLOCK_MONOTONIC
	uint64_t watchdog_us;    // 0: none wanted
	struct event *tick, *watchdog, *switch_events, *signals[4];
};

// Brings up everything but the switch and the server, which `d` holds: ports, metrics, timers,
// signals. -errno with *err filled.
int daemon_start(struct daemon *d, const struct config *config, struct error *err);
// Runs until SIGTERM or SIGINT.
void daemon_run(struct daemon *d);
// Takes down what daemon_start made. Guests see their link go down.
void daemon_stop(struct daemon *d);

// Reads the file again and applies the difference; logs what was done or why not.
int daemon_reload(struct daemon *d, struct running_report *report, struct config_error *err);

uint64_t daemon_now_ns(void); // CLOCK_MONOTONIC
