// SPDX-License-Identifier: BSD-2-Clause
// What happens in the switch, as log lines and as events for subscribers.
#pragma once

#include "dataplane/switch/switch.h"

#include <jansson.h>
#include <stdbool.h>

// "link-up" and so on; every kind there is, ended by NULL.
extern const char *const event_names[];
bool event_is_known(const char *name);

// One event as subscribers see it. A new reference.
json_t *event_json(const struct switch_event *ev);
// One line of the log.
void event_log(const struct switch_event *ev);

// Where events come from, and who is told beside the log.
struct events {
	struct sw *sw;
	void *ctx;
	void (*publish)(void *ctx, json_t *event);        // borrowed
	void (*port_is_new)(void *ctx, const char *name); // or gone: not the port it was
};

// Logs and publishes what the switch has to say; some of it, the rest in a later turn.
void events_drain(const struct events *e);
// The same for all that waits now.
void events_drain_all(const struct events *e);
// Logs and publishes that the configuration changed.
void events_config(const struct events *e, const char *text);
