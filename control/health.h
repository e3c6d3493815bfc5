// SPDX-License-Identifier: BSD-2-Clause
// What is wrong with the ports, the workers and the address table, and what to do: findings.
//
// Counters alone do not say what is wrong now, so they are looked at once a second and remembered for
// a while: what is told is what happened in the last 10 to 20 seconds. Control thread only.
//
// A finding is {about, code, level, text, remedy}. `about` is a port's name, "worker N", "fdb",
// "wakeup-us" or "metrics"; the codes are listed in api_health.c and keep their meaning. Levels: "error", it does not work;
// "warning", frames are or will be lost; "note", it works, but perhaps not as it is meant.
#pragma once

#include "control/running.h"

#include <jansson.h>
#include <stdint.h>

#define HEALTH_WINDOW_S 10

struct health;
struct sw;
struct wakeup;
struct metrics;

struct health *health_new(struct sw *sw);
void health_free(struct health *h);
// To be called about once a second. All times are of CLOCK_MONOTONIC.
void health_tick(struct health *h, uint64_t now_ns);

// Appends what is found of one port; `details` is what describe_port says of it, or NULL.
void health_port(const struct health *h, uint64_t now_ns, const struct running_port *p,
	const json_t *details, json_t *to);
// All findings, those of ports first; `w` and `m` may be NULL. A new reference.
json_t *health_all(const struct health *h, uint64_t now_ns, const struct running *r,
	const struct wakeup *w, const struct metrics *m);

// --- For those who find ---

// A port as it is, and what its counters gained in the last `seconds`.
struct health_view {
	const char *name, *type;
	bool open, up, pending;
	const char *why; // why it is not up
	const json_t *config, *details;
	double seconds;           // 0: nothing is known of the past
	double silent_s;          // since a frame was last delivered to it
	struct port_stats gained; // drops only
};

__attribute__((format(printf, 6, 7))) void health_find(json_t *to, const char *about,
	const char *code, const char *level, const char *remedy, const char *fmt, ...);
// health_port.c: appends the findings.
void health_look_at_port(const struct health_view *v, json_t *to);
