// SPDX-License-Identifier: BSD-2-Clause
// The switch as a whole: its workers, its plan, its events, its second hand.
#include "dataplane/switch/switch.h"

#include "dataplane/port/rcu.h"
#include "dataplane/switch/sw.h"
#include "dataplane/port/cycles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_AGE_S   300u
#define DEFAULT_IDLE_US 50u
#define CALIBRATE_NS    5000000u
// A reason of drops is told again after so many seconds without any.
#define DROPS_QUIET_S 30u

const char *sw_port_name(const struct sw *sw, uint32_t id)
{
	return id < PORT_MAX && sw->by_id[id] ? sw->by_id[id]->config.port.name : "";
}

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

// Fills in what the configuration leaves open and checks the rest.
static int complete(struct switch_config *c, struct error *err)
{
	int rc = sw_check_workers(c, err);

	if (rc < 0)
		return rc;
	c->idle_us = c->idle_us ? c->idle_us : DEFAULT_IDLE_US;
	c->age_s = c->age_s ? c->age_s : DEFAULT_AGE_S;
	c->fdb_max = c->fdb_max ? c->fdb_max : FDB_MAX_DEFAULT;
	if (c->fdb_max > FDB_MAX_LIMIT)
		return error_set(err, -EINVAL, "fdb.max", "fdb.max: at most %u addresses, not %u",
			FDB_MAX_LIMIT, c->fdb_max);
	return 0;
}

static uint64_t us_cycles(const struct sw *sw, uint32_t us)
{
	return sw->shared.cycles_hz / 1000000 * us;
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
	sw->common.idle_poll = sw->config.idle_poll;
	sw->common.idle_cycles = us_cycles(sw, sw->config.idle_us);
	sw->common.patience = us_cycles(sw, sw->config.patience_us);
	sw->common.shared = sw->config.n_workers > 1;
	rc = fdb_new(sw->config.fdb_max, sw_fdb_room(sw->config.fdb_max), &sw->common.fdb);
	if (rc == 0)
		rc = sw_publish(sw);
	if (rc < 0) {
		error_set(err, rc, "fdb.max", "out of memory for %u addresses", sw->config.fdb_max);
		goto fail;
	}
	for (uint32_t i = 0; i < sw->config.n_workers; i++) {
		rc = worker_start(
			&sw->shared, i, sw->config.cores[i], sw->events.fd, &sw->worker[i], err);
		if (rc < 0)
			goto fail;
		sw->n_workers++;
	}
	announce_wake(&sw->shared.announce, sw->worker[0]->wake_fd);
	*out = sw;
	return 0;
fail:
	switch_free(sw);
	return rc;
}

void switch_keep(struct sw *sw, const struct port_keeper *keeper)
{
	sw->keeper = keeper;
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
	announce_wake(&sw->shared.announce, -1);
	for (uint32_t i = 0; i < sw->n_workers; i++)
		worker_stop(sw->worker[i]);
	plan_free((struct plan *)sw->shared.plan);
	fdb_free(sw->common.fdb);
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
	struct plan *plan = plan_new(++sw->plan_seq, &sw->common, in, n);
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

void sw_publish_surely(struct sw *sw)
{
	// Without memory for the new plan the old one cannot be left; it is a hundred KiB, and freed
	// once the new one is there.
	while (sw_publish(sw) < 0)
		;
}

// Publishes what was changed in sw->common, or leaves it as it was.
static int publish_common(
	struct sw *sw, const struct plan_common *old, const char *key, struct error *err)
{
	int rc = sw_publish(sw);

	if (rc == 0)
		return 0;
	sw->common = *old;
	return error_set(err, rc, key, "out of memory");
}

int switch_set_idle(struct sw *sw, bool poll, uint32_t us, struct error *err)
{
	const struct plan_common old = sw->common;

	sw->common.idle_poll = poll;
	sw->common.idle_cycles = us_cycles(sw, us ? us : DEFAULT_IDLE_US);
	return publish_common(sw, &old, "idle", err);
}

int switch_set_patience(struct sw *sw, uint32_t us, struct error *err)
{
	const struct plan_common old = sw->common;

	sw->common.patience = us_cycles(sw, us);
	return publish_common(sw, &old, "patience-us", err);
}

// --- Events ---

int switch_event_fd(const struct sw *sw)
{
	return sw->events.fd;
}

static bool next_of_worker(struct sw *sw, struct worker *w, struct switch_event *ev)
{
	struct fdb_event from;
	uint64_t lost = event_ring_lost(&w->events);

	if (lost) {
		event_queue_lost(&sw->events, lost);
		sw->resync = true;
	}
	if (!event_ring_pop(&w->events, &from))
		return false;
	sw_fdb_event(sw, &from, ev);
	sw_steer(sw, from.key);
	return true;
}

static bool next_of_workers(struct sw *sw, struct switch_event *ev)
{
	for (uint32_t i = 0; i < sw->n_workers; i++)
		if (next_of_worker(sw, sw->worker[i], ev))
			return true;
	return false;
}

void sw_take_events(struct sw *sw)
{
	struct switch_event ev;

	// What is in the rings now, and no more: workers go on.
	for (uint32_t n = sw->n_workers * EVENT_RING_SIZE; n && next_of_workers(sw, &ev); n--)
		event_queue_push(&sw->events, &ev);
}

void sw_take_last_events(struct sw *sw, struct worker *w)
{
	struct switch_event ev;

	while (next_of_worker(sw, w, &ev))
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
	if (fdb_is_small(sw->common.fdb))
		sw_grow_fdb(sw);
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
