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
// All metrics as text, ending with # EOF.
void metrics_write(struct daemon *d, struct evbuffer *to);
