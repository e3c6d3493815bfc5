// SPDX-License-Identifier: BSD-2-Clause
// From a destination's list to its transmit queues: link, tags, offloads, length, queue, lock.
#include "dataplane/switch/deliver.h"

#include "dataplane/frame/eth.h"
#include "dataplane/frame/offload.h"
#include "dataplane/port/cycles.h"
#include "dataplane/switch/tape.h"

#include <sched.h>
#include <string.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define LOCK_SPINS 4096u // pauses before the CPU is left to others

_Static_assert((int)PORT_OFFLOAD_CSUM == (int)OFFLOAD_CSUM &&
		       (int)PORT_OFFLOAD_TSO4 == (int)OFFLOAD_TSO4 &&
		       (int)PORT_OFFLOAD_TSO6 == (int)OFFLOAD_TSO6 &&
		       (int)PORT_OFFLOAD_ECN == (int)OFFLOAD_ECN &&
		       (int)PORT_OFFLOAD_USO4 == (int)OFFLOAD_USO4 &&
		       (int)PORT_OFFLOAD_USO6 == (int)OFFLOAD_USO6,
	"a port's offloads are those of frames");

// Holders copy one list and let go. Only one that the kernel has put aside (workers that share a
// core) keeps others waiting: they let it run.
static void lock(const struct forward *fw, struct port *port, unsigned q)
{
	if (!fw->shared)
		return;
	for (unsigned spins = 1; __atomic_exchange_n(&port->tx_locks[q], 1, __ATOMIC_ACQUIRE);)
		for (; __atomic_load_n(&port->tx_locks[q], __ATOMIC_RELAXED); spins++) {
			cpu_relax();
			if (spins % LOCK_SPINS == 0)
				sched_yield();
		}
}

static void unlock(const struct forward *fw, struct port *port, unsigned q)
{
	if (fw->shared)
		__atomic_store_n(&port->tx_locks[q], 0, __ATOMIC_RELEASE);
}

static bool try_lock(const struct forward *fw, struct port *port, unsigned q)
{
	return !fw->shared || !__atomic_exchange_n(&port->tx_locks[q], 1, __ATOMIC_ACQUIRE);
}

static inline void touch_tx(struct forward *fw, uint32_t id, unsigned q)
{
	if (!(fw->rx_queues[id] | fw->tx_queues[id]))
		fw->ports[fw->n_ports++] = (uint16_t)id;
	fw->tx_queues[id] |= (uint16_t)(1u << q);
}

void forward_notify(struct forward *fw)
{
	if (!fw->n_ports)
		return;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < fw->n_ports; i++) {
		const uint32_t id = fw->ports[i];
		struct port *port = fw->plan->port[id].port;
		struct port_stats *st = port->stats[fw->worker];
		const unsigned rx = fw->rx_queues[id], tx = fw->tx_queues[id];

		fw->rx_queues[id] = fw->tx_queues[id] = 0;
		for (unsigned todo = rx | tx; todo; todo &= todo - 1) {
			unsigned q = (unsigned)__builtin_ctz(todo);
			unsigned dirs = (rx >> q & 1 ? PORT_RX : 0) | (tx >> q & 1 ? PORT_TX : 0);
			if (dirs & PORT_TX)
				lock(fw, port, q);
			port->ops->notify(port, q, dirs, st);
			if (dirs & PORT_TX)
				unlock(fw, port, q);
		}
	}
	fw->n_ports = 0;
}

// Copies frames to one queue. Returns how many of the list were dealt with.
static inline uint32_t transmit(struct forward *fw, const struct plan_port *out, unsigned q,
	const struct frame *f, const uint8_t *list, uint32_t n)
{
	struct port *port = out->port;

	lock(fw, port, q);
	uint32_t done = port->ops->tx(port, q, f, list, n, port->stats[fw->worker]);
	unlock(fw, port, q);
	touch_tx(fw, port->id, q);
	if (unlikely(out->tape != NULL) && done)
		tape_frames(out->tape, fw->worker, CAPTURE_TX, f, list, done);
	return done;
}

// How many frames of a full burst will go where n of this one do.
static uint8_t part_of(const struct forward *fw, uint32_t n)
{
	return (uint8_t)(n == fw->burst->n ? FRAME_BURST : n);
}

