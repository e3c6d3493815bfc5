// SPDX-License-Identifier: BSD-2-Clause
// What weftctl top shows: rates between two looks at the switch, and their history.
#include "cli/top_model.h"

#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const top_sort_names[N_SORTS] = {"name", "rx", "tx", "drops", "cpu"};

// Counters start again when a port is opened again.
static double rate(uint64_t now, uint64_t before, double s)
{
	return now >= before && s > 0 ? (double)(now - before) / s : 0;
}

static struct top_port *port_of(struct top *t, const char *name)
{
	for (unsigned i = 0; i < t->n_ports; i++)
		if (strcmp(t->ports[i].name, name) == 0)
			return &t->ports[i];
	if (t->n_ports == TOP_PORTS)
		return NULL;
	struct top_port *p = &t->ports[t->n_ports++];
	*p = (struct top_port){.cpu = 0};
	snprintf(p->name, sizeof(p->name), "%s", name);
	return p;
}

static void top_reason(struct top_port *p, const json_t *now)
{
	json_t *drops = json_object_get(now, "drops"), *v;
	const char *name;
	json_int_t most = 0;

	p->reason[0] = 0;
	json_object_foreach (drops, name, v) {
		json_int_t n = json_integer_value(v) - (json_int_t)get_number(p->drops, name);
		if (n > most) {
			most = n;
			snprintf(p->reason, sizeof(p->reason), "%s", name);
		}
	}
	json_decref(p->drops);
	p->drops = json_incref(drops);
}

static void update_port(struct top_port *p, const json_t *now, double s, bool is_new)
{
	uint64_t rx = get_number(now, "rx_frames"), tx = get_number(now, "tx_frames");
	uint64_t rxb = get_number(now, "rx_bytes"), txb = get_number(now, "tx_bytes");
	uint64_t drops = get_number(now, "dropped"), cpu = get_number(now, "cpu_ns");

	snprintf(p->state, sizeof(p->state), "%s", get_text(now, "state"));
	if (!is_new) {
		p->rx_pps = rate(rx, p->rx_frames, s);
		p->tx_pps = rate(tx, p->tx_frames, s);
		p->rx_bps = 8 * rate(rxb, p->rx_bytes, s);
		p->tx_bps = 8 * rate(txb, p->tx_bytes, s);
		p->drop_ps = rate(drops, p->dropped, s);
		p->cpu = rate(cpu, p->cpu_ns, s) / 1e9;
		memmove(p->history, p->history + 1, sizeof(p->history) - sizeof(p->history[0]));
		p->history[TOP_HISTORY - 1] = (float)(p->rx_pps + p->tx_pps);
	}
	top_reason(p, now);
	p->rx_frames = rx;
	p->rx_bytes = rxb;
	p->tx_frames = tx;
	p->tx_bytes = txb;
	p->dropped = drops;
	p->cpu_ns = cpu;
	p->seen = true;
}

static void update_worker(struct top_worker *w, const json_t *now, double s, bool is_new)
{
	uint64_t frames = get_number(now, "frames"), busy = get_number(now, "busy_cycles");
	uint64_t idle = get_number(now, "idle_cycles"), cpu = get_number(now, "cpu_ns");
	const json_t *core = json_object_get(now, "core");
	double hz = (double)get_number(now, "cycles_hz");

	w->id = (int)get_number(now, "worker");
	w->core = json_is_integer(core) ? (int)json_integer_value(core) : -1;
	snprintf(w->state, sizeof(w->state), "%s", get_text(now, "state"));
	if (!is_new) {
		w->pps = rate(frames, w->frames, s);
		// Of wall time: a worker that sleeps is not busy.
		w->busy_share = hz > 0 ? rate(busy, w->busy, s) / hz : 0;
		w->cpu_share = rate(cpu, w->cpu_ns, s) / 1e9;
		w->cycles = frames > w->frames
				    ? (double)(busy - w->busy) / (double)(frames - w->frames)
				    : 0;
	}
	w->frames = frames;
	w->busy = busy;
	w->idle = idle;
	w->cpu_ns = cpu;
}

void top_update(struct top *t, const json_t *ports, const json_t *workers, uint64_t now_ns)
{
	double s = t->last_ns ? (double)(now_ns - t->last_ns) / 1e9 : 0;
	const json_t *v;
	size_t i;

	for (unsigned p = 0; p < t->n_ports; p++)
		t->ports[p].seen = false;
	json_array_foreach ((json_t *)ports, i, v) {
		unsigned before = t->n_ports;
		struct top_port *p = port_of(t, get_text(v, "name"));
		if (p)
			update_port(p, v, s, t->n_ports > before);
	}
	for (unsigned p = 0; p < t->n_ports;)
		if (t->ports[p].seen) {
			p++;
		} else {
			json_decref(t->ports[p].drops);
			t->ports[p] = t->ports[--t->n_ports];
		}
	json_array_foreach ((json_t *)workers, i, v) {
		if (i == TOP_WORKERS)
			break;
		update_worker(&t->workers[i], v, s, i >= t->n_workers);
		if (i >= t->n_workers)
			t->n_workers = (unsigned)i + 1;
	}
	t->has_rates = t->last_ns != 0;
	t->last_ns = now_ns;
}

