// SPDX-License-Identifier: BSD-2-Clause
// The daemon: what its parts share.
#pragma once

#include "control/config.h"
#include "control/events.h"
#include "control/running.h"

#include <stdint.h>

struct event;
struct event_base;
struct fd_store;
struct health;
struct metrics;
struct server;
struct wakeup;

// Control thread only, all of it.
struct daemon {
	struct event_base *base;
	struct sw *sw;
	struct running *running;
	struct events events;
	struct server *server; // NULL: there are no clients
	struct metrics *metrics;
	struct health *health;
	struct wakeup *wakeup;   // NULL: nothing is asked of the kernel
	struct fd_store *store;  // NULL: nothing outlives the daemon
	const char *config_path; // absolute
	bool socket_is_fixed;    // by the command line, whatever the file says
	json_t *saved;           // what ran when the file was read or written last
	json_t *file;            // what the file said then, as it said it
	uint64_t start_ns;       // CLOCK_MONOTONIC
	uint64_t watchdog_us;    // 0: none wanted
	struct event *tick, *watchdog, *switch_events, *signals[4];
};

// Reads the file again and applies the difference; logs what was done or why not.
int daemon_reload(struct daemon *d, struct running_report *report, struct config_error *err);
// Writes what runs to the file. -ESTALE: somebody has changed the file meanwhile, and it is left alone.
int daemon_save(struct daemon *d, struct error *err);
// Whether somebody has changed what the file says since it was read or written last. What is empty, gone, or
// cannot be read holds nothing that could be lost.
bool daemon_file_changed(const struct daemon *d);
