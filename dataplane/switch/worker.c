// SPDX-License-Identifier: BSD-2-Clause
// The worker thread: passes, sleep, accounting.
#include "dataplane/switch/worker.h"

#include "dataplane/port/nudge.h"
#include "dataplane/port/rcu.h"
#include "dataplane/port/cycles.h"
#include "dataplane/switch/behind.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define unlikely(x) __builtin_expect(!!(x), 0)

#define WAKES_AT_ONCE 32

#define WORKER_NUDGE_NS 250000000

// Adds to a counter that control reads.
static inline void add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static const struct plan *plan_now(const struct worker *w)
{
	return __atomic_load_n(&w->shared->plan, __ATOMIC_ACQUIRE);
}

// --- A pass ---

// Sends a queued announcement as if its port had sent it; at the next pass if whoever queued it (and
// woke us) still holds the lock.
static void announce_pass(struct worker *w, const struct plan *plan)
{
	struct announcement a;

	if (!announce_take(&w->shared->announce, &a))
		return;
	const struct plan_port *in = &plan->port[a.port];
	if (!in->port)
		return;
	struct lane lane = {0};
	struct plan_rxq rq = {
		.port = in->port,
		.ops = in->port->ops,
		.lane = &lane,
		.stats = in->port->stats[w->id],
		.id = (uint16_t)a.port,
	};
	announce_frame(a.mac, &w->burst.f[0]);
	burst_begin(&w->burst);
	burst_add(&w->burst);
	w->burst.is_summed = false;
	forward(&w->forward, &rq, &w->burst);
}

static inline void coarse_time(struct worker *w, uint64_t now)
{
	if (unlikely((int64_t)(now - w->next_second) >= 0)) {
		w->forward.now = clock_s();
		w->next_second = now + w->shared->cycles_hz / 4;
	}
}

// Queues beyond these in one pass go without their part of what is shared out.
#define LAPS_MAX 64

// How long each queue of a pass with frames took.
struct laps {
	uint64_t from, last, sum;
	uint32_t n;
	struct {
		struct port_stats *stats;
		uint64_t cycles;
	} at[LAPS_MAX];
};

static void lap(struct laps *l, struct port_stats *stats)
{
	uint64_t now = cycles(), took = now - l->last;

	l->last = now;
	if (!stats || l->n == LAPS_MAX)
		return;
	l->at[l->n].stats = stats;
	l->at[l->n++].cycles = took;
	l->sum += took;
}

static void laps_count(const struct laps *l, uint64_t cycles_hz)
{
	double all = (double)(cycles() - l->from) * 1e9 * WORKER_TIMED_EACH / (double)cycles_hz;

	for (uint32_t i = 0; i < l->n && l->sum; i++)
		add(&l->at[i].stats->cpu_ns,
			(uint64_t)(all * (double)l->at[i].cycles / (double)l->sum));
}

// Lets the queues that are behind after this pass go on. Returns their frames.
static __attribute__((noinline)) uint32_t catch_up(
	struct worker *w, const struct behind *behind, struct laps *laps)
{
	struct forward *fw = &w->forward;
	const uint64_t end = cycles(), took = end - fw->cycles;
	uint32_t frames = 0;

	for (uint32_t i = 0; i < behind->n; i++) {
		const struct plan_rxq *rq = behind->rq[i];
		uint32_t got = FRAME_BURST, sum = 0;

		while (got == FRAME_BURST && behind_may_go_on(behind, i, took, cycles() - end)) {
			got = forward_queue(fw, rq, &w->burst);
			sum += got;
		}
		frames += sum;
		if (laps)
			lap(laps, sum ? rq->stats : NULL);
	}
	return frames;
}

static inline __attribute__((always_inline)) bool pass(
	struct worker *w, const struct plan *plan, struct laps *laps)
{
	struct forward *fw = &w->forward;
	struct burst *b = &w->burst;
	struct behind behind;
	uint32_t frames = 0;
	bool busy = false;

