// SPDX-License-Identifier: BSD-2-Clause
// What is wrong with the switch: remembering counters, and looking at what they gained.
#include "control/health.h"

#include "control/config_value.h"
#include "control/describe.h"
#include "control/metrics.h"
#include "control/wakeup.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS UINT64_C(1000000000)

// Counters are compared with those of `old`, which is 10 to 20 seconds old; then `mid` takes its place.
struct past_port {
	char name[PORT_NAME_MAX];
	uint32_t id;
	bool seen;               // at this tick
	uint64_t last_tx, tx_ns; // its tx_frames, and when they last grew
	uint64_t old_ns, mid_ns;
	struct port_stats old, mid;
};

struct past_worker {
	uint64_t old_ns, mid_ns;
	struct switch_worker old, mid;
};

struct health {
	struct sw *sw;
	uint64_t now_ns;
	unsigned n_ports;
	struct past_port ports[PORT_MAX];
	struct past_worker workers[WORKERS_MAX];
};

struct health *health_new(struct sw *sw)
{
	struct health *h = calloc(1, sizeof(*h));

	if (h)
		h->sw = sw;
	return h;
}

void health_free(struct health *h)
{
	free(h);
}

// --- Remembering ---

static struct past_port *past_of(const struct health *h, const char *name)
{
	for (unsigned i = 0; i < h->n_ports; i++)
		if (strcmp(h->ports[i].name, name) == 0)
			return (struct past_port *)&h->ports[i];
	return NULL;
}

static bool is_due(const struct health *h, uint64_t mid_ns)
{
	return h->now_ns - mid_ns >= HEALTH_WINDOW_S * NS;
}

static int each_port(void *ctx, const struct switch_port *p)
{
	struct health *h = ctx;
	struct past_port *past = past_of(h, p->config->port.name);

	// One of the same name that was replaced counts from 0 again.
	if (!past || past->id != p->id || p->stats.rx_frames < past->mid.rx_frames) {
		if (!past && h->n_ports == PORT_MAX)
			return 0;
		if (!past)
			past = &h->ports[h->n_ports++];
		*past = (struct past_port){.id = p->id,
			.tx_ns = h->now_ns,
			.old_ns = h->now_ns,
			.mid_ns = h->now_ns,
			.old = p->stats,
			.mid = p->stats};
		memcpy(past->name, p->config->port.name, sizeof(past->name));
	}
	past->seen = true;
	if (p->stats.tx_frames != past->last_tx) {
		past->last_tx = p->stats.tx_frames;
		past->tx_ns = h->now_ns;
	}
	if (is_due(h, past->mid_ns)) {
		past->old = past->mid;
		past->old_ns = past->mid_ns;
		past->mid = p->stats;
		past->mid_ns = h->now_ns;
	}
	return 0;
}

static void remember_worker(struct health *h, uint32_t i)
{
	struct past_worker *past = &h->workers[i];
	struct switch_worker w;

	if (switch_worker_get(h->sw, i, &w) < 0)
		return;
	if (w.core != past->mid.core || w.passes < past->mid.passes || !past->mid_ns)
		*past = (struct past_worker){h->now_ns, h->now_ns, w, w};
	if (is_due(h, past->mid_ns))
		*past = (struct past_worker){past->mid_ns, h->now_ns, past->mid, w};
}

void health_tick(struct health *h, uint64_t now_ns)
{
	h->now_ns = now_ns;
	for (unsigned i = 0; i < h->n_ports; i++)
		h->ports[i].seen = false;
	switch_port_foreach(h->sw, each_port, h);
	for (unsigned i = 0; i < h->n_ports;)
		if (h->ports[i].seen)
			i++;
		else
			h->ports[i] = h->ports[--h->n_ports];
	for (uint32_t i = 0; i < WORKERS_MAX; i++)
		if (i < switch_n_workers(h->sw))
			remember_worker(h, i);
		else
			h->workers[i].mid_ns = 0;
}

// --- Finding ---

void health_find(json_t *to, const char *about, const char *code, const char *level,
	const char *remedy, const char *fmt, ...)
{
	char text[700];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_t *said = json_string(text);
	json_array_append_new(to,
		json_pack("{s:s, s:s, s:s, s:o, s:s}", "about", about, "code", code, "level", level,
			"text", said ? said : json_string("(not UTF-8)"), "remedy", remedy));
}

static void gain(const struct port_stats *now, const struct port_stats *old, struct port_stats *to)
{
	*to = (struct port_stats){0};
	for (unsigned r = 0; r < N_DROP_REASONS; r++)
		to->drop[r] = now->drop[r] - old->drop[r];
}