static void keep(struct forward *fw, const struct plan_port *out, unsigned q, const uint8_t *list,
	uint32_t n)
{
	struct port *port = out->port;

	if (fw->n_retries == RETRY_MAX) {
		port->stats[fw->worker]->drop[DROP_ring_full] += n;
		return;
	}
	struct retry *r = &fw->retry[fw->n_retries++];
	r->port = (uint16_t)port->id;
	r->q = (uint16_t)q;
	r->list.n = n;
	memcpy(r->list.f, list, n);
}

// The queue that n frames of the burst went to is the one to look at before the next is taken.
static void remember(struct forward *fw, uint32_t id, unsigned q, uint32_t n, uint32_t each)
{
	struct lane *lane = fw->rxq->lane;

	if (lane->to.port != id)
		lane->elsewhere = fw->cycles;
	lane->to = (struct outlet){.port = (uint16_t)id,
		.each = (uint16_t)each,
		.q = (uint8_t)q,
		.part = part_of(fw, n),
		.is_known = true};
}

// Frames of the burst for this queue, n altogether, found no room there.
static void remember_short(
	struct forward *fw, const struct plan_port *out, unsigned q, uint32_t n, uint32_t each)
{
	remember(fw, out->port->id, q, n, each);
	fw->is_short = true;
}

static inline void offer(struct forward *fw, const struct plan_port *out, unsigned q,
	const uint8_t *list, uint32_t n)
{
	uint32_t done = transmit(fw, out, q, fw->burst->f, list, n);

	if (likely(done == n))
		return;
	keep(fw, out, q, list + done, n - done);
	if (!(fw->burst->f[list[0]].flags & FRAME_FLOOD))
		remember_short(fw, out, q, n, 1);
}

// The transmit queue of a frame's flow among n_txq, which are PORT_QUEUES_MAX at most.
static unsigned queue_of(const struct frame *f, uint32_t n_txq)
{
	return (unsigned)((uint64_t)eth_flow_hash(f) * n_txq >> 32);
}

// Splits a list over the queues so that each flow stays on one of them.
static void spread(struct forward *fw, const struct plan_port *out, uint32_t n_txq,
	const struct frame_list *list)
{
	struct frame_list part[PORT_QUEUES_MAX];
	uint32_t used = 0;

	fw->is_spread = true;
	for (uint32_t i = 0; i < list->n; i++) {
		unsigned q = queue_of(&fw->burst->f[list->f[i]], n_txq);
		if (!(used >> q & 1)) {
			used |= 1u << q;
			part[q].n = 0;
		}
		part[q].f[part[q].n++] = list->f[i];
	}
	for (; used; used &= used - 1) {
		unsigned q = (unsigned)__builtin_ctz(used);
		offer(fw, out, q, part[q].f, part[q].n);
	}
}

static inline void offer_all(
	struct forward *fw, const struct plan_port *out, const struct frame_list *list)
{
	uint32_t n_txq = port_load(&out->port->n_txq);

	if (!list->n)
		return;
	if (likely(n_txq <= 1))
		offer(fw, out, 0, list->f, list->n);
	else
		spread(fw, out, n_txq, list);
}

// --- Frames that do not leave as they are ---

// From here on each frame says by itself which VLAN it is in and whether it is tagged.
static void burst_unplain(struct forward *fw)
{
	if (!fw->plain)
		return;
	fw->plain = false;
	for (uint32_t i = 0; i < fw->burst->n; i++) {
		fw->burst->f[i].tci = fw->vid;
		fw->burst->f[i].flags &= ~FRAME_TAGGED;
	}
}

static void list_retag(struct forward *fw, const struct plan_port *out, struct frame_list *list)
{
	uint32_t n = 0;

	burst_unplain(fw);
	for (uint32_t i = 0; i < list->n; i++) {
		struct frame *f = &fw->burst->f[list->f[i]];
		if (vlan_egress(out->vlan, f))
			list->f[n++] = list->f[i];
	}
	out->port->stats[fw->worker]->drop[DROP_vlan] += list->n - n;
	list->n = n;
}

// What the frame, or each it is cut into, is longer than the payload that an MTU counts.
static uint32_t wire_len(const struct frame *f)
{
	return f->flags & FRAME_OFFLOAD ? offload_wire_len(f) : f->len;
}