	behind.n = 0;
	behind.took = 0;
	fw->plan = plan;
	fw->fdb = plan->common.fdb;
	fw->shared = plan->common.shared;
	fw->cycles = cycles();
	coarse_time(w, fw->cycles);
	const uint32_t n = plan->n_rxq[w->id], first = forward_first(fw, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct plan_rxq *rq = &plan->rxq[w->id][forward_next(first, i, n)];
		const uint64_t from = rq->spills ? cycles() : 0;
		const uint32_t got = forward_queue(fw, rq, b);
		frames += got;
		if (laps)
			lap(laps, got ? rq->stats : NULL);
		if (unlikely(rq->spills && got == FRAME_BURST))
			behind_add(&behind, rq, cycles() - from);
	}
	if (unlikely(
		    w->id == plan->common.announcer && announce_is_pending(&w->shared->announce))) {
		announce_pass(w, plan);
		busy = true; // no sleep before all are sent
	}
	forward_notify(fw); // what was sent to a NIC leaves here, which is most of what it takes
	if (unlikely(behind.n)) {
		frames += catch_up(w, &behind, laps);
		forward_notify(fw);
	}
	if (frames)
		add(&w->counters.frames, frames);
	event_ring_tell(&w->events);
	return busy || frames;
}

bool worker_pass(struct worker *w, const struct plan *plan)
{
	return pass(w, plan, NULL);
}

__attribute__((noinline)) bool worker_pass_timed(struct worker *w, const struct plan *plan)
{
	struct laps laps;

	laps.n = 0;
	laps.sum = 0;
	laps.from = laps.last = cycles();
	bool busy = pass(w, plan, &laps);
	laps_count(&laps, w->shared->cycles_hz);
	w->random = w->random * 1664525 + 1013904223; // Numerical Recipes' generator
	w->to_timed = 1 + (uint32_t)((uint64_t)w->random * (2 * WORKER_TIMED_EACH - 1) >> 32);
	return busy;
}

// --- Sleep ---

static void disarm(const struct worker *w, const struct plan *plan)
{
	for (uint32_t i = 0; i < plan->n_rxq[w->id]; i++) {
		const struct plan_rxq *rq = &plan->rxq[w->id][i];
		rq->ops->disarm(rq->port, rq->q);
	}
}

// Asks all queues for wake-ups. True if there is work already. Every queue is armed even then:
// disarm follows in any case.
static bool arm(const struct worker *w, const struct plan *plan)
{
	bool more = false;

	for (uint32_t i = 0; i < plan->n_rxq[w->id]; i++) {
		const struct plan_rxq *rq = &plan->rxq[w->id][i];
		more |= rq->ops->arm(rq->port, rq->q);
	}
	return more;
}

// Counts whose kicks woke us. Queues may be gone by now: only those of the plan count.
static void count_kicks(
	struct worker *w, const struct plan *plan, const struct epoll_event *ev, int n)
{
	for (int i = 0; i < n; i++) {
		uint64_t id = ev[i].data.u64;
		if (id < PORT_MAX && plan->port[id].port)
			plan->port[id].port->stats[w->id]->kicks++;
	}
}

static void sleep_until_kicked(struct worker *w, const struct plan *plan)
{
	struct epoll_event ev[WAKES_AT_ONCE];

	if (!arm(w, plan)) {
		__atomic_store_n(&w->counters.asleep, 1, __ATOMIC_RELAXED);
		uint64_t from = clock_ns(CLOCK_MONOTONIC);
		rcu_offline();
		// A plan, announcement or stop that came after the last look has written the wake
		// descriptor, and so ends this wait at once.
		int n;
		do
			n = epoll_wait(w->epfd, ev, WAKES_AT_ONCE, -1);
		while (n < 0 && errno == EINTR);
		rcu_online();
		plan = plan_now(w); // the old one may be gone
		count_kicks(w, plan, ev, n);
		__atomic_store_n(&w->counters.asleep, 0, __ATOMIC_RELAXED);
		add(&w->counters.sleeps, 1);
		add(&w->counters.asleep_ns, clock_ns(CLOCK_MONOTONIC) - from);
	}
	disarm(w, plan);
}

// --- The thread ---

