// SPDX-License-Identifier: BSD-2-Clause
// Moves frames between one AF_XDP socket and the switch: lends what came, copies what goes.
#include "dataplane/port/af_xdp_queue.h"

#include "dataplane/frame/eth.h"
#include "dataplane/port/partial_csum.h"
#include "dataplane/port/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// Frames are spread over a chunk's first lines, or all would meet in one set of the cache.
#define STAGGER_LINES 8u
#define STAGGER_MAX   ((STAGGER_LINES - 1) * 64)
void xdp_queue_reset(struct xdp_queue *q, uint32_t chunk_size)
{
	uint64_t *fill = q->xsk.fill.entries;
	q->chunk_size = chunk_size;
	q->chunk_shift = (uint32_t)__builtin_ctz(chunk_size);
	for (uint32_t i = 0; i < q->n_rx; i++) {
		fill[i] = (uint64_t)i << q->chunk_shift;
		q->rx_owner[i] = XDP_CHUNK_KERNEL;
	}
	for (uint32_t i = 0; i < XDP_QUEUE_TX; i++) {
		q->tx.owner[i] = XDP_CHUNK_OURS;
		q->tx.free[i] = XDP_QUEUE_TX - 1 - i;
	}
	q->tx.n_free = XDP_QUEUE_TX;
	q->xsk.fill.prod = q->n_rx;
	// Pairs with the kernel's acquire in xskq_cons_get_entries().
	__atomic_store_n(q->xsk.fill.producer, q->xsk.fill.prod, __ATOMIC_RELEASE);
}

struct xdp_queue *xdp_queue_alloc(uint32_t n_rx)
{
	const size_t len = sizeof(struct xdp_queue) + n_rx;
	struct xdp_queue *q = NULL;
	if (posix_memalign((void **)&q, 64, len))
		return NULL;
	memset(q, 0, len);
	q->n_rx = n_rx;
	return q;
}

int xdp_queue_new(
	const struct xsk_config *config, uint32_t mtu, struct xdp_queue **out, struct error *err)
{
	struct xsk_config c = *config;
	if (!c.rx_ring)
		c.rx_ring = PORT_RX_RING_DEFAULT;
	struct xdp_queue *q = xdp_queue_alloc(c.rx_ring);
	if (!q)
		return error_set(err, -ENOMEM, "device", "out of memory");
	bool small = !c.frags &&
		     mtu + ETH_HDR_LEN + 2 * ETH_TAG_LEN + XDP_RX_HEADROOM <= XDP_CHUNK_SMALL;
	c.tx_ring = XDP_QUEUE_TX;
	c.n_chunks = c.rx_ring + c.tx_ring;
	c.chunk_size = small ? XDP_CHUNK_SMALL : XDP_CHUNK_LARGE;
	int rc = xsk_open(&q->xsk, &c, err);
	if (rc) {
		free(q);
		return rc;
	}
	q->index = c.queue;
	q->frags = c.frags;
	q->mtu = mtu;
	xdp_queue_reset(q, c.chunk_size);
	*out = q;
	return 0;
}

void xdp_queue_free(struct xdp_queue *q)
{
	if (!q)
		return;
	xsk_close(&q->xsk);
	free(q);
}

// --- receiving ---

// Takes the chunk of one receive descriptor out of the kernel's hands. NULL if the entry is wrong.
static inline uint8_t *chunk_take(struct xdp_queue *q, uint64_t addr, uint32_t len)
{
	uint64_t chunk = addr >> q->chunk_shift;
	uint32_t off = addr & (q->chunk_size - 1);
	if (chunk >= q->n_rx || q->rx_owner[chunk] != XDP_CHUNK_KERNEL) {
		q->rx.bad++;
		return NULL;
	}
	q->rx_owner[chunk] = XDP_CHUNK_OURS;
	q->rx.lent[q->rx.n_lent++] = (uint32_t)chunk;
	if (len > q->chunk_size - off) {
		q->rx.bad++;
		return NULL;
	}
	return q->xsk.umem + addr;
}

