// SPDX-License-Identifier: BSD-2-Clause
// A stand-in for the dataplane behind switch.h, for tests of control and cli alone.
#include "tests/lib/fake_switch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 512
#define FDB_MAX    70000

struct fake_port {
	struct switch_port_config config;
	bool link_up;
	char why[128];
	uint32_t id, n_rxq, worker[PORT_QUEUES_MAX];
	struct port_stats stats;
	unsigned capture_dirs;
	uint32_t capture_frames;
	uint64_t capture_lost;
};

struct fake_entry {
	uint8_t mac[6];
	uint16_t vid;
	char port[PORT_NAME_MAX];
	bool is_static;
};

struct sw {
	struct switch_config config;
	uint32_t n_ports, n_fdb, changes, next_id;
	struct fake_port *ports[PORT_MAX];
	struct fake_entry fdb[FDB_MAX];
	int fd;
	uint32_t first, n_events;
	uint64_t lost;
	struct switch_event events[EVENTS_MAX];
	struct switch_worker spent[WORKERS_MAX]; // beside what the frames of ports cost
};

static void post(struct sw *sw, enum switch_event_kind kind, const char *port, const char *text)
{
	struct switch_event ev = {.kind = kind, .level = 6};
	struct timespec ts;

	if (sw->n_events == EVENTS_MAX) {
		sw->lost++;
		return;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	ev.time_ns = ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
	snprintf(ev.port, sizeof(ev.port), "%s", port);
	snprintf(ev.text, sizeof(ev.text), "%s", text);
	sw->events[(sw->first + sw->n_events++) % EVENTS_MAX] = ev;
	eventfd_write(sw->fd, 1);
}

int switch_new(const struct switch_config *config, struct sw **out, struct error *err)
{
	struct sw *sw = calloc(1, sizeof(*sw));

	if (!sw)
		return error_set(err, -ENOMEM, "", "out of memory");
	sw->config = *config;
	if (!sw->config.n_workers) {
		sw->config.n_workers = 1;
		sw->config.cores[0] = 0;
	}
	sw->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	*out = sw;
	return 0;
}

void switch_end(struct sw *sw)
{
}

int switch_set_workers(struct sw *sw, const int32_t *cores, uint32_t n, struct error *err)
{
	sw->config.n_workers = n ? n : 1;
	sw->config.cores[0] = 0;
	memcpy(sw->config.cores, cores, n * sizeof(*cores));
	for (uint32_t i = 0; i < sw->n_ports; i++)
		for (uint32_t q = 0; q < PORT_QUEUES_MAX; q++)
			sw->ports[i]->worker[q] %= sw->config.n_workers;
	return 0;
}

int switch_set_patience(struct sw *sw, uint32_t us, struct error *err)
{
	sw->config.patience_us = us;
	return 0;
}

int switch_set_idle(struct sw *sw, bool poll, uint32_t us, struct error *err)
{
	sw->config.idle_poll = poll;
	sw->config.idle_us = us;
	return 0;
}

int switch_set_fdb_max(struct sw *sw, uint32_t max, struct error *err)
{
	if (max == 16)
		return error_set(err, -EINVAL, "fdb.max", "fdb.max: there are 17 static addresses");
	sw->config.fdb_max = max;
	return 0;
}

void switch_port_unpin(struct sw *sw, const char *name, uint32_t from)
{
}

void switch_free(struct sw *sw)
{
	if (!sw)
		return;
	for (uint32_t i = 0; i < sw->n_ports; i++)
		free(sw->ports[i]);
	close(sw->fd);
	free(sw);
}

int switch_event_fd(const struct sw *sw)
{
	return sw->fd;
}

bool switch_event_next(struct sw *sw, struct switch_event *ev)
{
	eventfd_t n;

	if (sw->n_events == 0) {
		eventfd_read(sw->fd, &n);
		return false;
	}
	*ev = sw->events[sw->first];
	sw->first = (sw->first + 1) % EVENTS_MAX;
	sw->n_events--;
	return true;
}

void switch_tick(struct sw *sw)
{
	for (uint32_t i = 0; i < sw->n_ports; i++) {
		struct port_stats *st = &sw->ports[i]->stats;
		st->rx_frames += 1000 * (i + 1);
		st->rx_bytes += 64000 * (i + 1);
		st->tx_frames += 900 * (i + 1);
		st->tx_bytes += 57600 * (i + 1);
		st->drop[DROP_ring_full] += 10 * i;
	}
}

static struct fake_port *find(const struct sw *sw, const char *name)
{
	for (uint32_t i = 0; i < sw->n_ports; i++)
		if (strcmp(sw->ports[i]->config.port.name, name) == 0)
			return sw->ports[i];
	return NULL;
}

// What a real port would refuse, as far as tests of control need it.
static int check(const struct port_config *p, struct error *err)
{
	char dir[128];
	struct stat st;

	if (strncmp(p->device, "nosuch", 6) == 0)
		return error_set(err, -ENODEV, "device",
			"device: there is no interface '%s'; see ip link", p->device);
	if (*p->socket) {
		snprintf(dir, sizeof(dir), "%s", p->socket);
		*strrchr(dir, '/') = 0;
		if (*dir && stat(dir, &st) < 0)
			return error_set(err, -ENOENT, "socket",
				"socket: the directory %s is not there; make it", dir);
	}
	return 0;
}

int switch_port_add(struct sw *sw, const struct switch_port_config *config, struct error *err)
{
	int rc = check(&config->port, err);
	struct fake_port *p;

	if (rc < 0)
		return rc;
	if (find(sw, config->port.name))
		return error_set(err, -EEXIST, "name", "there is a port of this name");
	p = calloc(1, sizeof(*p));
	if (!p)
		return error_set(err, -ENOMEM, "", "out of memory");
	p->config = *config;
	p->id = sw->next_id++;
	p->n_rxq = config->port.queues ? config->port.queues : 1;
	snprintf(p->why, sizeof(p->why), "no guest has connected yet");
	sw->ports[sw->n_ports++] = p;
	sw->changes++;
	post(sw, EVENT_PORT_ADDED, config->port.name, "");
	return 0;
}

int switch_port_del(struct sw *sw, const char *name, struct error *err)
{
	for (uint32_t i = 0; i < sw->n_ports; i++) {
		if (strcmp(sw->ports[i]->config.port.name, name) != 0)
			continue;
		post(sw, EVENT_PORT_REMOVED, name, "");
		for (uint32_t e = 0; e < sw->n_fdb;)
			if (strcmp(sw->fdb[e].port, name) == 0)
				sw->fdb[e] = sw->fdb[--sw->n_fdb];
			else
				e++;
		free(sw->ports[i]);
		memmove(&sw->ports[i], &sw->ports[i + 1],
			(--sw->n_ports - i) * sizeof(sw->ports[0]));
		sw->changes++;
		return 0;
	}
	return error_set(err, -ENOENT, "name", "there is no port '%s'", name);
}

int switch_port_set(struct sw *sw, const struct switch_port_config *config, struct error *err)
{
	struct fake_port *p = find(sw, config->port.name);
	int rc = check(&config->port, err);

	if (!p)
		return error_set(err, -ENOENT, "name", "there is no port '%s'", config->port.name);
	if (rc < 0)
		return rc;
	p->config = *config;
	p->n_rxq = config->port.queues ? config->port.queues : 1;
	sw->changes++;
	post(sw, EVENT_PORT_CHANGED, config->port.name, "");
	return 0;
}

static void fill(const struct fake_port *p, struct switch_port *out)
{
	*out = (struct switch_port){.config = &p->config,
		.id = p->id,
		.link_up = p->link_up,
		.link_why = p->why,
		.mtu = p->config.port.mtu ? p->config.port.mtu : 1500,
		.n_rxq = p->n_rxq,
		.stats = p->stats};
	memcpy(out->rxq_worker, p->worker, sizeof(p->worker));
}

int switch_port_foreach(struct sw *sw, int (*each)(void *, const struct switch_port *), void *ctx)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < sw->n_ports; i++) {
		struct switch_port now;
		fill(sw->ports[i], &now);
		rc = each(ctx, &now);
	}
	return rc;
}