static void list_cut_long(struct forward *fw, const struct plan_port *out, struct frame_list *list)
{
	const uint32_t mtu = port_load(&out->port->mtu);
	uint32_t n = 0;

	for (uint32_t i = 0; i < list->n; i++) {
		const struct frame *f = &fw->burst->f[list->f[i]];
		bool tagged = !fw->plain && f->flags & FRAME_TAGGED;
		if (wire_len(f) <= mtu + ETH_HDR_LEN + (tagged ? ETH_TAG_LEN : 0))
			list->f[n++] = list->f[i];
	}
	out->port->stats[fw->worker]->drop[DROP_too_long] += list->n - n;
	list->n = n;
}

// Sends what a large frame is cut into. The parts live in scratch until the next are made, so what
// finds no room is polled again at once, then dropped with the rest of its frame. *full: the last frame
// found no room. Then one part shows whether this does: to make a burst of them for nothing costs more than
// most bursts do, and others wait meanwhile.
static void send_parts(
	struct forward *fw, const struct plan_port *out, const struct frame *f, bool *full)
{
	struct port_stats *st = out->port->stats[fw->worker];
	const uint32_t n_txq = port_load(&out->port->n_txq);
	const unsigned q = n_txq > 1 ? queue_of(f, n_txq) : 0;
	struct offload_segmenter s;
	uint8_t all[FRAME_BURST];
	uint32_t max = *full ? 1 : FRAME_BURST;
	int n;

	for (unsigned i = 0; i < FRAME_BURST; i++)
		all[i] = (uint8_t)i;
	offload_segmenter_init(&s, f, port_load(&out->port->offloads));
	fw->each = offload_cut(s.left, s.gso_size);
	fw->is_spread = true;
	while ((n = offload_segment_next(&s, fw->parts.f, max, fw->views, SEGMENT_VIEWS)) > 0) {
		uint32_t done = transmit(fw, out, q, fw->parts.f, all, (uint32_t)n);
		if (done < (uint32_t)n)
			done += transmit(fw, out, q, fw->parts.f, all + done, (uint32_t)n - done);
		*full = done < (uint32_t)n;
		max = FRAME_BURST;
		if (*full) {
			st->drop[DROP_ring_full] +=
				(uint32_t)n - done + offload_cut(s.left, s.gso_size);
			if (!(f->flags & FRAME_FLOOD))
				remember_short(fw, out, q, FRAME_BURST, fw->each);
			return;
		}
	}
	if (n < 0)
		st->drop[DROP_no_offload] += offload_cut(s.left, s.gso_size);
}

// Completes what the receiver cannot: checksums in place; large frames go out in pieces, in their
// place among the others.
static void offer_completed(
	struct forward *fw, const struct plan_port *out, const struct frame_list *list)
{
	const uint32_t offloads = port_load(&out->port->offloads);
	struct frame_list run = {.n = 0};
	bool full = false;

	for (uint32_t i = 0; i < list->n; i++) {
		struct frame *f = &fw->burst->f[list->f[i]];
		bool lacks = f->flags & FRAME_OFFLOAD && offload_needs(f) & ~offloads;
		if (lacks && offload_is_segment(f)) {
			offer_all(fw, out, &run);
			run.n = 0;
			send_parts(fw, out, f, &full);
			continue;
		}
		if (lacks)
			offload_complete_csum(f);
		run.f[run.n++] = list->f[i];
	}
	offer_all(fw, out, &run);
}

static bool must_retag(const struct forward *fw, const struct plan_port *out)
{
	return !fw->plain || vlan_leaves_tagged(out->vlan, fw->vid);
}

static void drop_port_down(struct forward *fw, const struct plan_port *out, struct frame_list *list)
{
	uint32_t n = 0;

	// Flooded frames were not meant for this port in particular.
	for (uint32_t i = 0; i < list->n; i++)
		n += !(fw->burst->f[list->f[i]].flags & FRAME_FLOOD);
	out->port->stats[fw->worker]->drop[DROP_port_down] += n;
}

void deliver(struct forward *fw, uint32_t id, struct frame_list *list)
{
	const struct plan_port *out = &fw->plan->port[id];
	struct port *port = out->port;

	if (unlikely(port_load(&port->link) != PORT_LINK_UP)) {
		drop_port_down(fw, out, list);
		return;
	}
	if (unlikely(must_retag(fw, out)))
		list_retag(fw, out, list);
	if (unlikely(fw->burst->longest > port_load(&port->mtu) + ETH_HDR_LEN))
		list_cut_long(fw, out, list);
	if (unlikely(fw->burst->flags & FRAME_OFFLOAD))
		offer_completed(fw, out, list);
	else
		offer_all(fw, out, list);
}