// The first chunk's bytes: up to FRAME_HEAD of them into the head, the rest as a view.
static inline void chunk_lend(
	const struct xdp_queue *q, struct frame *f, uint8_t *data, uint32_t len)
{
	uint8_t *head = f->buf + FRAME_HEAD_OFF;
	uint32_t n = len < FRAME_HEAD ? len : FRAME_HEAD;
	if ((((uintptr_t)data & (q->chunk_size - 1)) + FRAME_HEAD) <= q->chunk_size)
		memcpy(head, data, FRAME_HEAD);
	else
		memcpy(head, data, n);
	frame_begin(f, len, n);
	f->seg = (struct frame_seg){.base = data + n, .len = len - n};
}

// The other chunks of a frame that spans several (XDP_USE_SG): views in an array of the queue's.
static bool frame_continue(struct xdp_queue *q, struct frame *f, uint32_t at, uint32_t n_descs)
{
	const struct xdp_desc *ring = q->xsk.rx.entries;
	// One view per chunk taken: as long as `lent`, so there is room.
	struct frame_seg *segs = &q->rx.segs[q->rx.n_lent];
	bool good = true;
	uint32_t n = 0;
	if (f->n_segs)
		segs[n++] = f->seg;
	for (uint32_t i = 1; i < n_descs; i++) {
		const struct xdp_desc *d = &ring[(at + i) & q->xsk.rx.mask];
		uint32_t len = d->len;
		uint8_t *data = chunk_take(q, d->addr, len);
		if (!data) {
			good = false;
			continue;
		}
		segs[n++] = (struct frame_seg){.base = data, .len = len};
		f->len += len;
	}
	frame_set_segs(f, segs, n);
	return good && f->len <= FRAME_LEN_MAX;
}

// Descriptors of the frame that starts at index `at`; 0 if its end is not there yet.
static inline uint32_t frame_extent(const struct xdp_queue *q, uint32_t at, uint32_t avail)
{
	const struct xdp_desc *ring = q->xsk.rx.entries;
	for (uint32_t n = 0; n < avail && n < XDP_QUEUE_FRAGS; n++)
		if (!(ring[(at + n) & q->xsk.rx.mask].options & XDP_PKT_CONTD))
			return n + 1;
	return avail >= XDP_QUEUE_FRAGS ? XDP_QUEUE_FRAGS : 0;
}

// Lends the frame in n_descs descriptors at `at`. False if it is dropped; its chunks go back with
// the burst in any case.
static inline bool frame_lend(
	struct xdp_queue *q, struct frame *f, uint32_t at, uint32_t n_descs, struct port_stats *st)
{
	const struct xdp_desc *ring = q->xsk.rx.entries;
	const struct xdp_desc d = ring[at & q->xsk.rx.mask];
	bool ends = !(ring[(at + n_descs - 1) & q->xsk.rx.mask].options & XDP_PKT_CONTD);
	bool skip = q->rx.skip;
	q->rx.skip = !ends; // more pieces than a frame can have: refuse what follows of it too

	uint8_t *data = chunk_take(q, d.addr, d.len);
	bool good = data && !skip && ends;
	if (data)
		chunk_lend(q, f, data, d.len);
	else
		chunk_lend(q, f, q->xsk.umem, 0);
	if (n_descs > 1)
		good &= frame_continue(q, f, at, n_descs);
	if (!good) {
		st->drop[DROP_malformed]++;
		return false;
	}
	if (d.len < FRAME_LEN_MIN) {
		st->drop[DROP_too_short]++;
		return false;
	}
	if (q->claims)
		partial_csum_claim(f, q->mtu);
	return true;
}

// The address is not checked yet: it may be no pointer.
static inline void chunk_fetch(const struct xdp_queue *q, uint64_t addr)
{
	__builtin_prefetch((const void *)((uintptr_t)q->xsk.umem + addr));
}

