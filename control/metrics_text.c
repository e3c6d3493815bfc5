// SPDX-License-Identifier: BSD-2-Clause
// The text of the metrics (OpenMetrics 1.0): families in one piece each, counters end in _total.
#include "control/metrics.h"

#include "control/daemon.h"
#include "control/describe.h"
#include "control/server.h"

#include <event2/buffer.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct port_row {
	char name[PORT_NAME_MAX], type[16];
	bool up, open;
	uint32_t mtu, n_rxq;
	uint32_t rxq_worker[PORT_QUEUES_MAX];
	struct port_stats stats;
	json_t *details;
};

struct snapshot {
	struct evbuffer *to;
	struct port_row *rows;
	unsigned n;
};

static void family(
	struct evbuffer *to, const char *name, const char *type, const char *unit, const char *help)
{
	evbuffer_add_printf(to, "# TYPE %s %s\n", name, type);
	if (unit)
		evbuffer_add_printf(to, "# UNIT %s %s\n", name, unit);
	evbuffer_add_printf(to, "# HELP %s %s\n", name, help);
}

// A label's value: names of ports are harmless, but what a guest or a file says is not ours.
static void label(struct evbuffer *to, const char *value)
{
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			evbuffer_add_printf(to, "\\%c", *value);
		else if (*value == '\n')
			evbuffer_add(to, "\\n", 2);
		else
			evbuffer_add(to, value, 1);
	}
}

static void counter(
	struct snapshot *s, const char *name, const char *unit, const char *help, size_t offset)
{
	family(s->to, name, "counter", unit, help);
	for (unsigned i = 0; i < s->n; i++)
		evbuffer_add_printf(s->to, "%s_total{port=\"%s\"} %llu\n", name, s->rows[i].name,
			*(const unsigned long long *)((const char *)&s->rows[i].stats + offset));
}

// A counter that is kept in nanoseconds.
static void seconds(struct snapshot *s, const char *name, size_t offset, const char *help)
{
	family(s->to, name, "counter", "seconds", help);
	for (unsigned i = 0; i < s->n; i++) {
		const char *stats = (const char *)&s->rows[i].stats;
		evbuffer_add_printf(s->to, "%s_total{port=\"%s\"} %.9f\n", name, s->rows[i].name,
			(double)*(const uint64_t *)(stats + offset) * 1e-9);
	}
}

