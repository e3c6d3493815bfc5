// SPDX-License-Identifier: BSD-2-Clause
// One ring of a guest's network card while it runs: start, stop, notification, and the frames of
// rare shapes. The loops over a burst are in vhost_burst.c.
#include "dataplane/port/vhost_ring.h"

#include "dataplane/frame/offload.h"
#include "dataplane/port/cycles.h"
#include "dataplane/port/vhost_features.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

// Chain walks fill views of frames in place.
_Static_assert(sizeof(struct vq_seg) == sizeof(struct frame_seg) &&
		       offsetof(struct vq_seg, base) == offsetof(struct frame_seg, base) &&
		       offsetof(struct vq_seg, len) == offsetof(struct frame_seg, len),
	"a segment of guest memory is a view of a frame");

// Descriptors of chains of rare shapes that one call looks at, before it leaves the rest to the next:
// 64 for each frame of a burst. A guest may offer chains as long as its ring, without a byte in them,
// and while they are followed all other guests wait.
#define LOOKS_MAX (64 * FRAME_BURST)

// A call takes a microsecond or two. But who is told by an eventfd decides its owner, and each of those who wait
// for it is looked at in the write: a million of them take a fifth of a second, which nothing interrupts. Calls
// that take longer than this one after the other are no chance. The first may have been put aside by the kernel;
// from then on only the CPU's time counts. That has the kernel's interrupts in it, up to 2 ms of received frames at
// a time: so it takes more of them than one core sees in a row.
#define CALL_NS        200000
#define SLOW_CALLS_MAX 4
#define SLOW_CALLS_NS  20000000

// Views at least; more than a frame of 64 KiB in buffers of 64 bytes takes.
#define SEGS_MIN 2048

// The burst loops for this CPU. Set by the first vhost_ring_start, before any worker sees a ring.
static const struct vhost_burst_ops *burst_ops;

static const struct vhost_burst_ops *choose_isa(void)
{
#ifdef __x86_64__
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2"))
		return &vhost_burst_avx512;
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
		return &vhost_burst_avx2;
#endif
	return &vhost_burst_base;
}

const char *vhost_ring_isa(void)
{
	return choose_isa()->isa;
}

// How far ahead of what is copied is fetched (measured: docs/performance.md). AMD's cores have the
// first lines of a whole burst under way at once; Intel's have room for about ten, and what finds none holds up
// what is behind it.
static void choose_ahead(struct vhost_ring *r)
{
	r->ahead = 8;
	r->bodies_ahead = 1;
#ifdef __x86_64__
	__builtin_cpu_init();
	if (__builtin_cpu_is("amd")) {
		r->ahead = FRAME_BURST;
		r->bodies_ahead = 4;
	}
#endif
}

int vhost_ring_start(struct vhost_ring *r, const struct vhost_ring_config *c)
{
	uint32_t max_segs = c->size > SEGS_MIN ? c->size : SEGS_MIN;
	const struct slow_calls slow = r->slow;
	int rc;

	burst_ops = choose_isa();
	memset(r, 0, sizeof(*r));
	r->slow = slow;
	r->callfd = r->kickfd = -1;
	r->chains_each = 1;
	choose_ahead(r);
	rc = vq_device_init(&r->vq, VQ_MAX_SIZE);
	if (rc)
		return rc;
	vq_device_set_event_idx(&r->vq, c->features & FEATURE(VIRTIO_RING_F_EVENT_IDX));
	rc = vq_device_set_rings(&r->vq, c->size, c->desc, c->avail, c->used);
	if (rc)
		return rc;
	vq_device_set_next(&r->vq, c->next_avail, c->next_used);
	r->mem = c->mem;
	r->stuck = c->stuck;
	if (c->log)
		r->log = *c->log;
	r->log_used = c->log_used;
	r->hdr_len = vhost_features_hdr_len(c->features);
	r->mergeable = c->features & FEATURE(VIRTIO_NET_F_MRG_RXBUF);
	r->offloads = vhost_features_sends_offloads(c->features);
	r->discard = c->discard;
	// A driver may not make a chain longer than the queue (2.7.5.3.1).
	r->max_indirect = c->features & FEATURE(VIRTIO_RING_F_INDIRECT_DESC) ? c->size : 0;
	r->gso_allowed = 1u << VIRTIO_NET_HDR_GSO_NONE;
	if (c->features & FEATURE(VIRTIO_NET_F_HOST_TSO4))
		r->gso_allowed |= 1u << VIRTIO_NET_HDR_GSO_TCPV4;
	if (c->features & FEATURE(VIRTIO_NET_F_HOST_TSO6))
		r->gso_allowed |= 1u << VIRTIO_NET_HDR_GSO_TCPV6;
	if (c->features & FEATURE(VIRTIO_NET_F_HOST_USO))
		r->gso_allowed |= 1u << VIRTIO_NET_HDR_GSO_UDP_L4;
	r->max_segs = max_segs;
	r->segs = calloc(max_segs, sizeof(*r->segs));
	if (!r->segs)
		return -ENOMEM;
	r->callfd = c->callfd >= 0 ? dup(c->callfd) : -1;
	r->kickfd = c->kickfd >= 0 ? dup(c->kickfd) : -1;
	if ((c->callfd >= 0 && r->callfd < 0) || (c->kickfd >= 0 && r->kickfd < 0)) {
		rc = -errno;
		vhost_ring_stop(r);
		return rc;
	}
	vhost_ring_disarm(r);
	return 0;
}