static void rx_wake(struct xdp_queue *q, struct port_stats *st)
{
	st->notified++;
	recvfrom(q->xsk.fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

uint32_t xdp_queue_rx(struct xdp_queue *q, struct burst *b, uint32_t max, struct port_stats *st)
{
	struct xsk_ring *r = &q->xsk.rx;
	const struct xdp_desc *ring = r->entries;
	burst_begin(b);

	if (!q->rx.retried && __atomic_load_n(&q->kick, __ATOMIC_RELAXED))
		xdp_queue_wake_tx(q, st); // the kernel did not take all at the last wake-up
	q->rx.retried = false;
	uint32_t avail = xsk_ring_avail(r, max);
	if (!avail && (q->xsk.busy_poll || xsk_ring_needs_wakeup(&q->xsk.fill))) {
		rx_wake(q, st);
		avail = xsk_ring_avail(r, max);
	}
	if (!avail)
		return 0;
	for (uint32_t i = 0; i < avail && i < 4; i++)
		chunk_fetch(q, ring[(r->cons + i) & r->mask].addr);

	while (b->n < max && q->rx.n_lent < XDP_QUEUE_LENT) {
		uint32_t left = r->prod - r->cons;
		uint32_t n_descs = left ? frame_extent(q, r->cons, left) : 0;
		if (!n_descs)
			break;
		if (left > 4)
			chunk_fetch(q, ring[(r->cons + 4) & r->mask].addr);
		struct frame *f = &b->f[b->n];
		if (frame_lend(q, f, r->cons, n_descs, st))
			burst_add(b);
		r->cons += n_descs;
	}
	// The descriptors are read. Pairs with the kernel's acquire in xskq_prod_reserve_desc().
	__atomic_store_n(r->consumer, r->cons, __ATOMIC_RELEASE);
	st->rx_frames += b->n;
	st->rx_bytes += b->bytes;
	st->rx_bursts++;
	if (!b->n)
		xdp_queue_rx_done(q); // all were dropped: nobody else gives them back
	return b->n;
}

void xdp_queue_rx_done(struct xdp_queue *q)
{
	struct xsk_ring *r = &q->xsk.fill;
	uint64_t *ring = r->entries;
	for (uint32_t i = 0; i < q->rx.n_lent; i++) {
		uint32_t chunk = q->rx.lent[i];
		q->rx_owner[chunk] = XDP_CHUNK_KERNEL;
		ring[r->prod++ & r->mask] = (uint64_t)chunk << q->chunk_shift;
	}
	q->rx.n_lent = 0;
	// The copies out of the chunks come before. Pairs with xskq_cons_get_entries().
	__atomic_store_n(r->producer, r->prod, __ATOMIC_RELEASE);
}

// --- sending ---

static void tx_reap(struct xdp_queue *q)
{
	struct xsk_ring *r = &q->xsk.comp;
	const uint64_t *ring = r->entries;
	uint32_t n = xsk_ring_avail(r, XDP_QUEUE_TX);
	if (!n)
		return;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t chunk = (ring[r->cons++ & r->mask] >> q->chunk_shift) - q->n_rx;
		if (chunk >= XDP_QUEUE_TX || q->tx.owner[chunk] != XDP_CHUNK_KERNEL) {
			q->tx.bad++;
			continue;
		}
		q->tx.owner[chunk] = XDP_CHUNK_OURS;
		q->tx.free[q->tx.n_free++] = (uint32_t)chunk;
	}
	__atomic_store_n(r->consumer, r->cons, __ATOMIC_RELEASE);
}

static void tx_publish(struct xdp_queue *q)
{
	// Pairs with the kernel's acquire in xskq_cons_peek_desc().
	__atomic_store_n(q->xsk.tx.producer, q->xsk.tx.prod, __ATOMIC_RELEASE);
	// After the index. Pairs with the exchange in xdp_queue_wake_tx().
	__atomic_store_n(&q->kick, 1, __ATOMIC_RELEASE);
}

static inline bool tx_has_room(struct xdp_queue *q, uint32_t n)
{
	return q->tx.n_free >= n && xsk_ring_room(&q->xsk.tx, n) >= n;
}

// Makes room for a frame of `n` chunks, waking the kernel if that is what it takes.
static bool tx_make_room(struct xdp_queue *q, uint32_t n, struct port_stats *st)
{
	tx_reap(q);
	if (tx_has_room(q, n))
		return true;
	tx_publish(q);
	// The index is out before the kernel's wish is read. Pairs with the kernel's barrier
	// between xsk_set_tx_need_wakeup() and its last look at the ring.
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	xdp_queue_wake_tx(q, st);
	tx_reap(q);
	return tx_has_room(q, n);
}

// Puts `len` bytes of a chunk at `offset` on the transmit ring, not yet published.
static inline struct xdp_desc *tx_put(
	struct xdp_queue *q, uint32_t chunk, uint32_t offset, uint32_t len)
{
	struct xsk_ring *r = &q->xsk.tx;
	struct xdp_desc *d = &((struct xdp_desc *)r->entries)[r->prod++ & r->mask];
	d->addr = ((uint64_t)(chunk + q->n_rx) << q->chunk_shift) + offset;
	d->len = len;
	d->options = 0;
	q->tx.owner[chunk] = XDP_CHUNK_KERNEL;
	return d;
}

// Asks the kernel or the device to complete the checksum. The claim was checked; what is checked
// again would block the queue, because the kernel stops at a request it refuses.
static bool tx_request_csum(struct xdp_queue *q, const struct frame *f, struct xdp_desc *d)
{
	uint32_t start = f->offload.csum_start, offset = f->offload.csum_offset;
	if (!q->xsk.tx_csum || f->offload.gso_type != VIRTIO_NET_HDR_GSO_NONE ||
		start + offset + 2 > d->len)
		return false;
	struct xsk_txmd md = {
		.flags = XDP_TXMD_FLAGS_CHECKSUM,
		.csum_start = (uint16_t)start,
		.csum_offset = (uint16_t)offset,
	};
	memcpy(q->xsk.umem + d->addr - XSK_TXMD_LEN, &md, sizeof(md));
	d->options |= XDP_TX_METADATA;
	return true;
}

static inline void tx_copy_whole(uint8_t *to, const struct frame *f)
{
	if (f->head_len <= FRAME_HEAD)
		memcpy(to, frame_head_const(f), FRAME_HEAD);
	else
		memcpy(to, frame_head_const(f), f->head_len);
	to += f->head_len;
	const struct frame_seg *segs = frame_segs_const(f);
	for (uint32_t i = 0; i < f->n_segs; i++) {
		memcpy(to, segs[i].base, segs[i].len);
		to += segs[i].len;
	}
}

// Copies the frame into `n` chunks. False if its offload cannot be passed on: nothing was sent.
static inline bool tx_frame(struct xdp_queue *q, const struct frame *f, uint32_t n)
{
	uint32_t room = q->chunk_size - XDP_TX_HEADROOM;
	uint32_t chunk = q->tx.free[--q->tx.n_free];
	uint32_t offset = XDP_TX_HEADROOM;
	if (f->len + STAGGER_MAX <= room)
		offset += (chunk % STAGGER_LINES) * 64;
	struct xdp_desc *d = tx_put(q, chunk, offset, f->len < room ? f->len : room);
	if (f->flags & FRAME_OFFLOAD && !tx_request_csum(q, f, d)) {
		q->xsk.tx.prod--;
		q->tx.owner[chunk] = XDP_CHUNK_OURS;
		q->tx.free[q->tx.n_free++] = chunk;
		return false;
	}
	if (n == 1) {
		tx_copy_whole(q->xsk.umem + d->addr, f);
		return true;
	}
	frame_copy(f, 0, q->xsk.umem + d->addr, d->len);
	for (uint32_t done = d->len; done < f->len; done += d->len) {
		uint32_t left = f->len - done;
		d->options |= XDP_PKT_CONTD;
		chunk = q->tx.free[--q->tx.n_free];
		d = tx_put(q, chunk, XDP_TX_HEADROOM, left < room ? left : room);
		frame_copy(f, done, q->xsk.umem + d->addr, d->len);
	}
	return true;
}

uint32_t xdp_queue_tx(struct xdp_queue *q, uint32_t max_len, const struct frame *f,
	const uint8_t *list, uint32_t n, struct port_stats *st)
{
	uint32_t room = q->chunk_size - XDP_TX_HEADROOM;
	uint32_t limit = q->frags ? room * (XDP_QUEUE_FRAGS - 1) : room;
	uint32_t i, frames = 0;
	uint64_t bytes = 0;
	// At once, not when there are none left: the free list is a stack, and chunks that were just
	// sent are still in the cache.
	tx_reap(q);
	for (i = 0; i < n; i++) {
		const struct frame *frame = &f[list[i]];
		uint32_t tag = frame->flags & FRAME_TAGGED ? ETH_TAG_LEN : 0;
		if (frame->len > max_len + tag || frame->len > limit) {
			st->drop[DROP_too_long]++;
			if (frame->len > q->tx.longest)
				q->tx.longest = frame->len;
			continue;
		}
		uint32_t n_chunks = frame->len <= room ? 1 : (frame->len + room - 1) / room;
		if (!tx_has_room(q, n_chunks) && !tx_make_room(q, n_chunks, st))
			break;
		if (!tx_frame(q, frame, n_chunks)) {
			st->drop[DROP_no_offload]++;
			continue;
		}
		frames++;
		bytes += frame->len;
	}
	if (frames) {
		tx_publish(q);
		st->tx_frames += frames;
		st->tx_bytes += bytes;
		st->copied += bytes;
		st->tx_bursts++;
	}
	return i;
}

uint32_t xdp_queue_backlog(struct xdp_queue *q, struct port_stats *st)
{
	xdp_queue_wake_tx(q, st); // in place of xdp_queue_rx, which is not called while frames wait
	q->rx.retried = true;
	return xsk_ring_avail(&q->xsk.rx, q->n_rx);
}

uint32_t xdp_queue_room(struct xdp_queue *q, uint32_t want, struct port_stats *st)
{
	tx_reap(q);
	if (!tx_has_room(q, want))
		tx_make_room(q, want, st);
	uint32_t room = xsk_ring_room(&q->xsk.tx, want);
	room = q->tx.n_free < room ? q->tx.n_free : room;
	return room < want ? room : want;
}

void xdp_queue_wake_rx(struct xdp_queue *q, struct port_stats *st)
{
	if (xsk_ring_needs_wakeup(&q->xsk.fill) && !q->xsk.busy_poll)
		rx_wake(q, st);
}

void xdp_queue_wake_tx(struct xdp_queue *q, struct port_stats *st)
{
	if (!__atomic_load_n(&q->kick, __ATOMIC_RELAXED))
		return;
	// The receiving worker may be here while another sends: who takes the kick sees what was
	// published before it was set, and only then reads the kernel's wish. Pairs with tx_publish().
	if (!__atomic_exchange_n(&q->kick, 0, __ATOMIC_ACQ_REL))
		return;
	if (!xsk_ring_needs_wakeup(&q->xsk.tx)) {
		st->suppressed++;
		return;
	}
	// In copy mode one call sends tx_budget frames and says EAGAIN if there are more. It says the
	// same when buffers are short: then later, or the worker would spin here.
	uint32_t before = __atomic_load_n(q->xsk.tx.consumer, __ATOMIC_RELAXED);
	for (uint32_t sent = 0; sent < XDP_QUEUE_TX; sent += q->xsk.tx_budget) {
		st->notified++;
		if (sendto(q->xsk.fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0)
			return;
		uint32_t now = __atomic_load_n(q->xsk.tx.consumer, __ATOMIC_RELAXED);
		if (errno != EAGAIN || now == before)
			break;
		before = now;
	}
	if (errno == EAGAIN || errno == EBUSY || errno == ENOBUFS)
		__atomic_store_n(&q->kick, 1, __ATOMIC_RELAXED);
}

bool xdp_queue_arm(struct xdp_queue *q)
{
	if (xsk_ring_needs_wakeup(&q->xsk.fill))
		recvfrom(q->xsk.fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
	return xsk_ring_avail(&q->xsk.rx, 1) || __atomic_load_n(&q->kick, __ATOMIC_RELAXED);
}
