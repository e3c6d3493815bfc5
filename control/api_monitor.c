// SPDX-License-Identifier: BSD-2-Clause
// API: events as they happen.
#include "control/api.h"

#include "common/suggest.h"
#include "control/client.h"
#include "control/daemon.h"
#include "control/events.h"

#include <stdio.h>
#include <string.h>

static int unknown_event(struct api_call *call, const json_t *v)
{
	const char *name = json_string_value(v) ? json_string_value(v) : "";
	struct suggest s;
	char known[160] = "";

	suggest_init(&s, name);
	for (unsigned i = 0; event_names[i]; i++) {
		size_t n = strlen(known);
		suggest_offer(&s, event_names[i]);
		snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "", event_names[i]);
	}
	if (!s.best)
		return api_fail(call, API_E_PARAMS, "events",
			"events: unknown event '%.40s'; known are: %s", name, known);
	return api_fail(call, API_E_PARAMS, "events",
		"events: unknown event '%.40s', did you mean '%s'?", name, s.best);
}

static int subscribe(struct api_call *call)
{
	json_t *events = json_object_get(call->params, "events"), *v;
	const char *port = api_text(call, "port");
	struct client *c = call->client;
	size_t i;

	json_array_foreach (events, i, v)
		if (!json_is_string(v) || !event_is_known(json_string_value(v)))
			return unknown_event(call, v);
	if (json_array_size(events) > 64)
		return api_fail(call, API_E_PARAMS, "events", "events: at most 64");
	if (port && !running_port_find(call->daemon->running, port))
		return api_fail_rc(
			call, running_no_port(call->daemon->running, port, &call->error));
	json_decref(c->events);
	c->events = json_incref(events);
	snprintf(c->port, sizeof(c->port), "%s", port ? port : "");
	c->is_subscribed = true;
	client_set_patience(c);
	return 0;
}

static int unsubscribe(struct api_call *call)
{
	call->client->is_subscribed = false;
	client_set_patience(call->client);
	return 0;
}

static const struct api_param params[] = {
	{"events", API_LIST, false, "kinds wanted; default: all; lost comes in any case"},
	{"port", API_PORT, false, "only events of this port"}, {NULL}};

const struct api_method api_monitor_methods[] = {
	{.name = "monitor.subscribe",
		.help = "Events follow as notifications monitor.event until the client leaves. A "
			"client "
			"that reads too slowly loses events and is told how many (event: lost).",
		.params = params,
		.errors = "1 no such port",
		.example = "{\"events\": [\"link-up\", \"link-down\"]}",
		.run = subscribe},
	{.name = "monitor.unsubscribe",
		.help = "Ends the events.",
		.example = "{}",
		.run = unsubscribe},
	{NULL},
};