static void write_ports(struct snapshot *s)
{
	static const struct {
		const char *name, *unit, *help;
		size_t offset;
	} counters[] = {
#define C(n, field, unit, help) {"weft_port_" n, unit, help, offsetof(struct port_stats, field)}
		C("rx_frames", rx_frames, NULL, "Frames from the port into the switch."),
		C("rx_bytes", rx_bytes, "bytes", "Bytes from the port into the switch."),
		C("tx_frames", tx_frames, NULL, "Frames from the switch to the port."),
		C("tx_bytes", tx_bytes, "bytes", "Bytes from the switch to the port."),
		C("rx_bursts", rx_bursts, NULL, "Bursts received."),
		C("tx_bursts", tx_bursts, NULL, "Bursts sent."),
		C("notifications", notified, NULL, "Notifications sent to the other side."),
		C("notifications_suppressed", suppressed, NULL,
			"Notifications that were not needed."),
		C("kicks", kicks, NULL, "Wake-ups received."),
		C("copied_bytes", copied, "bytes", "Bytes copied into the receiver."),
#undef C
	};
	family(s->to, "weft_port_up", "gauge", NULL, "Whether the port has a guest or a link.");
	for (unsigned i = 0; i < s->n; i++) {
		evbuffer_add_printf(s->to, "weft_port_up{port=\"%s\",type=\"", s->rows[i].name);
		label(s->to, s->rows[i].type);
		evbuffer_add_printf(s->to, "\"} %d\n", s->rows[i].up);
	}
	family(s->to, "weft_port_mtu_bytes", "gauge", "bytes", "Longest packet of the port.");
	for (unsigned i = 0; i < s->n; i++)
		evbuffer_add_printf(s->to, "weft_port_mtu_bytes{port=\"%s\"} %u\n", s->rows[i].name,
			s->rows[i].mtu);
	family(s->to, "weft_queue_worker", "gauge", NULL, "Worker that owns the receive queue.");
	for (unsigned i = 0; i < s->n; i++)
		for (unsigned q = 0; q < s->rows[i].n_rxq; q++)
			evbuffer_add_printf(s->to,
				"weft_queue_worker{port=\"%s\",queue=\"%u\"} %u\n", s->rows[i].name,
				q, s->rows[i].rxq_worker[q]);
	for (unsigned c = 0; c < sizeof(counters) / sizeof(counters[0]); c++)
		counter(s, counters[c].name, counters[c].unit, counters[c].help,
			counters[c].offset);
	seconds(s, "weft_port_cpu_seconds", offsetof(struct port_stats, cpu_ns),
		"CPU time of workers on frames from the port, measured in one pass of 64.");
	seconds(s, "weft_port_waited_seconds", offsetof(struct port_stats, waited_ns),
		"Time in which frames from the port waited for room at their destination.");
	family(s->to, "weft_port_drops", "counter", NULL, "Frames dropped, by reason.");
	for (unsigned i = 0; i < s->n; i++)
		for (unsigned r = 0; r < N_DROP_REASONS; r++)
			evbuffer_add_printf(s->to,
				"weft_port_drops_total{port=\"%s\",reason=\"%s\"} %llu\n",
				s->rows[i].name, drop_reason_name(r),
				(unsigned long long)s->rows[i].stats.drop[r]);
}

static void write_object(
	struct snapshot *s, const char *name, const char *port, int queue, json_t *object)
{
	const char *key;
	json_t *v;

	json_object_foreach (object, key, v) {
		if (!json_is_integer(v) || strcmp(key, "queue") == 0)
			continue;
		evbuffer_add_printf(s->to, "%s{port=\"%s\"", name, port);
		if (queue >= 0)
			evbuffer_add_printf(s->to, ",queue=\"%d\"", queue);
		evbuffer_add_printf(s->to, ",counter=\"");
		label(s->to, key);
		evbuffer_add_printf(s->to, "\"} %lld\n", (long long)json_integer_value(v));
	}
}

// What an af-xdp port says about its XDP program, and about the rings of each of its sockets.
static void write_xdp(struct snapshot *s)
{
	json_t *v;
	size_t q;

	family(s->to, "weft_xdp_program", "gauge", NULL, "What the XDP program did with frames.");
	for (unsigned i = 0; i < s->n; i++)
		write_object(s, "weft_xdp_program", s->rows[i].name, -1,
			json_object_get(s->rows[i].details, "program"));
	family(s->to, "weft_xdp_queue", "gauge", NULL, "Rings and kernel counters of XDP sockets.");
	for (unsigned i = 0; i < s->n; i++)
		json_array_foreach (json_object_get(s->rows[i].details, "rings"), q, v)
			write_object(s, "weft_xdp_queue", s->rows[i].name, (int)q, v);
}

