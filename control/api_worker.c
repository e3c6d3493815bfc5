// SPDX-License-Identifier: BSD-2-Clause
// API: workers, and which queues they own.
#include "control/api.h"

#include "control/daemon.h"

#include <errno.h>

struct queues {
	json_t *list;
	uint32_t worker;
};

static int each_port(void *ctx, const struct switch_port *p)
{
	struct queues *s = ctx;

	for (uint32_t q = 0; q < p->n_rxq && q < PORT_QUEUES_MAX; q++)
		if (p->rxq_worker[q] == s->worker && p->rxq_live >> q & 1)
			json_array_append_new(
				s->list, json_pack("{s:s, s:I}", "port", p->config->port.name,
						 "queue", (json_int_t)q));
	return 0;
}

static json_t *worker_json(struct sw *sw, const struct switch_worker *w)
{
	const struct {
		const char *name;
		uint64_t value;
	} counters[] = {
		{"frames", w->frames},
		{"passes", w->passes},
		{"busy_passes", w->busy_passes},
		{"busy_cycles", w->busy_cycles},
		{"idle_cycles", w->idle_cycles},
		{"cycles_hz", w->cycles_hz},
		{"sleeps", w->sleeps},
		{"asleep_ns", w->asleep_ns},
		{"cpu_ns", w->cpu_ns},
	};
	struct queues q = {json_array(), w->id};
	json_t *json = json_pack("{s:I, s:s}", "worker", (json_int_t)w->id, "state",
		w->asleep ? "asleep" : "polling");

	json_object_set_new(json, "core", w->core < 0 ? json_null() : json_integer(w->core));
	switch_port_foreach(sw, each_port, &q);
	json_object_set_new(json, "queues", q.list);
	for (unsigned i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		json_object_set_new(
			json, counters[i].name, json_integer((json_int_t)counters[i].value));
	json_object_set_new(json, "cycles_per_frame",
		w->frames ? json_real((double)w->busy_cycles / (double)w->frames) : json_null());
	return json;
}

static int show(struct api_call *call)
{
	struct switch_worker w;

	call->result = json_array();
	for (uint32_t i = 0; i < switch_n_workers(call->daemon->sw); i++)
		if (switch_worker_get(call->daemon->sw, i, &w) == 0)
			json_array_append_new(call->result, worker_json(call->daemon->sw, &w));
	return 0;
}

static int add(struct api_call *call)
{
	struct running *r = call->daemon->running;
	int rc = running_worker_add(r, api_number(call, "core"), &call->error);

	if (rc < 0)
		return api_fail_rc(call, rc);
	call->result =
		json_pack("{s:I}", "worker", (json_int_t)switch_n_workers(call->daemon->sw) - 1);
	return 0;
}

static int del(struct api_call *call)
{
	int rc =
		running_worker_del(call->daemon->running, api_number(call, "worker"), &call->error);

	return rc < 0 ? api_fail_rc(call, rc) : 0;
}

static int set(struct api_call *call)
{
	const bool core = json_object_get(call->params, "core"),
		   port = json_object_get(call->params, "port"),
		   queue = json_object_get(call->params, "queue");
	struct running *r = call->daemon->running;
	const uint32_t worker = api_number(call, "worker");
	int rc;

	if (core ? port || queue : !port || !queue)
		return api_fail(call, API_E_PARAMS,
			core   ? "core"
			: port ? "queue"
			       : "port",
			"worker.set: expected is either a port and a queue to poll, or a core to "
			"move to");
	if (core)
		rc = running_worker_move(r, worker, api_number(call, "core"), &call->error);
	else
		rc = running_port_assign(
			r, api_text(call, "port"), api_number(call, "queue"), worker, &call->error);
	return rc < 0 ? api_fail_rc(call, rc) : 0;
}

static const struct api_param show_fields[] = {{"worker", API_NUMBER, true, "its number"},
	{"core", API_NUMBER, true, "the core it is pinned to, or null"},
	{"state", API_TEXT, true, "polling or asleep"},
	{"queues", API_LIST, true, "receive queues it owns: port, queue"},
	{"frames", API_NUMBER, true, "frames it received"},
	{"passes", API_NUMBER, true, "turns of its loop"},
	{"busy_passes", API_NUMBER, true, "those that found work"},
	{"busy_cycles", API_NUMBER, true, "ticks spent with work"},
	{"idle_cycles", API_NUMBER, true, "ticks spent without"},
	{"cycles_hz", API_NUMBER, true, "ticks a second"},
	{"sleeps", API_NUMBER, true, "times it went to sleep"},
	{"asleep_ns", API_NUMBER, true, "nanoseconds asleep"},
	{"cpu_ns", API_NUMBER, true, "CPU time it used, nanoseconds"},
	{"cycles_per_frame", API_NUMBER, true, "busy ticks a frame since the start, or null"},
	{NULL}};
static const struct api_param add_params[] = {
	{"core", API_NUMBER, true, "the core to pin it to"}, {NULL}};
static const struct api_param add_fields[] = {{"worker", API_NUMBER, true, "its number"}, {NULL}};
static const struct api_param del_params[] = {
	{"worker", API_NUMBER, true, "its number; those above move down by one"}, {NULL}};
static const struct api_param set_params[] = {{"worker", API_NUMBER, true, "its number"},
	{"port", API_PORT, false, "with queue: the port"},
	{"queue", API_NUMBER, false, "the receive queue that it shall own, from 0"},
	{"core", API_NUMBER, false, "instead: the core that it shall move to"}, {NULL}};

const struct api_method api_worker_methods[] = {
	{.name = "worker.show",
		.help = "Lists the polling threads.",
		.list = true,
		.result = show_fields,
		.example = "{}",
		.run = show},
	{.name = "worker.add",
		.help = "Starts a polling thread. It takes its share of the queues whose workers "
			"were not chosen by workers: of their ports or worker.set. No frame is "
			"lost.",
		.changes = true,
		.params = add_params,
		.result = add_fields,
		.errors = "-32602 there is no such core, or a worker on it",
		.example = "{\"core\": 3}",
		.run = add},
	{.name = "worker.del",
		.help = "Ends a polling thread. Its queues go to the others, without losing a "
			"frame.",
		.changes = true,
		.params = del_params,
		.errors = "5 it is the last",
		.example = "{\"worker\": 1}",
		.run = del},
	{.name = "worker.set",
		.help = "Moves a receive queue to a worker, saved as workers: of the port; or a "
			"worker "
			"to a core.",
		.changes = true,
		.params = set_params,
		.errors = "1 no such port; 4 the queue cannot be moved",
		.example = "{\"port\": \"vm1\", \"queue\": 0, \"worker\": 0}",
		.run = set},
	{NULL},
};
