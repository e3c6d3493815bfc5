// SPDX-License-Identifier: BSD-2-Clause
// The switch as a whole: its workers, its plan, its events, its second hand.
#include "dataplane/switch/switch.h"

#include "dataplane/port/rcu.h"
#include "dataplane/switch/sw.h"
#include "dataplane/switch/cycles.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_AGE_S   300u
#define DEFAULT_FDB_MAX 65536u
#define DEFAULT_IDLE_US 50u
#define CALIBRATE_NS    5000000u
// A reason of drops is told again after so many seconds without any.
#define DROPS_QUIET_S 30u

const char *sw_port_name(const struct sw *sw, uint32_t id)
{
	return id < PORT_MAX && sw->by_id[id] ? sw->by_id[id]->config.port.name : "";
}

// --- Workers ---

// Ticks a second of the cycle counter, measured against the clock.
static void calibrate(struct sw *sw)
{
	const struct timespec ts = {.tv_nsec = CALIBRATE_NS};

	sw->ns_from = clock_ns(CLOCK_MONOTONIC);
	sw->cycles_from = cycles();
	nanosleep(&ts, NULL);
	uint64_t ns = clock_ns(CLOCK_MONOTONIC) - sw->ns_from;
	uint64_t ticks = cycles() - sw->cycles_from;
	sw->shared.cycles_hz = (uint64_t)((double)ticks * 1e9 / (double)ns);
}

static int32_t highest_core(const cpu_set_t *allowed)
{
	for (int32_t i = CPU_SETSIZE - 1; i > 0; i--)
		if (CPU_ISSET((unsigned)i, allowed))
			return i;
	return 0;
}

// Fills in what the configuration leaves open and checks the rest.
static int complete(struct switch_config *c, struct error *err)
{
	cpu_set_t allowed;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return error_set(err, -errno, "workers",
			"workers: the CPUs this process may use are unknown: %s", strerror(errno));
	if (c->n_workers == 0) {
		c->n_workers = 1;
		c->cores[0] = highest_core(&allowed);
	}
	if (c->n_workers > WORKERS_MAX)
		return error_set(err, -EINVAL, "workers", "workers: at most %u, not %u",
			WORKERS_MAX, c->n_workers);
	for (uint32_t i = 0; i < c->n_workers; i++) {
		int32_t core = c->cores[i];
		if (core < -1 || core >= CPU_SETSIZE ||
			(core >= 0 && !CPU_ISSET((unsigned)core, &allowed)))
			return error_set(err, -EINVAL, "workers.core",
				"workers.core: this process may not run on CPU %d; see "
				"'taskset -p' and the service's CPUAffinity",
				core);
		for (uint32_t j = 0; j < i && core >= 0; j++)
			if (c->cores[j] == core)
				return error_set(err, -EINVAL, "workers.core",
					"workers.core: two workers on CPU %d", core);
	}
	c->idle_us = c->idle_us ? c->idle_us : DEFAULT_IDLE_US;
	c->age_s = c->age_s ? c->age_s : DEFAULT_AGE_S;
	c->fdb_max = c->fdb_max ? c->fdb_max : DEFAULT_FDB_MAX;
	if (c->fdb_max > 1u << 24)
		return error_set(err, -EINVAL, "fdb.max", "fdb.max: at most %u addresses, not %u",
			1u << 24, c->fdb_max);
	return 0;
}

int switch_new(const struct switch_config *config, struct sw **out, struct error *err)
{
	struct sw *sw = calloc(1, sizeof(*sw));
	int rc;

	if (!sw)
		return error_set(err, -ENOMEM, NULL, "out of memory");
	sw->config = *config;
	announce_init(&sw->shared.announce);
	rc = complete(&sw->config, err);
	if (rc < 0)
		goto fail;
	sw->age_s = sw->config.age_s;
	rc = event_queue_init(&sw->events);
	if (rc < 0) {
		error_set(err, rc, NULL, "no event queue: %s", strerror(-rc));
		goto fail;
	}
	calibrate(sw);
	sw->shared.idle_poll = sw->config.idle_poll;
	sw->shared.idle_cycles = sw->shared.cycles_hz / 1000000 * sw->config.idle_us;
	rc = fdb_new(sw->config.fdb_max, &sw->shared.fdb);
	if (rc == 0)
		rc = sw_publish(sw);
	if (rc < 0) {
		error_set(err, rc, "fdb.max", "out of memory for %u addresses", sw->config.fdb_max);
		goto fail;
	}
	for (uint32_t i = 0; i < sw->config.n_workers; i++) {
		rc = worker_start(&sw->shared, i, sw->config.n_workers, sw->config.cores[i],
			sw->events.fd, &sw->worker[i], err);
		if (rc < 0)
			goto fail;
		sw->n_workers++;
	}
	*out = sw;
	return 0;
fail:
	switch_free(sw);
	return rc;
}

void switch_end(struct sw *sw)
{
	sw->ending = true;
	// Without memory for a plan frames are taken until each port is closed.
	(void)sw_publish(sw);
}

void switch_free(struct sw *sw)
{
	if (!sw)
		return;
	while (sw->ports)
		sw_port_del(sw, sw->ports);
	for (uint32_t i = 0; i < sw->n_workers; i++)
		worker_stop(sw->worker[i]);
	plan_free((struct plan *)sw->shared.plan);
	fdb_free(sw->shared.fdb);
	if (sw->events.queue)
		event_queue_fini(&sw->events);
	announce_fini(&sw->shared.announce);
	free(sw);
}