void deliver_remember(struct forward *fw, uint32_t id, uint8_t at, uint32_t n)
{
	const uint32_t n_txq = port_load(&fw->plan->port[id].port->n_txq);
	const struct frame *f = &fw->burst->f[at];

	if (n != fw->burst->n)
		fw->rxq->lane->elsewhere = fw->cycles;
	// What goes to several ports waits for none of them.
	if (unlikely(fw->is_short || f->flags & FRAME_FLOOD))
		return;
	remember(fw, id, unlikely(n_txq > 1) ? queue_of(f, n_txq) : 0, n, fw->each);
}

#define ROOM_UNKNOWN UINT32_MAX

// How many of n frames there is room for where the last ones went, if that is known. Unknown while another
// worker is at that queue.
static uint32_t room_for(struct forward *fw, const struct outlet *to, uint32_t n)
{
	struct port *port = fw->plan->port[to->port].port;

	if (unlikely(!port || !port->ops->tx_room || port_load(&port->link) != PORT_LINK_UP))
		return n;
	if (!try_lock(fw, port, to->q))
		return ROOM_UNKNOWN;
	const uint32_t need = (n * to->part + FRAME_BURST - 1) / FRAME_BURST * to->each;
	const uint32_t room = port->ops->tx_room(port, to->q, need, port->stats[fw->worker]);
	unlock(fw, port, to->q);
	return likely(room >= need) ? n : room * n / need;
}

uint32_t deliver_room(struct forward *fw, const struct plan_rxq *rq)
{
	const uint64_t limit = fw->plan->common.patience;
	struct lane *lane = rq->lane;
	struct patience *p = &lane->patience;

	if (unlikely(!lane->to.is_known || !limit || !rq->ops->rx_backlog))
		return FRAME_BURST;
	const uint32_t n = rq->ops->rx_backlog(rq->port, rq->q, FRAME_BURST, rq->stats);
	if (!n || unlikely(n == PORT_BACKLOG_UNKNOWN)) {
		patience_end(p);
		return n ? FRAME_BURST : 0;
	}
	const uint32_t frames = room_for(fw, &lane->to, n);
	if (likely(frames == n)) {
		patience_end(p);
		return n;
	}
	const bool alone = fw->cycles - lane->elsewhere > limit * PATIENCE_CREDIT;
	// What waits goes on waiting; else there is most often room.
	if (unlikely(frames == ROOM_UNKNOWN))
		return p->since && patience_lasts(p, fw->cycles, limit, alone) ? 0 : n;
	// Of those that wait for the same receiver, another has the first choice in the next pass.
	fw->first = (uint32_t)(rq - fw->plan->rxq[fw->worker]);
	patience_moves(p, fw->cycles, limit, frames);
	if (!patience_lasts(p, fw->cycles, limit, alone)) {
		patience_lost(p, fw->cycles);
		return n; // what finds no room will be dropped
	}
	const double ticks = (double)patience_wait(p, fw->cycles, limit, alone);
	rq->stats->waited_ns += (uint64_t)(ticks * 1e9 / (double)rq->port->cycles_hz);
	return frames;
}

void deliver_soon(struct forward *fw, uint32_t id, uint32_t n)
{
	struct port *port = fw->plan->port[id].port;

	if (!port->ops->tx_fetch || port_load(&port->n_txq) > 1 || !try_lock(fw, port, 0))
		return;
	port->ops->tx_fetch(port, 0, n, fw->burst->longest);
	unlock(fw, port, 0);
}

void deliver_retry(struct forward *fw)
{
	for (uint32_t i = 0; i < fw->n_retries; i++) {
		struct retry *r = &fw->retry[i];
		const struct plan_port *out = &fw->plan->port[r->port];
		// Another destination may have changed the tags since.
		if (must_retag(fw, out))
			list_retag(fw, out, &r->list);
		uint32_t n = r->list.n;
		uint32_t done = transmit(fw, out, r->q, fw->burst->f, r->list.f, n);
		out->port->stats[fw->worker]->drop[DROP_ring_full] += n - done;
	}
	fw->n_retries = 0;
}
