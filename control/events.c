// SPDX-License-Identifier: BSD-2-Clause
// What happens in the switch, as log lines and as events for subscribers.
#include "control/events.h"

#include "control/config_value.h"
#include "control/log.h"
#include "control/now.h"

#include <string.h>

#define EVENTS_PER_TURN 256

const char *const event_names[] = {
	[EVENT_PORT_ADDED] = "port-added",
	[EVENT_PORT_REMOVED] = "port-removed",
	[EVENT_PORT_CHANGED] = "port-changed",
	[EVENT_LINK_UP] = "link-up",
	[EVENT_LINK_DOWN] = "link-down",
	[EVENT_FDB_LEARNT] = "fdb-learnt",
	[EVENT_FDB_MOVED] = "fdb-moved",
	[EVENT_FDB_AGED] = "fdb-aged",
	[EVENT_DROPS] = "drops",
	[EVENT_LOG] = "log",
	[EVENT_LOST] = "lost",
	[EVENT_LOST + 1] = "config",
	NULL,
};

bool event_is_known(const char *name)
{
	for (unsigned i = 0; event_names[i]; i++)
		if (strcmp(event_names[i], name) == 0)
			return true;
	return false;
}

static bool is_address(enum switch_event_kind kind)
{
	return kind == EVENT_FDB_LEARNT || kind == EVENT_FDB_MOVED || kind == EVENT_FDB_AGED;
}

static void set_text(json_t *json, const char *key, const char *text)
{
	json_t *value = json_string(text);

	if (value && *text)
		json_object_set(json, key, value);
	json_decref(value);
}

json_t *event_json(const struct switch_event *ev)
{
	json_t *json = json_pack("{s:s, s:I}", "event", event_names[ev->kind], "time_us",
		(json_int_t)(ev->time_ns / 1000));
	char mac[MAC_TEXT];

	set_text(json, "port", ev->port);
	if (is_address(ev->kind)) {
		set_text(json, "mac", value_mac_text(ev->mac, mac));
		json_object_set_new(json, "vlan", json_integer(ev->vid));
	}
	if (ev->kind == EVENT_FDB_MOVED)
		set_text(json, "old_port", ev->old_port);
	if (ev->kind == EVENT_DROPS) {
		set_text(json, "reason", drop_reason_name(ev->reason));
		set_text(json, "remedy", drop_reason_remedy(ev->reason));
	}
	if (ev->count)
		json_object_set_new(json, "count", json_integer((json_int_t)ev->count));
	if (ev->kind == EVENT_LOG)
		json_object_set_new(json, "level", json_integer(ev->level));
	set_text(json, "text", ev->text);
	return json;
}

void event_log(const struct switch_event *ev)
{
	char mac[MAC_TEXT];

	value_mac_text(ev->mac, mac);
	switch (ev->kind) {
	case EVENT_PORT_ADDED:
	case EVENT_PORT_REMOVED:
	case EVENT_PORT_CHANGED:
		log_msg(LOG_INFO, ev->port, "%s%s%s", event_names[ev->kind], *ev->text ? ": " : "",
			ev->text);
		break;
	case EVENT_LINK_UP:
	case EVENT_LINK_DOWN:
		log_msg(LOG_NOTICE, ev->port, "link %s: %s",
			ev->kind == EVENT_LINK_UP ? "up" : "down", ev->text);
		break;
	case EVENT_FDB_MOVED:
		log_msg(LOG_DEBUG, ev->port, "address %s in VLAN %u moved here from %s", mac,
			ev->vid, ev->old_port);
		break;
	case EVENT_FDB_LEARNT:
	case EVENT_FDB_AGED:
		log_msg(LOG_DEBUG, ev->port, "address %s in VLAN %u was %s", mac, ev->vid,
			ev->kind == EVENT_FDB_LEARNT ? "learnt" : "forgotten");
		break;
	case EVENT_DROPS:
		log_msg(LOG_WARNING, ev->port, "frames are dropped (%s): %s; %s",
			drop_reason_name(ev->reason), drop_reason_text(ev->reason),
			drop_reason_remedy(ev->reason));
		break;
	case EVENT_LOG:
		log_msg(ev->level, ev->port, "%s", ev->text);
		break;
	case EVENT_LOST:
		log_msg(LOG_NOTICE, "", "%llu events were left out", (unsigned long long)ev->count);
		break;
	}
}

static unsigned drain(const struct events *e, unsigned max)
{
	struct switch_event ev;
	unsigned n = 0;

	for (; n < max && switch_event_next(e->sw, &ev); n++) {
		event_log(&ev);
		// A port that is added has no capture yet: one of its name is of its predecessor.
		if (ev.kind == EVENT_PORT_REMOVED || ev.kind == EVENT_PORT_ADDED)
			e->port_is_new(e->ctx, ev.port);
		json_t *json = event_json(&ev);
		if (json)
			e->publish(e->ctx, json);
		json_decref(json);
	}
	return n;
}

void events_drain(const struct events *e)
{
	drain(e, EVENTS_PER_TURN);
}

void events_drain_all(const struct events *e)
{
	// Bounded: workers may say more meanwhile.
	drain(e, 100 * EVENTS_PER_TURN);
}

void events_config(const struct events *e, const char *text)
{
	log_msg(LOG_NOTICE, "", "%s", text);
	json_t *json = json_pack("{s:s, s:I, s:s}", "event", "config", "time_us",
		(json_int_t)now_us(), "text", text);
	if (json)
		e->publish(e->ctx, json);
	json_decref(json);
}