int switch_port_find(struct sw *sw, const char *name, struct switch_port *out)
{
	const struct fake_port *p = find(sw, name);

	if (!p)
		return -ENOENT;
	fill(p, out);
	return 0;
}

int switch_port_describe(struct sw *sw, const char *name, const struct describer *to)
{
	const struct fake_port *p = find(sw, name);

	if (!p)
		return -ENOENT;
	to->flag(to->ctx, "connected", p->link_up);
	to->open_list(to->ctx, "features");
	to->str(to->ctx, NULL, "VERSION_1");
	to->str(to->ctx, NULL, "MRG_RXBUF");
	to->close(to->ctx);
	to->open_list(to->ctx, "queues");
	for (uint32_t q = 0; q < p->n_rxq; q++) {
		to->open(to->ctx, NULL);
		to->num(to->ctx, "queue", q);
		to->str(to->ctx, "direction", "to-guest");
		to->num(to->ctx, "size", 256);
		to->flag(to->ctx, "enabled", true);
		to->close(to->ctx);
	}
	to->close(to->ctx);
	return 0;
}

int switch_port_assign(
	struct sw *sw, const char *name, uint32_t q, uint32_t worker, struct error *err)
{
	struct fake_port *p = find(sw, name);

	if (!p || q >= p->n_rxq || worker >= sw->config.n_workers)
		return error_set(err, -EINVAL, "queue", "no such port, queue or worker");
	p->worker[q] = worker;
	return 0;
}

