// SPDX-License-Identifier: BSD-2-Clause
// API: what is wrong, and what to do.
#include "control/api.h"

#include "control/daemon.h"
#include "control/health.h"
#include "control/now.h"

static int show(struct api_call *call)
{
	const struct daemon *d = call->daemon;

	call->result = health_all(d->health, now_ns(), d->running, d->wakeup, d->metrics);
	return 0;
}

static const struct api_param fields[] = {
	{"about", API_TEXT, true, "a port's name, worker N, fdb, wakeup-us, or metrics"},
	{"code", API_TEXT, true,
		"port-failed, port-pending, port-down, no-guest, no-driver, ring-broken, "
		"queues-unused, "
		"guest-stalled, drops, not-zerocopy, worker-starved, worker-busy, fdb-full, "
		"static-unused, "
		"wakeup-refused or metrics-refused"},
	{"level", API_TEXT, true,
		"error: it does not work; warning: frames are or will be lost; note: it works, but "
		"perhaps not as it is meant"},
	{"text", API_TEXT, true, "what was found"},
	{"remedy", API_TEXT, true, "what to do about it"}, {NULL}};

const struct api_method api_health_methods[] = {
	{.name = "health.show",
		.help = "What is wrong now with ports, workers, the address table, wakeup-us and "
			"metrics. "
			"What counts is what happened in the last 10 to 20 seconds.",
		.list = true,
		.result = fields,
		.example = "{}",
		.run = show},
	{NULL},
};