static void loop(struct worker *w)
{
	uint64_t last = cycles(), idle_since = last;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		const struct plan *plan = plan_now(w);
		if (unlikely(plan->seq != w->seq)) {
			w->seq = plan->seq;
			disarm(w, plan); // a queue may come from a worker that slept
		}
		bool busy = unlikely(--w->to_timed == 0) ? worker_pass_timed(w, plan)
							 : worker_pass(w, plan);
		uint64_t now = cycles();
		add(&w->counters.passes, 1);
		if (busy) {
			add(&w->counters.busy_passes, 1);
			add(&w->counters.busy_cycles, now - last);
			idle_since = now;
		} else {
			add(&w->counters.idle_cycles, now - last);
			const uint64_t idle_cycles = plan->common.idle_cycles;
			if (now - idle_since > idle_cycles / 4)
				cpu_relax();
			if (now - idle_since > idle_cycles && !plan->common.idle_poll) {
				sleep_until_kicked(w, plan);
				now = idle_since = cycles();
			}
		}
		last = now;
		rcu_quiet();
	}
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct nudge nudge;

	nudge_start(&nudge, WORKER_NUDGE_NS);
	rcu_register_thread();
	loop(w);
	rcu_unregister_thread();
	nudge_stop(&nudge);
	return NULL;
}

// --- Control's side ---

static int make_fds(struct worker *w)
{
	// Edge-triggered and never read, like the kicks.
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = UINT64_MAX};

	w->epfd = epoll_create1(EPOLL_CLOEXEC);
	w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->epfd < 0 || w->wake_fd < 0 || epoll_ctl(w->epfd, EPOLL_CTL_ADD, w->wake_fd, &ev) < 0)
		return -errno;
	return 0;
}

static void worker_free(struct worker *w)
{
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	if (w->epfd >= 0)
		close(w->epfd);
	event_ring_fini(&w->events);
	free(w);
}

// Starts the thread on its core, with all signals blocked but the one that says that a guest's memory
// has gone (vhost_fault.h), and later the one that interrupts it (nudge.h).
static int make_thread(struct worker *w)
{
	pthread_attr_t attr;
	sigset_t all, old;
	cpu_set_t cpus;
	char name[16];

	pthread_attr_init(&attr);
	if (w->core >= 0) {
		CPU_ZERO(&cpus);
		CPU_SET((unsigned)w->core, &cpus);
		pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	}
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(&w->thread, &attr, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (rc)
		return -rc;
	w->running = true;
	snprintf(name, sizeof(name), "weft-worker-%u", w->id % 100);
	pthread_setname_np(w->thread, name);
	return 0;
}

int worker_start(struct workers *shared, uint32_t id, int32_t core, int event_fd,
	struct worker **out, struct error *err)
{
	struct worker *w = aligned_alloc(64, (sizeof(*w) + 63) / 64 * 64);
	int rc;

	if (!w)
		return error_set(err, -ENOMEM, "workers", "workers: out of memory");
	memset(w, 0, sizeof(*w));
	w->id = id;
	w->core = core;
	w->shared = shared;
	w->random = id;
	w->to_timed = 1;
	w->epfd = w->wake_fd = -1;
	rc = make_fds(w);
	if (rc == 0)
		rc = event_ring_init(&w->events, event_fd);
	if (rc < 0)
		goto fail;
	forward_init(&w->forward, id, true, NULL, &w->events); // the plan says the rest
	w->next_second = cycles();                             // read the clock in the first pass
	rc = make_thread(w);
	if (rc < 0)
		goto fail;
	*out = w;
	return 0;
fail:
	worker_free(w);
	return error_set(
		err, rc, "workers", "workers: worker %u on core %d: %s", id, core, strerror(-rc));
}

void worker_wake(struct worker *w)
{
	eventfd_write(w->wake_fd, 1);
}

void worker_stop(struct worker *w)
{
	if (!w)
		return;
	if (w->running) {
		__atomic_store_n(&w->stop, 1, __ATOMIC_RELAXED);
		worker_wake(w);
		pthread_join(w->thread, NULL);
	}
	worker_free(w);
}

static uint64_t get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void worker_get(const struct worker *w, struct switch_worker *out)
{
	const struct worker_counters *c = &w->counters;
	clockid_t cpu;

	*out = (struct switch_worker){
		.id = w->id,
		.core = w->core,
		.asleep = __atomic_load_n(&c->asleep, __ATOMIC_RELAXED),
		.passes = get(&c->passes),
		.busy_passes = get(&c->busy_passes),
		.frames = get(&c->frames),
		.busy_cycles = get(&c->busy_cycles),
		.idle_cycles = get(&c->idle_cycles),
		.cycles_hz = w->shared->cycles_hz,
		.sleeps = get(&c->sleeps),
		.asleep_ns = get(&c->asleep_ns),
	};
	if (pthread_getcpuclockid(w->thread, &cpu) == 0)
		out->cpu_ns = clock_ns(cpu);
}