static struct fake_entry *entry(struct sw *sw, const uint8_t mac[6], uint16_t vid)
{
	for (uint32_t i = 0; i < sw->n_fdb; i++)
		if (sw->fdb[i].vid == vid && memcmp(sw->fdb[i].mac, mac, 6) == 0)
			return &sw->fdb[i];
	return NULL;
}

int switch_fdb_foreach(
	struct sw *sw, int (*each)(void *, const struct switch_fdb_entry *), void *ctx)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < sw->n_fdb; i++) {
		struct switch_fdb_entry e = {.vid = sw->fdb[i].vid,
			.port = sw->fdb[i].port,
			.is_static = sw->fdb[i].is_static,
			.age_s = 3};
		memcpy(e.mac, sw->fdb[i].mac, 6);
		rc = each(ctx, &e);
	}
	return rc;
}

int switch_fdb_add(
	struct sw *sw, const uint8_t mac[6], uint16_t vid, const char *port, struct error *err)
{
	struct fake_entry *e = entry(sw, mac, vid);

	if (!find(sw, port))
		return error_set(err, -ENOENT, "port", "there is no port '%s'", port);
	if (!e && sw->n_fdb == FDB_MAX)
		return error_set(err, -ENOSPC, "mac", "the database is full");
	if (!e)
		e = &sw->fdb[sw->n_fdb++];
	memcpy(e->mac, mac, 6);
	e->vid = vid;
	e->is_static = true;
	snprintf(e->port, sizeof(e->port), "%s", port);
	return 0;
}

int switch_fdb_del(struct sw *sw, const uint8_t mac[6], uint16_t vid, struct error *err)
{
	struct fake_entry *e = entry(sw, mac, vid);

	if (!e)
		return error_set(err, -ENOENT, "mac", "this address is not known in VLAN %u", vid);
	*e = sw->fdb[--sw->n_fdb];
	return 0;
}

uint32_t switch_fdb_flush(struct sw *sw, const char *port, uint16_t vid)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < sw->n_fdb;) {
		struct fake_entry *e = &sw->fdb[i];
		if (e->is_static || (port && strcmp(port, e->port) != 0) ||
			(vid && vid != e->vid)) {
			i++;
			continue;
		}
		*e = sw->fdb[--sw->n_fdb];
		n++;
	}
	return n;
}

void switch_fdb_size(struct sw *sw, uint32_t *n, uint32_t *max)
{
	*n = sw->n_fdb;
	*max = FDB_MAX;
}

int switch_set_age(struct sw *sw, uint32_t age_s)
{
	sw->config.age_s = age_s;
	return 0;
}

// Of a machine of its own, whichever this test may use.
int switch_cpus(cpu_set_t *out)
{
	CPU_ZERO(out);
	for (unsigned i = 0; i < 8; i++)
		CPU_SET(i, out);
	return 0;
}

uint32_t switch_n_workers(const struct sw *sw)
{
	return sw->config.n_workers;
}