int sw_publish(struct sw *sw)
{
	struct plan_input in[PORT_MAX];
	uint32_t n = 0;

	for (struct sw_port *p = sw->ending ? NULL : sw->ports; p; p = p->next)
		in[n++] = (struct plan_input){
			.port = p->port,
			.lanes = p->lanes,
			.vlan = &p->config.vlan,
			.isolated = p->config.policy.isolated,
			.policy = p->policy,
			.tape = p->tape,
		};
	struct plan *plan = plan_new(++sw->plan_seq, in, n);
	if (!plan)
		return -ENOMEM;
	struct plan *old =
		(struct plan *)__atomic_exchange_n(&sw->shared.plan, plan, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < sw->n_workers; i++)
		worker_wake(sw->worker[i]);
	if (old) {
		rcu_grace();
		plan_free(old);
	}
	return 0;
}

uint32_t switch_n_workers(const struct sw *sw)
{
	return sw->n_workers;
}

int switch_worker_get(struct sw *sw, uint32_t id, struct switch_worker *out)
{
	if (id >= sw->n_workers)
		return -ENOENT;
	worker_get(sw->worker[id], out);
	// The longer ago the first measurement, the better the rate.
	uint64_t ns = clock_ns(CLOCK_MONOTONIC) - sw->ns_from;
	out->cycles_hz = (uint64_t)((double)(cycles() - sw->cycles_from) * 1e9 / (double)ns);
	for (const struct sw_port *p = sw->ports; p; p = p->next)
		for (uint32_t q = 0; q < p->port->n_rxq; q++)
			out->n_rxq += p->port->rxq[q].worker == id;
	return 0;
}

// --- Events ---

int switch_event_fd(const struct sw *sw)
{
	return sw->events.fd;
}

static bool next_of_workers(struct sw *sw, struct switch_event *ev)
{
	struct fdb_event from;

	for (uint32_t i = 0; i < sw->n_workers; i++) {
		struct event_ring *ring = &sw->worker[i]->events;
		uint64_t lost = event_ring_lost(ring);
		if (lost) {
			event_queue_lost(&sw->events, lost);
			sw->resync = true;
		}
		if (event_ring_pop(ring, &from)) {
			sw_fdb_event(sw, &from, ev);
			sw_steer(sw, from.key);
			return true;
		}
	}
	return false;
}

void sw_take_events(struct sw *sw)
{
	struct switch_event ev;

	// What is in the rings now, and no more: workers go on.
	for (uint32_t n = sw->n_workers * EVENT_RING_SIZE; n && next_of_workers(sw, &ev); n--)
		event_queue_push(&sw->events, &ev);
}

bool switch_event_next(struct sw *sw, struct switch_event *ev)
{
	eventfd_t v;

	// Ports and links first: addresses may come without end.
	if (event_queue_pop(&sw->events, ev) || next_of_workers(sw, ev))
		return true;
	// Empty as it seems. From here on whoever adds an event writes the descriptor; what was
	// added before is found now.
	(void)!eventfd_read(sw->events.fd, &v);
	for (uint32_t i = 0; i < sw->n_workers; i++)
		event_ring_listen(&sw->worker[i]->events);
	return event_queue_pop(&sw->events, ev) || next_of_workers(sw, ev);
}

// --- Once a second ---

// Tells of reasons that began to drop frames.
static void watch_drops(struct sw *sw, struct sw_port *p, uint32_t now)
{
	struct port_stats st;

	port_stats_sum(p->port, &st);
	for (unsigned r = 0; r < N_DROP_REASONS; r++) {
		struct drop_watch *w = &p->drops[r];
		const uint64_t n = st.drop[r] - w->count;
		w->count = st.drop[r];
		if (!n) {
			w->active = w->active && now - w->last_seen < DROPS_QUIET_S;
			continue;
		}
		w->last_seen = now;
		if (w->active)
			continue;
		w->active = true;
		struct switch_event ev = {
			.kind = EVENT_DROPS, .level = LOG_NOTICE, .reason = r, .count = n};
		snprintf(ev.port, sizeof(ev.port), "%s", p->config.port.name);
		snprintf(ev.text, sizeof(ev.text), "dropping frames: %s; %s", drop_reason_text(r),
			drop_reason_remedy(r));
		event_queue_push(&sw->events, &ev);
	}
}

static void flush_if_down(struct sw *sw, struct sw_port *p)
{
	pthread_mutex_lock(&p->lock);
	// A link that comes up waits for it, and its frames come after.
	if (p->flush)
		sw_forget(sw, p->id, 0, false);
	p->flush = false;
	pthread_mutex_unlock(&p->lock);
}

void switch_tick(struct sw *sw)
{
	const uint32_t now = clock_s();

	sw_age(sw);
	for (struct sw_port *p = sw->ports; p; p = p->next) {
		flush_if_down(sw, p);
		if (p->port->ops->tick)
			p->port->ops->tick(p->port);
		watch_drops(sw, p, now);
		if (sw->resync)
			sw_steer_port(sw, p);
	}
	sw->resync = false;
}