void top_fini(struct top *t)
{
	while (t->n_ports)
		json_decref(t->ports[--t->n_ports].drops);
}

// The object of `list` whose `key` is that of `now`.
static const json_t *same(const json_t *list, const json_t *now, const char *key)
{
	const json_t *v;
	size_t i;

	json_array_foreach ((json_t *)list, i, v)
		if (json_equal(json_object_get(v, key), json_object_get(now, key)))
			return v;
	return NULL;
}

static json_t *difference(const json_t *const lists[2], const char *key, const char *const *texts,
	const char *const *counters)
{
	json_t *out = json_array(), *to;
	const json_t *now, *before;
	size_t i;

	json_array_foreach ((json_t *)lists[1], i, now) {
		before = same(lists[0], now, key);
		json_array_append_new(out, to = json_object());
		for (const char *const *t = texts; *t; t++)
			json_object_set(to, *t, json_object_get(now, *t));
		for (const char *const *c = counters; *c && json_object_get(now, *c); c++) {
			uint64_t from = get_number(before, *c), n = get_number(now, *c);
			json_object_set_new(
				to, *c, json_integer(n >= from ? (json_int_t)(n - from) : 0));
		}
	}
	return out;
}

json_t *top_difference(const json_t *const ports[2], const json_t *const workers[2], double seconds)
{
	static const char *const port_texts[] = {"name", "state", NULL},
				 *const port_counters[] = {"rx_frames", "rx_bytes", "tx_frames",
					 "tx_bytes", "dropped", "cpu_ns", NULL},
				 *const worker_texts[] = {"worker", "core", "state", "cycles_hz",
					 NULL},
				 *const worker_counters[] = {"frames", "busy_cycles", "idle_cycles",
					 "sleeps", "cpu_ns", NULL};

	return json_pack("{s:f, s:o, s:o}", "seconds", seconds, "ports",
		difference(ports, "name", port_texts, port_counters), "workers",
		difference(workers, "worker", worker_texts, worker_counters));
}

void top_name(const char *name, unsigned width, char buf[32])
{
	size_t n = strlen(name), head = width / 2, tail = width - head - 1;

	if (n <= width)
		snprintf(buf, 32, "%s", name);
	else
		snprintf(buf, 32, "%.*s~%s", (int)head, name, name + n - tail);
}

struct order {
	const struct top *top;
	enum top_sort by;
	bool reverse;
};

static double value_of(const struct top_port *p, enum top_sort by)
{
	switch (by) {
	case SORT_RX:
		return p->rx_pps;
	case SORT_TX:
		return p->tx_pps;
	case SORT_DROPS:
		return p->drop_ps + 1e-12 * (double)p->dropped;
	default:
		return p->cpu;
	}
}

static int compare(const void *a, const void *b, void *ctx)
{
	const struct order *o = ctx;
	const struct top_port *x = &o->top->ports[*(const unsigned *)a];
	const struct top_port *y = &o->top->ports[*(const unsigned *)b];
	int c = 0;

	if (o->by != SORT_NAME) {
		double vx = value_of(x, o->by), vy = value_of(y, o->by);
		c = vx < vy ? 1 : vx > vy ? -1 : 0;
	}
	if (c == 0)
		c = strverscmp(x->name, y->name);
	return o->reverse ? -c : c;
}

unsigned top_sort_ports(const struct top *t, enum top_sort by, bool reverse, const char *filter,
	unsigned order[TOP_PORTS])
{
	struct order o = {t, by, reverse};
	unsigned n = 0;

	for (unsigned i = 0; i < t->n_ports; i++)
		if (strcasestr(t->ports[i].name, filter))
			order[n++] = i;
	qsort_r(order, n, sizeof(*order), compare, &o);
	return n;
}

void top_sparkline(const struct top_port *p, unsigned n, bool utf8, char *buf)
{
	static const char *const bars[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char ascii[] = " ._-=+*#@";
	float max = 1;

	if (n > TOP_HISTORY)
		n = TOP_HISTORY;
	*buf = 0;
	for (unsigned i = TOP_HISTORY - n; i < TOP_HISTORY; i++)
		max = p->history[i] > max ? p->history[i] : max;
	for (unsigned i = TOP_HISTORY - n; i < TOP_HISTORY; i++) {
		unsigned level = p->history[i] > 0 ? 1 + (unsigned)(7 * p->history[i] / max) : 0;
		if (utf8) {
			strcpy(buf, bars[level]);
			buf += strlen(buf);
		} else {
			*buf++ = ascii[level];
			*buf = 0;
		}
	}
}
