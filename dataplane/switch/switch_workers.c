// SPDX-License-Identifier: BSD-2-Clause
// Workers of the switch: how many, on which cores, and which receive queues each of them polls.
//
// A queue changes hands in two plans. In the first nobody polls it; after its grace period no worker
// is in the queue or keeps anything of it, so its state is free to go to another, who finds it in
// the second plan. What comes meanwhile waits in the queue's ring. A worker that is new gets its
// queues in the second plan too: by then all others lock the transmit queues that they share. So it is
// with announcements, which nobody sends in between: they are frames too.
#include "dataplane/switch/sw.h"

#include "dataplane/port/cycles.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <syslog.h>

static int32_t highest_core(const cpu_set_t *allowed)
{
	for (int32_t i = CPU_SETSIZE - 1; i > 0; i--)
		if (CPU_ISSET((unsigned)i, allowed))
			return i;
	return 0;
}

int sw_check_workers(struct switch_config *c, struct error *err)
{
	cpu_set_t allowed;

	int rc = switch_cpus(&allowed);
	if (rc < 0)
		return error_set(err, rc, "workers",
			"workers: the CPUs this process may use are unknown: %s", strerror(-rc));
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
	return 0;
}

uint32_t switch_n_workers(const struct sw *sw)
{
	return sw->n_workers;
}

uint32_t sw_worker_number(const struct sw *sw, uint32_t slot)
{
	for (uint32_t i = 0; i < sw->n_workers; i++)
		if (sw->worker[i]->id == slot)
			return i;
	return UNPOLLED;
}

static uint32_t queues_of(const struct sw *sw, uint32_t slot)
{
	uint32_t n = 0;

	for (const struct sw_port *p = sw->ports; p; p = p->next)
		for (uint32_t q = 0; q < p->port->n_rxq; q++)
			n += p->port->rxq[q].worker == slot;
	return n;
}

int switch_worker_get(struct sw *sw, uint32_t id, struct switch_worker *out)
{
	if (id >= sw->n_workers)
		return -ENOENT;
	worker_get(sw->worker[id], out);
	out->id = id;
	// The longer ago the first measurement, the better the rate.
	uint64_t ns = clock_ns(CLOCK_MONOTONIC) - sw->ns_from;
	out->cycles_hz = (uint64_t)((double)(cycles() - sw->cycles_from) * 1e9 / (double)ns);
	out->n_rxq = queues_of(sw, sw->worker[id]->id);
	return 0;
}

// --- Queues ---

static void give(struct sw_port *p, uint32_t q, const struct worker *w)
{
	port_assign(p->port, q, w->epfd);
	p->port->rxq[q].worker = w->id;
}

void sw_spread_queues(struct sw *sw)
{
	uint32_t load[WORKERS_MAX];

	for (uint32_t i = 0; i < sw->n_workers; i++)
		load[i] = queues_of(sw, sw->worker[i]->id);
	for (struct sw_port *p = sw->ports; p; p = p->next)
		for (uint32_t q = 0; q < p->port->n_rxq; q++) {
			if (p->port->rxq[q].worker != UNPOLLED)
				continue;
			uint32_t best = 0;
			for (uint32_t i = 1; i < sw->n_workers; i++)
				best = load[i] < load[best] ? i : best;
			load[best]++;
			give(p, q, sw->worker[best]);
		}
}

int switch_port_assign(
	struct sw *sw, const char *name, uint32_t q, uint32_t worker, struct error *err)
{
	struct sw_port *p = sw_port_find(sw, name);

	if (!p)
		return sw_port_unknown(name, err);
	if (q >= p->port->n_rxq)
		return error_set(err, -EINVAL, "queue", "queue: port '%s' has %u, numbered from 0",
			name, p->port->n_rxq);
	if (worker >= sw->n_workers)
		return error_set(err, -EINVAL, "worker", "worker: there are %u, numbered from 0",
			sw->n_workers);
	struct port_rxq *rxq = &p->port->rxq[q];
	const uint32_t from = rxq->worker;
	p->pinned |= 1u << q;
	if (from == sw->worker[worker]->id)
		return 0;
	rxq->worker = UNPOLLED;
	int rc = sw_publish(sw);
	if (rc < 0) {
		rxq->worker = from;
		return error_set(err, rc, NULL, "out of memory");
	}
	give(p, q, sw->worker[worker]);
	sw_publish_surely(sw);
	event_queue_say(
		&sw->events, EVENT_PORT_CHANGED, LOG_INFO, name, "a queue has a new worker");
	return 0;
}

void switch_port_unpin(struct sw *sw, const char *name, uint32_t from)
{
	struct sw_port *p = sw_port_find(sw, name);

	if (p && from < 32)
		p->pinned &= (1u << from) - 1;
}

// --- Other workers ---

// What a change of workers is about.
struct change {
	uint32_t n;
	struct worker *next[WORKERS_MAX];
	bool is_new[WORKERS_MAX];
	uint32_t n_new;
};

static bool is_in(const struct change *ch, const struct worker *w)
{
	for (uint32_t i = 0; i < ch->n; i++)
		if (ch->next[i] == w)
			return true;
	return false;
}

static struct worker *worker_on(const struct sw *sw, const struct change *ch, int32_t core)
{
	for (uint32_t i = 0; i < sw->n_workers; i++)
		if (sw->worker[i]->core == core && !is_in(ch, sw->worker[i]))
			return sw->worker[i];
	return NULL;
}