int switch_worker_get(struct sw *sw, uint32_t id, struct switch_worker *out)
{
	if (id >= sw->config.n_workers)
		return -ENOENT;
	*out = (struct switch_worker){.id = id, .core = sw->config.cores[id], .asleep = id > 0};
	out->cycles_hz = 1000000000;
	for (uint32_t i = 0; i < sw->n_ports; i++)
		out->frames += sw->ports[i]->stats.rx_frames;
	out->passes = sw->spent[id].passes;
	out->busy_cycles = out->frames * 40 + sw->spent[id].busy_cycles;
	out->idle_cycles = out->frames * 60 + sw->spent[id].idle_cycles;
	out->cpu_ns = out->frames * 100 + sw->spent[id].cpu_ns;
	return 0;
}

int switch_capture_start(
	struct sw *sw, const char *port, unsigned dirs, uint32_t snaplen, struct error *err)
{
	struct fake_port *p = find(sw, port);

	if (!p)
		return error_set(err, -ENOENT, "port", "there is no port '%s'", port);
	if (p->capture_dirs)
		return error_set(err, -EBUSY, "port", "another capture runs on %s", port);
	p->capture_dirs = dirs;
	p->capture_frames = 20;
	return 0;
}

int switch_capture_stop(struct sw *sw, const char *port, uint64_t *lost)
{
	struct fake_port *p = find(sw, port);

	if (!p)
		return -ENOENT;
	*lost = p->capture_lost;
	p->capture_dirs = 0;
	return 0;
}

uint32_t switch_capture_read(struct sw *sw, const char *port, uint32_t max,
	void (*each)(void *, const struct capture_frame *), void *ctx, uint64_t *lost)
{
	// An ARP request and an ICMP echo, in turns.
	static const uint8_t arp[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0, 0, 1,
		8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0,
		10, 0, 0, 2};
	static const uint8_t icmp[98] = {0x52, 0x54, 0, 0, 0, 2, 0x52, 0x54, 0, 0, 0, 1, 8, 0, 0x45,
		0, 0, 84, 0, 0, 0x40, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 8, 0, 0, 0, 0, 1, 0,
		1};
	struct fake_port *p = find(sw, port);
	uint32_t n = 0;

	if (!p)
		return 0;
	*lost = p->capture_lost;
	while (n < max && p->capture_frames) {
		bool odd = p->capture_frames-- & 1;
		struct capture_frame f = {.time_ns = 1700000000123456789 + n,
			.len = odd ? sizeof(arp) : sizeof(icmp),
			.dir = odd ? CAPTURE_RX : CAPTURE_TX,
			.data = odd ? arp : icmp};
		f.caplen = f.len;
		if (f.dir & p->capture_dirs) {
			each(ctx, &f);
			n++;
		}
	}
	return n;
}

void fake_switch_link(struct sw *sw, const char *port, bool up, const char *why)
{
	struct fake_port *p = find(sw, port);

	p->link_up = up;
	snprintf(p->why, sizeof(p->why), "%s", why);
	post(sw, up ? EVENT_LINK_UP : EVENT_LINK_DOWN, port, why);
}

void fake_switch_learn(struct sw *sw, const char *port, const uint8_t mac[6], uint16_t vid)
{
	switch_fdb_add(sw, mac, vid, port, NULL);
	entry(sw, mac, vid)->is_static = false;
	post(sw, EVENT_FDB_LEARNT, port, "");
	struct switch_event *ev = &sw->events[(sw->first + sw->n_events - 1) % EVENTS_MAX];
	memcpy(ev->mac, mac, 6);
	ev->vid = vid;
}

struct port_stats *fake_switch_stats(struct sw *sw, const char *port)
{
	return &find(sw, port)->stats;
}

struct switch_worker *fake_switch_spent(struct sw *sw, uint32_t worker)
{
	return &sw->spent[worker];
}

void fake_switch_capture(struct sw *sw, const char *port, uint32_t n_frames)
{
	find(sw, port)->capture_frames = n_frames;
}

uint32_t fake_switch_patience(const struct sw *sw)
{
	return sw->config.patience_us;
}

unsigned fake_switch_changes(const struct sw *sw)
{
	return sw->changes;
}