void vhost_ring_stop(struct vhost_ring *r)
{
	if (r->callfd >= 0)
		close(r->callfd);
	if (r->kickfd >= 0)
		close(r->kickfd);
	r->callfd = r->kickfd = -1;
	free(r->segs);
	r->segs = NULL;
	vq_device_unmap(&r->vq);
}

uint32_t vhost_ring_lend(struct vhost_ring *r, struct burst *b, uint32_t max, struct port_stats *st)
{
	return burst_ops->lend(r, b, max, st);
}

uint32_t vhost_ring_deliver(struct vhost_ring *r, const struct frame *f, const uint8_t *list,
	uint32_t n, struct port_stats *st)
{
	return burst_ops->deliver(r, f, list, n, st);
}

uint32_t vhost_ring_room(struct vhost_ring *r, uint32_t want)
{
	const uint64_t most =
		(uint64_t)want * r->chains_each; // of more than the ring has, all count
	const uint32_t chains =
		vq_device_avail(&r->vq, most < r->vq.size ? (uint32_t)most : r->vq.size);

	if (r->vq.broken)
		return want; // what is sent there is dropped for another reason
	return r->chains_each == 1 ? chains : chains / r->chains_each;
}

void vhost_ring_fetch(struct vhost_ring *r, uint32_t n, uint32_t longest)
{
	burst_ops->fetch(r, n, longest);
}

// --- Dirty log: every write to guest memory while a migration runs ---

static void log_host(const struct vhost_ring *r, const void *p, uint64_t len)
{
	for (uint32_t i = 0; i < r->mem->n; i++) {
		const struct guestmem_region *g = &r->mem->regions[i];
		uint64_t off = (uint64_t)((const uint8_t *)p - g->hva);

		if (off < g->size) {
			dirty_log_mark(&r->log, g->gpa + off, len);
			return;
		}
	}
}

static void log_used(const struct vhost_ring *r, uint64_t offset, uint64_t len)
{
	dirty_log_mark(&r->log, r->log_used + offset, len);
}

static void used_write(struct vhost_ring *r, unsigned i, uint16_t id, uint32_t len)
{
	vq_device_used(&r->vq, i, id, len);
	if (r->log.base)
		log_used(r,
			offsetof(struct vring_used, ring) +
				(uint64_t)vq_device_used_slot(&r->vq, i) *
					sizeof(struct vring_used_elem),
			sizeof(struct vring_used_elem));
}

void vhost_ring_publish(struct vhost_ring *r)
{
	vq_device_publish(&r->vq);
	if (r->log.base)
		log_used(r, offsetof(struct vring_used, idx), sizeof(uint16_t));
}

void vhost_ring_give_back(struct vhost_ring *r)
{
	uint32_t n = r->n_taken;

	if (!n)
		return;
	if (r->log.base)
		for (uint32_t i = 0; i < n; i++)
			used_write(r, i, r->taken[i], 0);
	else
		burst_ops->give_back(r);
	vq_device_add(&r->vq, n);
	r->n_taken = 0;
	vhost_ring_publish(r);
}

// --- Notification ---

// An eventfd at its limit is readable already: EAGAIN counts as delivered. A VMM that has made it blocking again
// holds the worker up until worker_main()'s timer interrupts the write, once.
static void call(struct vhost_ring *r)
{
	const clockid_t clock = r->slow.n ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
	const uint64_t from = clock_ns(clock);
	const bool waited = eventfd_write(r->callfd, 1) && errno == EINTR;
	const uint64_t took = clock_ns(clock) - from;

	if (took > CALL_NS)
		r->slow.ns += r->slow.n++ ? took : 0;
	else
		r->slow = (struct slow_calls){0};
	if (waited || (r->slow.n > SLOW_CALLS_MAX && r->slow.ns > SLOW_CALLS_NS))
		__atomic_store_n(r->stuck, true, __ATOMIC_RELAXED);
}