// A slot that none has, neither of those that are there nor of those that come; UNPOLLED: no slot.
static uint32_t free_slot(const struct sw *sw, const struct change *ch)
{
	uint32_t taken = 0, slot = 0;

	for (uint32_t i = 0; i < sw->n_workers; i++)
		taken |= 1u << sw->worker[i]->id;
	for (uint32_t i = 0; i < ch->n; i++)
		taken |= ch->next[i] ? 1u << ch->next[i]->id : 0;
	while (slot < WORKERS_MAX && taken >> slot & 1)
		slot++;
	return slot;
}

static void stop_new(struct change *ch)
{
	for (uint32_t i = 0; i < ch->n; i++)
		if (ch->is_new[i])
			worker_stop(ch->next[i]);
}

// Finds the workers that stay by their cores and starts those that are missing.
static int gather(
	struct sw *sw, const struct switch_config *c, struct change *ch, struct error *err)
{
	int rc = 0;

	*ch = (struct change){.n = c->n_workers};
	for (uint32_t i = 0; i < ch->n; i++)
		ch->next[i] = worker_on(sw, ch, c->cores[i]);
	for (uint32_t i = 0; rc == 0 && i < ch->n; i++) {
		if (ch->next[i])
			continue;
		uint32_t slot = free_slot(sw, ch);
		if (slot == WORKERS_MAX)
			rc = error_set(err, -ENOSPC, "workers",
				"workers: there are %u, so one has to go before another comes",
				WORKERS_MAX);
		else
			rc = worker_start(
				&sw->shared, slot, c->cores[i], sw->events.fd, &ch->next[i], err);
		ch->is_new[i] = rc == 0;
		ch->n_new += rc == 0;
	}
	if (rc < 0)
		stop_new(ch);
	return rc;
}

// Takes queues away: all of workers that leave, and where new ones come, what a worker has beyond
// its share, unless it was chosen. Keeps where they were in `from`.
static void take_queues(struct sw *sw, const struct change *ch, uint8_t from[][PORT_QUEUES_MAX])
{
	uint32_t load[WORKERS_MAX + 1] = {0}, total = 0;
	bool leaves[WORKERS_MAX + 1] = {false};

	for (uint32_t i = 0; i < sw->n_workers; i++)
		leaves[sw->worker[i]->id] = !is_in(ch, sw->worker[i]);
	for (struct sw_port *p = sw->ports; p; p = p->next)
		for (uint32_t q = 0; q < p->port->n_rxq; q++) {
			load[p->port->rxq[q].worker]++;
			total++;
		}
	const uint32_t share = (total + ch->n - 1) / ch->n;
	for (struct sw_port *p = sw->ports; p; p = p->next)
		for (uint32_t q = 0; q < p->port->n_rxq; q++) {
			struct port_rxq *rxq = &p->port->rxq[q];
			const uint32_t w = rxq->worker;
			const bool spare = ch->n_new && load[w] > share && !(p->pinned >> q & 1);
			from[p->id][q] = (uint8_t)w;
			if (!leaves[w] && !spare)
				continue;
			load[w]--;
			rxq->worker = UNPOLLED;
		}
}

static void put_queues_back(struct sw *sw, uint8_t from[][PORT_QUEUES_MAX])
{
	for (struct sw_port *p = sw->ports; p; p = p->next)
		for (uint32_t q = 0; q < p->port->n_rxq; q++)
			p->port->rxq[q].worker = from[p->id][q];
}

static void become(struct sw *sw, const struct change *ch)
{
	struct worker *old[WORKERS_MAX];
	const uint32_t n_old = sw->n_workers;

	memcpy(old, sw->worker, sizeof(old));
	memcpy(sw->worker, ch->next, sizeof(sw->worker));
	sw->n_workers = ch->n;
	announce_wake(&sw->shared.announce, sw->worker[0]->wake_fd);
	sw_spread_queues(sw);
	// Those that leave have sent their last frame before this plan.
	sw->common.announcer = sw->worker[0]->id;
	sw->common.shared = ch->n > 1;
	sw_publish_surely(sw);
	for (uint32_t i = 0; i < n_old; i++) {
		if (is_in(ch, old[i]))
			continue;
		sw_take_last_events(sw, old[i]);
		worker_stop(old[i]);
	}
}

int switch_set_workers(struct sw *sw, const int32_t *cores, uint32_t n, struct error *err)
{
	uint8_t from[PORT_MAX][PORT_QUEUES_MAX];
	const struct plan_common old = sw->common;
	struct switch_config c = {.n_workers = n};
	struct change ch;

	if (n <= WORKERS_MAX)
		memcpy(c.cores, cores, n * sizeof(*cores));
	int rc = sw_check_workers(&c, err);
	if (rc == 0)
		rc = gather(sw, &c, &ch, err);
	if (rc < 0)
		return rc;
	take_queues(sw, &ch, from);
	sw->common.announcer = UNPOLLED;
	sw->common.shared = true;
	rc = sw_publish(sw);
	if (rc < 0) {
		sw->common = old;
		put_queues_back(sw, from);
		stop_new(&ch);
		return error_set(err, rc, "workers", "workers: out of memory");
	}
	become(sw, &ch);
	sw->config.n_workers = c.n_workers;
	memcpy(sw->config.cores, c.cores, sizeof(c.cores));
	return 0;
}
