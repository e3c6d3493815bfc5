// SPDX-License-Identifier: BSD-2-Clause
// API: ports.
#include "control/api.h"

#include "control/daemon.h"
#include "control/describe.h"
#include "control/health.h"
#include "control/now.h"

#include <errno.h>
#include <string.h>

static json_t *queues_json(const struct switch_port *p)
{
	json_t *list = json_array();

	for (uint32_t q = 0; q < p->n_rxq && q < PORT_QUEUES_MAX; q++)
		if (p->rxq_live >> q & 1)
			json_array_append_new(
				list, json_pack("{s:I, s:I}", "queue", (json_int_t)q, "worker",
					      (json_int_t)p->rxq_worker[q]));
	return list;
}

static json_t *port_json(struct daemon *d, const struct running_port *p, bool details)
{
	const char *name = p->config.sw.port.name;
	const char *why = p->reason.text;
	struct switch_port now;
	json_t *json = json_pack("{s:s, s:s}", "name", name, "type", p->config.sw.port.type);
	bool is_open = switch_port_find(d->sw, name, &now) == 0;

	json_t *more = is_open && (details || !now.link_up) ? describe_port(d->sw, name) : NULL;

	// The port itself knows better what it waits for than the switch does.
	if (is_open && !p->is_pending) {
		const char *own = json_string_value(json_object_get(more, "why"));
		why = !now.link_up && own && *own ? own : now.link_why;
	}
	json_object_set_new(json, "state",
		json_string(!is_open      ? "failed"
			    : now.link_up ? "up"
					  : "down"));
	json_t *text = json_string(why ? why : "");
	json_object_set_new(json, "why", text ? text : json_string(""));
	json_object_set_new(json, "pending", json_boolean(p->is_pending));
	json_object_set(json, "config", p->config.json);
	if (details) {
		json_t *found = json_array();
		health_port(d->health, now_ns(), p, more, found);
		json_object_set_new(json, "health", found);
	}
	if (!is_open)
		return json; // and nothing to describe
	json_object_set_new(json, "id", json_integer(now.id));
	json_object_set_new(json, "mtu", json_integer(now.mtu));
	json_object_set_new(json, "rx_queues", queues_json(&now));
	api_stats_add(json, &now.stats);
	if (details && more)
		json_object_set(json, "details", more);
	json_decref(more);
	return json;
}

static int show(struct api_call *call)
{
	const struct running *r = call->daemon->running;
	const char *name = api_text(call, "name");

	call->result = json_array();
	for (unsigned i = 0; i < running_n_ports(r); i++) {
		const struct running_port *p = running_port_at(r, i);
		if (!name || strcmp(p->config.sw.port.name, name) == 0)
			json_array_append_new(
				call->result, port_json(call->daemon, p, name != NULL));
	}
	if (name && json_array_size(call->result) == 0) {
		json_decref(call->result);
		call->result = NULL;
		return api_fail_rc(call, running_no_port(r, name, &call->error));
	}
	return 0;
}

static int answer_port(struct api_call *call, const char *name)
{
	call->result =
		port_json(call->daemon, running_port_find(call->daemon->running, name), false);
	return 0;
}

static int add(struct api_call *call)
{
	int rc = running_port_add(call->daemon->running, call->params, &call->error);

	if (rc < 0)
		return api_fail_rc(call, rc);
	return answer_port(call, api_text(call, "name"));
}

static int set(struct api_call *call)
{
	const char *name = api_text(call, "name");
	int rc = running_port_set(call->daemon->running, name, call->params, &call->error);

	if (rc < 0)
		return api_fail_rc(call, rc);
	return answer_port(call, name);
}

static int del(struct api_call *call)
{
	int rc = running_port_del(call->daemon->running, api_text(call, "name"), &call->error);

	return rc < 0 ? api_fail_rc(call, rc) : 0;
}

static const struct api_param one_port[] = {
	{"name", API_PORT, false, "only this port, and with its details"}, {NULL}};
static const struct api_param named[] = {{"name", API_PORT, true, "name of the port"}, {NULL}};
static const struct api_param added[] = {{"name", API_PORT, true, "name of the port"},
	{"type", API_TEXT, true, "vhost-user, af-xdp or tap"}, {NULL}};
static const struct api_param port_fields[] = {{"name", API_PORT, true, "name of the port"},
	{"type", API_TEXT, true, "vhost-user, af-xdp or tap"},
	{"state", API_TEXT, true,
		"up; down: no guest, or no link; failed: it could not be opened and is tried "
		"again"},
	{"why", API_TEXT, true, "why it is in this state"},
	{"pending", API_FLAG, true, "the configuration could not be applied yet; why says why"},
	{"config", API_GROUP, true, "its keys in the configuration"},
	{"health", API_LIST, false, "with name: what is wrong with it, as health.show has it"},
	{"id", API_NUMBER, false, "index in the switch"},
	{"mtu", API_NUMBER, false, "longest packet"},
	{"rx_queues", API_LIST, false, "receive queues: queue, worker"},
	{"rx_frames", API_NUMBER, false, "and the other counters of stats.show"},
	{"details", API_GROUP, false,
		"with name: guest, features, queues, memory or mode, as the type has them"},
	{NULL}};

const struct api_method api_port_methods[] = {
	{.name = "port.show",
		.help = "Lists ports: state, configuration, counters.",
		.params = one_port,
		.list = true,
		.result = port_fields,
		.errors = "1 no such port",
		.example = "{\"name\": \"vm1\"}",
		.run = show},
	{.name = "port.add",
		.help = "Adds a port. Refused as a whole if it cannot be opened.",
		.changes = true,
		.port_keys = true,
		.params = added,
		.result = port_fields,
		.errors = "2 there is one already; 4 it cannot be opened",
		.example = "{\"name\": \"vm2\", \"type\": \"vhost-user\", \"socket\": "
			   "\"/run/weft/vm2.sock\", \"vlan\": {\"access\": 10}}",
		.run = add},
	{.name = "port.set",
		.help = "Changes keys of a port; null gives a key its default. What can change in "
			"place loses no frame; another type, socket or device replaces the port.",
		.changes = true,
		.port_keys = true,
		.params = named,
		.result = port_fields,
		.errors = "1 no such port; 4 it cannot be changed so: it stays as it was",
		.example = "{\"name\": \"vm2\", \"vlan\": {\"trunk\": [\"10\", \"20-30\"], "
			   "\"native\": 1}, \"mtu\": null}",
		.run = set},
	{.name = "port.del",
		.help = "Removes a port, its addresses and its static addresses.",
		.changes = true,
		.params = named,
		.errors = "1 no such port",
		.example = "{\"name\": \"vm2\"}",
		.run = del},
	{NULL},
};