void vhost_ring_notify(struct vhost_ring *r, struct port_stats *st)
{
	if (!vq_device_needs_notification(&r->vq)) {
		st->suppressed++;
		return;
	}
	st->notified++;
	if (r->callfd >= 0 && !__atomic_load_n(r->stuck, __ATOMIC_RELAXED))
		call(r);
}

void vhost_ring_refuse(struct vhost_ring *r, struct port_stats *st)
{
	if (!r->n_taken)
		return;
	vhost_ring_give_back(r);
	vq_fence();
	vhost_ring_notify(r, st);
}

static void log_event(struct vhost_ring *r)
{
	if (!r->log.base)
		return;
	log_used(r, 0, sizeof(struct vring_used));
	log_used(r,
		sizeof(struct vring_used) + (uint64_t)r->vq.size * sizeof(struct vring_used_elem),
		sizeof(uint16_t));
}

bool vhost_ring_arm(struct vhost_ring *r)
{
	bool more = vq_device_enable_notification(&r->vq);

	log_event(r);
	return more && !r->vq.broken;
}

void vhost_ring_disarm(struct vhost_ring *r)
{
	vq_device_disable_notification(&r->vq);
	log_event(r);
}

// --- Chains of any shape ---

// Follows a chain, and counts what that took; of one that is refused, what it can have taken at most.
static int walk(struct vhost_ring *r, uint16_t head, unsigned at, struct vq_chain *chain)
{
	const struct vq_table table = {r->vq.desc, r->vq.size, r->max_indirect};
	int rc = vq_chain_walk(&table, r->mem, &r->cache, head, (struct vq_seg *)r->segs + at,
		r->max_segs - at, chain);

	r->n_looks += rc ? (uint32_t)r->vq.size + r->max_indirect : chain->n_desc + 1u;
	return rc;
}

// --- From the guest ---

// Takes `len` bytes off the front of *segs, into `to` if it is not NULL. The caller knows that
// there are so many.
static struct frame_seg *segs_take(struct frame_seg *seg, unsigned *n, void *to, uint32_t len)
{
	uint8_t *out = to;

	while (len) {
		uint32_t part = seg->len < len ? seg->len : len;

		memcpy(out, seg->base, part);
		out += part;
		len -= part;
		seg->base += part;
		seg->len -= part;
		if (!seg->len) {
			seg++;
			(*n)--;
		}
	}
	return seg;
}