void health_port(const struct health *h, uint64_t now_ns, const struct running_port *p,
	const json_t *details, json_t *to)
{
	const char *name = p->config.sw.port.name;
	const struct past_port *past = past_of(h, name);
	const char *own = json_string_value(json_object_get(details, "why"));
	struct health_view v = {.name = name,
		.type = p->config.sw.port.type,
		.pending = p->is_pending,
		.why = p->reason.text,
		.config = p->config.json,
		.details = details};
	struct switch_port now;

	v.open = switch_port_find(h->sw, name, &now) == 0;
	if (v.open) {
		v.up = now.link_up;
		if (!v.pending)
			v.why = own && *own ? own : now.link_why;
		if (past && past->id == now.id && now_ns - past->old_ns >= NS) {
			v.seconds = (double)(now_ns - past->old_ns) / (double)NS;
			if (now.stats.tx_frames == past->last_tx)
				v.silent_s = (double)(now_ns - past->tx_ns) / (double)NS;
			gain(&now.stats, &past->old, &v.gained);
		}
	}
	health_look_at_port(&v, to);
}

static void look_at_worker(const struct health *h, uint64_t now_ns, uint32_t i, json_t *to)
{
	const struct past_worker *past = &h->workers[i];
	struct switch_worker w;
	char about[24];

	if (switch_worker_get(h->sw, i, &w) < 0 || !past->mid_ns || now_ns - past->old_ns < NS ||
		!w.cycles_hz || w.passes < past->old.passes)
		return;
	const double seconds = (double)(now_ns - past->old_ns) / (double)NS;
	const double hz = (double)w.cycles_hz;
	const double busy = (double)(w.busy_cycles - past->old.busy_cycles) / hz;
	const double idle = (double)(w.idle_cycles - past->old.idle_cycles) / hz;
	const double cpu = (double)(w.cpu_ns - past->old.cpu_ns) / (double)NS;
	const double waited = busy + idle - cpu;

	snprintf(about, sizeof(about), "worker %u", i);
	if (waited > 0.1 * seconds)
		health_find(to, about, "worker-starved", "warning",
			"keep others off the core (isolcpus=, CPUAffinity= of their units, cpusets "
			"of "
			"VMs), or worker set N core C",
			"other work runs on core %d: the worker waited for it %.0f %% of the time",
			w.core, 100 * waited / seconds);
	if (busy > 0.9 * seconds)
		health_find(to, about, "worker-busy", "warning",
			"worker add core N, or worker set N port P queue Q; top shows which ports "
			"cost most",
			"it has work %.0f %% of the time: what comes on top waits, or is dropped",
			busy < seconds ? 100 * busy / seconds : 100.0);
}

static void look_at_fdb(const struct health *h, json_t *to)
{
	uint32_t n, max;

	switch_fdb_size(h->sw, &n, &max);
	if (n >= max - max / 5)
		health_find(to, "fdb", "fdb-full", "warning",
			"config set fdb max N; fdb show port P: does one port send from many "
			"addresses? policy macs limits it",
			"%u of %u addresses are in use: frames to those that do not fit are "
			"flooded",
			n, max);
}

// The file may name any VLAN, and a port's may change.
static void look_at_fixed(const struct running *r, json_t *to)
{
	const struct config_static *s;
	char mac[MAC_TEXT];

	for (unsigned i = 0; (s = running_fixed_at(r, i)); i++) {
		const struct running_port *p = running_port_find(r, s->port);
		if (!p || p->is_pending || running_port_carries(p, s->vid))
			continue;
		health_find(to, s->port, "static-unused", "note",
			"port set PORT vlan ... has the port carry it; fdb del, and fdb add with "
			"another VLAN, corrects the address",
			"the static address %s is not in use: the port does not carry its VLAN %u",
			value_mac_text(s->mac, mac), s->vid);
	}
}

static void look_at_wakeup(const struct wakeup *w, json_t *to)
{
	const char *remedy;
	struct error what;

	if (w && wakeup_lacks(w, &what, &remedy))
		health_find(to, "wakeup-us", "wakeup-refused", "note", remedy,
			"the kernel was not asked: %s; idle cores wake up as slowly as without",
			what.text);
}

static void look_at_metrics(const struct metrics *m, json_t *to)
{
	const char *why = m ? metrics_lack(m) : NULL;

	if (why)
		health_find(to, "metrics", "metrics-refused", "error",
			"it is tried again every second; config set metrics listen ADDRESS:PORT "
			"changes it",
			"%s", why);
}

json_t *health_all(const struct health *h, uint64_t now_ns, const struct running *r,
	const struct wakeup *w, const struct metrics *m)
{
	json_t *to = json_array();

	for (unsigned i = 0; i < running_n_ports(r); i++) {
		const struct running_port *p = running_port_at(r, i);
		json_t *details = describe_port(h->sw, p->config.sw.port.name);
		health_port(h, now_ns, p, details, to);
		json_decref(details);
	}
	for (uint32_t i = 0; i < switch_n_workers(h->sw); i++)
		look_at_worker(h, now_ns, i, to);
	look_at_fdb(h, to);
	look_at_fixed(r, to);
	look_at_wakeup(w, to);
	look_at_metrics(m, to);
	return to;
}