static void write_workers(struct daemon *d, struct evbuffer *to)
{
	static const struct {
		const char *name, *unit, *help;
		size_t offset;
		double scale;
	} counters[] = {
#define W(n, field, unit, scale, help) \
	{"weft_worker_" n, unit, help, offsetof(struct switch_worker, field), scale}
		W("frames", frames, NULL, 1, "Frames received by the worker."),
		W("passes", passes, NULL, 1, "Turns of the worker's loop."),
		W("busy_passes", busy_passes, NULL, 1, "Turns that found work."),
		W("busy_cycles", busy_cycles, NULL, 1, "Counter ticks with work."),
		W("idle_cycles", idle_cycles, NULL, 1, "Counter ticks without."),
		W("sleeps", sleeps, NULL, 1, "Times the worker went to sleep."),
		W("asleep_seconds", asleep_ns, "seconds", 1e-9, "Time asleep."),
		W("cpu_seconds", cpu_ns, "seconds", 1e-9, "CPU time used."),
#undef W
	};
	struct switch_worker w[WORKERS_MAX] = {0};
	uint32_t n = switch_n_workers(d->sw);

	for (uint32_t i = 0; i < n; i++)
		switch_worker_get(d->sw, i, &w[i]);
	for (unsigned c = 0; c < sizeof(counters) / sizeof(counters[0]); c++) {
		family(to, counters[c].name, "counter", counters[c].unit, counters[c].help);
		for (uint32_t i = 0; i < n; i++) {
			uint64_t v = *(const uint64_t *)((const char *)&w[i] + counters[c].offset);
			if (counters[c].scale == 1)
				evbuffer_add_printf(to, "%s_total{worker=\"%u\"} %llu\n",
					counters[c].name, i, (unsigned long long)v);
			else
				evbuffer_add_printf(to, "%s_total{worker=\"%u\"} %.9f\n",
					counters[c].name, i, (double)v * counters[c].scale);
		}
	}
	family(to, "weft_worker_cycles_per_frame", "gauge", NULL,
		"Busy ticks for each frame since the start.");
	for (uint32_t i = 0; i < n; i++)
		if (w[i].frames)
			evbuffer_add_printf(to,
				"weft_worker_cycles_per_frame{worker=\"%u\"} %.2f\n", i,
				(double)w[i].busy_cycles / (double)w[i].frames);
}

static void write_rest(struct daemon *d, struct evbuffer *to)
{
	uint32_t n, max;

	switch_fdb_size(d->sw, &n, &max);
	family(to, "weft_fdb_addresses", "gauge", NULL, "Addresses known.");
	evbuffer_add_printf(to, "weft_fdb_addresses %u\n", n);
	family(to, "weft_fdb_addresses_max", "gauge", NULL, "Addresses at most.");
	evbuffer_add_printf(to, "weft_fdb_addresses_max %u\n", max);
	family(to, "weft_api_clients", "gauge", NULL, "Clients of the API.");
	evbuffer_add_printf(
		to, "weft_api_clients %u\n", d->server ? server_n_clients(d->server) : 0);
	family(to, "weft_build", "info", NULL, "Version of the daemon.");
	evbuffer_add_printf(to, "weft_build_info{version=\"%s\"} 1\n", WEFT_VERSION);
	evbuffer_add(to, "# EOF\n", 6);
}

void metrics_write(struct daemon *d, struct evbuffer *to)
{
	struct snapshot s = {.to = to};

	s.rows = calloc(running_n_ports(d->running) + 1, sizeof(*s.rows));
	for (unsigned i = 0; s.rows && i < running_n_ports(d->running); i++) {
		const struct port_config *c = &running_port_at(d->running, i)->config.sw.port;
		struct port_row *row = &s.rows[s.n];
		struct switch_port now;
		memcpy(row->name, c->name, sizeof(row->name));
		memcpy(row->type, c->type, sizeof(row->type));
		if (switch_port_find(d->sw, c->name, &now) == 0) {
			row->up = now.link_up;
			row->mtu = now.mtu;
			row->n_rxq = now.n_rxq < PORT_QUEUES_MAX ? now.n_rxq : PORT_QUEUES_MAX;
			memcpy(row->rxq_worker, now.rxq_worker, sizeof(row->rxq_worker));
			row->stats = now.stats;
			if (strcmp(c->type, "af-xdp") == 0)
				row->details = describe_port(d->sw, c->name);
		}
		s.n++;
	}
	write_ports(&s);
	write_xdp(&s);
	for (unsigned i = 0; i < s.n; i++)
		json_decref(s.rows[i].details);
	free(s.rows);
	write_workers(d, to);
	write_rest(d, to);
}
