// SPDX-License-Identifier: BSD-2-Clause
// OpenMetrics over HTTP, for Prometheus.
#pragma once

#include "dataplane/switch/switch.h"

struct daemon;
struct evbuffer;
struct metrics;

struct metrics *metrics_new(struct daemon *d);
void metrics_free(struct metrics *m);
// Serves on "ADDRESS:PORT" ("[::1]:9469" for IPv6) instead of where it did; "": nowhere. Where it
// did it goes on if that fails. -errno with *err filled.
int metrics_listen(struct metrics *m, const char *address, struct error *err);
// The same at the start, when the address may not be there yet: says so and goes on, and metrics_tick,
// called about once a second, tries again. metrics_lack: why nothing is served yet, or NULL.
void metrics_listen_sometime(struct metrics *m, const char *address);
void metrics_tick(struct metrics *m);
const char *metrics_lack(const struct metrics *m);
// All metrics as text, ending with # EOF.
void metrics_write(struct daemon *d, struct evbuffer *to);
