// SPDX-License-Identifier: BSD-2-Clause
// API: counters.
#include "control/api.h"

#include "control/daemon.h"

#include <errno.h>
#include <string.h>

void api_stats_add(json_t *to, const struct port_stats *st)
{
	const struct {
		const char *name;
		uint64_t value;
	} counters[] = {
		{"rx_frames", st->rx_frames},
		{"rx_bytes", st->rx_bytes},
		{"tx_frames", st->tx_frames},
		{"tx_bytes", st->tx_bytes},
		{"rx_bursts", st->rx_bursts},
		{"tx_bursts", st->tx_bursts},
		{"notified", st->notified},
		{"suppressed", st->suppressed},
		{"kicks", st->kicks},
		{"copied", st->copied},
		{"waited_ns", st->waited_ns},
		{"cpu_ns", st->cpu_ns},
	};
	uint64_t dropped = 0;
	json_t *drops = json_object();

	for (unsigned i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		json_object_set_new(
			to, counters[i].name, json_integer((json_int_t)counters[i].value));
	for (unsigned r = 0; r < N_DROP_REASONS; r++) {
		dropped += st->drop[r];
		json_object_set_new(
			drops, drop_reason_name(r), json_integer((json_int_t)st->drop[r]));
	}
	json_object_set_new(to, "dropped", json_integer((json_int_t)dropped));
	json_object_set_new(to, "drops", drops);
}

struct show {
	json_t *list;
	const char *port;
};

static int each(void *ctx, const struct switch_port *p)
{
	struct show *s = ctx;

	if (s->port && strcmp(s->port, p->config->port.name) != 0)
		return 0;
	json_t *json = json_pack("{s:s}", "port", p->config->port.name);
	api_stats_add(json, &p->stats);
	json_array_append_new(s->list, json);
	return 0;
}

static int show(struct api_call *call)
{
	struct show s = {json_array(), api_text(call, "port")};

	if (s.port && !running_port_find(call->daemon->running, s.port)) {
		json_decref(s.list);
		return api_fail_rc(
			call, running_no_port(call->daemon->running, s.port, &call->error));
	}
	switch_port_foreach(call->daemon->sw, each, &s);
	call->result = s.list;
	return 0;
}

static int reasons(struct api_call *call)
{
	call->result = json_array();
	for (unsigned r = 0; r < N_DROP_REASONS; r++)
		json_array_append_new(call->result,
			json_pack("{s:s, s:s, s:s}", "reason", drop_reason_name(r), "text",
				drop_reason_text(r), "remedy", drop_reason_remedy(r)));
	return 0;
}

static const struct api_param show_params[] = {
	{"port", API_PORT, false, "only of this port"}, {NULL}};
static const struct api_param show_fields[] = {{"port", API_PORT, true, "name of the port"},
	{"rx_frames", API_NUMBER, true, "frames from the guest or device into the switch"},
	{"rx_bytes", API_NUMBER, true, "their bytes"},
	{"tx_frames", API_NUMBER, true, "frames from the switch to the guest or device"},
	{"tx_bytes", API_NUMBER, true, "their bytes"},
	{"rx_bursts", API_NUMBER, true, "bursts they came in"},
	{"tx_bursts", API_NUMBER, true, "bursts they went in"},
	{"notified", API_NUMBER, true, "notifications to the guest, system calls to the device"},
	{"suppressed", API_NUMBER, true, "notifications that were not needed"},
	{"kicks", API_NUMBER, true, "wake-ups by the guest or device"},
	{"copied", API_NUMBER, true, "bytes copied into the receiver"},
	{"waited_ns", API_NUMBER, true,
		"time in which frames from the port waited for room at their destination, "
		"nanoseconds; see patience-us"},
	{"cpu_ns", API_NUMBER, true,
		"CPU time of workers on frames from the port, nanoseconds; measured in one pass of "
		"64, "
		"chosen at random"},
	{"dropped", API_NUMBER, true, "frames dropped, for all reasons"},
	{"drops", API_GROUP, true, "frames dropped by reason; see stats.reasons"}, {NULL}};
static const struct api_param reason_fields[] = {{"reason", API_TEXT, true, "name of the counter"},
	{"text", API_TEXT, true, "what it means"},
	{"remedy", API_TEXT, true, "what to do about it"}, {NULL}};

const struct api_method api_stats_methods[] = {
	{.name = "stats.show",
		.help = "Counters of the ports that are open, since they were opened.",
		.params = show_params,
		.list = true,
		.result = show_fields,
		.errors = "1 no such port",
		.example = "{\"port\": \"vm1\"}",
		.run = show},
	{.name = "stats.reasons",
		.help = "Why frames are dropped: every reason there is.",
		.list = true,
		.result = reason_fields,
		.example = "{}",
		.run = reasons},
	{NULL},
};