static bool header_claims(const struct vhost_ring *r, const uint8_t *hdr, struct frame *f)
{
	struct virtio_net_hdr h;

	memcpy(&h, hdr, sizeof(h));
	if (!(h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && h.gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return false;
	// VERSION_1 is little-endian; a legacy guest shares our byte order (2.4.3).
	if (r->hdr_len == sizeof(struct virtio_net_hdr_mrg_rxbuf)) {
		h.hdr_len = le16toh(h.hdr_len);
		h.gso_size = le16toh(h.gso_size);
		h.csum_start = le16toh(h.csum_start);
		h.csum_offset = le16toh(h.csum_offset);
	}
	f->offload = h;
	return true;
}

static enum vhost_ring_take drop(struct port_stats *st, enum drop_reason why)
{
	st->drop[why]++;
	return TAKE_DROPPED;
}

enum vhost_ring_take vhost_ring_lend_chain(
	struct vhost_ring *r, uint16_t head, struct frame *f, struct port_stats *st)
{
	struct frame_seg *segs = r->segs + r->n_segs;
	uint8_t hdr[sizeof(struct virtio_net_hdr_mrg_rxbuf)];
	struct vq_chain chain;
	unsigned n;
	int rc;

	if (r->n_looks >= LOOKS_MAX)
		return TAKE_LATER;
	rc = walk(r, head, r->n_segs, &chain);
	if (rc == -ENOSPC && r->n_segs)
		return TAKE_LATER;
	if (rc)
		return drop(st, rc == -EFAULT ? DROP_bad_address : DROP_malformed);
	if (chain.n_writable)
		return drop(st, DROP_malformed);
	if (chain.readable_len < r->hdr_len + FRAME_LEN_MIN)
		return drop(st, DROP_too_short);
	if (chain.readable_len > r->hdr_len + FRAME_LEN_MAX)
		return drop(st, DROP_too_long);
	n = chain.n_readable;
	r->n_segs += n;
	segs = segs_take(segs, &n, hdr, r->hdr_len);

	frame_begin(f, (uint32_t)(chain.readable_len - r->hdr_len), 0);
	frame_set_segs(f, segs, n);
	(void)frame_pull(f, f->len < FRAME_HEAD ? f->len : FRAME_HEAD);
	if (r->offloads && header_claims(r, hdr, f)) {
		uint8_t gso = f->offload.gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

		if (gso > 63 || !(r->gso_allowed >> gso & 1))
			return drop(st, DROP_malformed);
		rc = offload_check(f);
		if (rc)
			return drop(st, rc == -E2BIG ? DROP_no_offload : DROP_malformed);
	}
	return TAKE_LENT;
}

// --- To the guest ---

// Where the next bytes go: a run of writable segments.
struct sink {
	struct vhost_ring *r;
	struct vq_seg *seg;
	uint32_t off;
};

static void sink_write(struct sink *s, const void *from, uint32_t len)
{
	const uint8_t *in = from;

	while (len) {
		uint32_t room = s->seg->len - s->off;
		uint32_t part = room < len ? room : len;

		memcpy(s->seg->base + s->off, in, part);
		if (s->r->log.base)
			log_host(s->r, s->seg->base + s->off, part);
		in += part;
		len -= part;
		s->off += part;
		if (s->off == s->seg->len) {
			s->seg++;
			s->off = 0;
		}
	}
}

static void sink_frame(struct sink *s, const struct frame *f, uint16_t n_buffers)
{
	struct virtio_net_hdr_mrg_rxbuf hdr = {0};

	if (f->flags & FRAME_OFFLOAD) {
		hdr.hdr = f->offload;
		if (s->r->hdr_len == sizeof(hdr)) {
			hdr.hdr.hdr_len = htole16(hdr.hdr.hdr_len);
			hdr.hdr.gso_size = htole16(hdr.hdr.gso_size);
			hdr.hdr.csum_start = htole16(hdr.hdr.csum_start);
			hdr.hdr.csum_offset = htole16(hdr.hdr.csum_offset);
		}
	}
	hdr.num_buffers = htole16(n_buffers);
	sink_write(s, &hdr, s->r->hdr_len);
	sink_write(s, frame_head_const(f), f->head_len);
	const struct frame_seg *segs = frame_segs_const(f);
	for (unsigned i = 0; i < f->n_segs; i++)
		sink_write(s, segs[i].base, segs[i].len);
}

// Gives back the next n chains, whose lengths are in len[] (NULL: all 0).
static void consume(struct vhost_ring *r, unsigned n, const uint16_t *heads, const uint32_t *len)
{
	for (unsigned i = 0; i < n; i++)
		used_write(r, i, heads[i], len ? len[i] : 0);
	vq_device_pop(&r->vq, n);
	vq_device_add(&r->vq, n);
}

// Chains that one frame may take at most: enough for the longest over buffers of 64 bytes.
#define MERGE_MAX 1100

bool vhost_ring_deliver_one(struct vhost_ring *r, const struct frame *f, struct port_stats *st)
{
	const bool first = !r->n_looks; // of this call: it may have all the looks
	uint64_t want = r->hdr_len + (uint64_t)f->len, have = 0;
	unsigned max = r->mergeable ? MERGE_MAX : 1, n = 0, n_segs = 0;
	uint16_t heads[MERGE_MAX];
	uint32_t lens[MERGE_MAX];
	struct sink sink = {r, (struct vq_seg *)r->segs, 0};

	while (have < want) {
		struct vq_chain chain;
		int rc = 0;

		if (n == max) {
			st->drop[DROP_too_long]++;
			return true;
		}
		if (r->n_looks >= LOOKS_MAX) {
			if (!first)
				return false;
			consume(r, n, heads, NULL);
			st->drop[DROP_too_long]++;
			return true;
		}
		if (vq_device_avail(&r->vq, n + 1) < n + 1) {
			st->drop[DROP_port_down] += r->vq.broken;
			return r->vq.broken;
		}
		heads[n] = vq_device_peek(&r->vq, n);
		rc = walk(r, heads[n], n_segs, &chain);
		if (!rc && chain.n_readable)
			rc = -EBADMSG;
		if (heads[n] >= r->vq.size) {
			vq_device_break(&r->vq);
			st->drop[DROP_malformed]++;
			return true;
		}
		if (rc) {
			consume(r, n + 1, heads, NULL);
			st->drop[rc == -EFAULT ? DROP_bad_address : DROP_malformed]++;
			return true;
		}
		n_segs += chain.n_writable;
		lens[n++] = (uint32_t)(chain.writable_len < want - have ? chain.writable_len
									: want - have);
		have += chain.writable_len;
	}
	sink_frame(&sink, f, (uint16_t)n);
	consume(r, n, heads, lens);
	st->tx_frames++;
	st->tx_bytes += f->len;
	st->copied += want;
	return true;
}
