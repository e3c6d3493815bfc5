// SPDX-License-Identifier: BSD-2-Clause
// From the guest: lends the frames of a burst, and gives their buffers back.
//
// A part of vhost_burst.c.
#pragma once

#include "dataplane/port/vhost_copy.h"
#include "dataplane/port/vhost_small.h"
#include "dataplane/port/vhost_used.h"
#include "dataplane/port/vhost_view.h"

#include <endian.h>

// Lends a frame that lies in one piece at p, FRAME_LEN_MIN <= len <= FRAME_LEN_MAX. Returns its first
// 16 bytes.
static inline struct head16 lend_flat(struct frame *f, const uint8_t *p, uint32_t len)
{
	uint8_t *head = f->buf + FRAME_HEAD_OFF;

	if (unlikely(len <= FRAME_HEAD)) {
		frame_begin(f, len, len);
		return head_copy(head, p, len);
	}
	frame_begin(f, len, FRAME_HEAD);
	f->seg.len = len - FRAME_HEAD;
	f->seg.base = p + FRAME_HEAD;
	return head_copy(head, p, FRAME_HEAD);
}

// What the header asks for, 0 if it is nothing: flags and gso_type, its first two bytes, in one load.
static inline uint32_t claims_of(const uint8_t *hdr)
{
	uint16_t claims = __atomic_load_n((const uint16_t *)(const void *)hdr, __ATOMIC_RELAXED);

	return claims & (uint16_t)~htole16(VIRTIO_NET_HDR_F_DATA_VALID);
}

// As flat_sources(), chains [i, end) one by one.
static inline uint32_t each_source(struct vhost_ring *r, struct view *v, uint32_t i, uint32_t end,
	const uint8_t **at, uint32_t *len, bool *odd)
{
	const uint32_t shortest = v->hdr_len + FRAME_LEN_MIN, span = FRAME_LEN_MAX - FRAME_LEN_MIN;

	for (; i < end; i++) {
		uint16_t head = view_head(v, i);
		struct vring_desc d;

		if (unlikely(head > v->mask))
			return i;
		r->taken[i] = head;
		d = vq_desc_load(&v->desc[head]);
		len[i] = d.len - v->hdr_len;
		if (likely(!d.flags && d.len - shortest <= span))
			at[i] = view_at(r, v, d.addr, d.len);
		else
			at[i] = NULL;
		*odd |= !at[i];
	}
	return end;
}

// The buffers of the next n chains, header first, as far as they have the common shape: one
// descriptor for header and frame. NULL for the others, of which there are none unless *odd is set. Returns
// how many chains there are before one whose head is impossible.
static inline uint32_t flat_sources(struct vhost_ring *r, struct view *v, uint32_t n,
	const uint8_t **at, uint32_t *len, bool *odd)
{
	for (uint32_t i = 0; i < n; i += WIDE) {
		uint32_t end = n - i < WIDE ? n : i + WIDE;

		if (unlikely(n - i < WIDE || !wide_sources(v, i, r->taken, at, len))) {
			uint32_t got = each_source(r, v, i, end, at, len, odd);
			if (unlikely(got < end))
				return got;
		}
		if (likely(end - i == WIDE && end <= v->ahead)) {
			const uint8_t *const *now = &at[i];
			for (uint32_t k = 0; k < WIDE; k++)
				fetch(now[k], v->hdr_len);
		} else {
			for (uint32_t k = i; k < end && k < v->ahead; k++)
				fetch(at[k], v->hdr_len);
		}
	}
	return n;
}

static uint32_t discard(struct vhost_ring *r, struct port_stats *st)
{
	uint32_t n = vq_device_pop_burst(&r->vq, r->taken, FRAME_BURST);

	st->drop[DROP_port_down] += n;
	r->n_taken = n;
	vhost_ring_refuse(r, st);
	return 0;
}

// What a burst is made of as it is lent: chains and frames so far, and what their first bytes are together.
struct lending {
	uint32_t i, k;
	struct head16 any, least; // as in struct head_sum
};

// Lends the first of n chains, all flat and longer than a head, up to one that asks for something. Their frames are
// len[] bytes long; len NULL: `all` bytes each. A loop for each caller: what it knows is not asked for each frame.
static inline __attribute__((always_inline)) void lend_all(struct lending *l, struct burst *b,
	const struct view *v, uint32_t n, const uint8_t *const *at, const uint32_t *len,
	uint32_t all, bool is_fetched, bool offloads)
{
	struct lending now = *l;
	uint32_t i;

#pragma GCC unroll 4
	for (i = 0; i < n; i++) {
		struct frame *f = &b->f[i];
		const uint8_t *p = at[i];

		if (!is_fetched && i + v->ahead < n)
			fetch(at[i + v->ahead], v->hdr_len);
		if (offloads && unlikely(claims_of(p)))
			break;
		p += v->hdr_len;
		begin_split(f, len ? len[i] : all);
		f->seg.base = p + FRAME_HEAD;
		const struct head16 start = head_copy(f->buf + FRAME_HEAD_OFF, p, FRAME_HEAD);
		now.any = head16_or(now.any, start);
		now.least = head16_least(now.least, start);
	}
	now.i = now.k = i;
	*l = now;
}

// Lends chains as long as they are common, at most up to the n-th, and fetches the first lines of those further on.
static inline void lend_run(struct lending *l, struct burst *b, const struct view *v, uint32_t n,
	const uint8_t *const *at, const uint32_t *len, bool offloads)
{
	struct lending now = *l;

	for (; now.i < n; now.i++, now.k++) {
		const uint8_t *p = at[now.i];

		if (now.i + v->ahead < n)
			fetch(at[now.i + v->ahead], v->hdr_len);
		if (unlikely(!p || (offloads && claims_of(p))))
			break;
		const struct head16 start = lend_flat(&b->f[now.k], p + v->hdr_len, len[now.i]);
		now.any = head16_or(now.any, start);
		now.least = head16_least(now.least, start);
	}
	*l = now;
}

// Lends the next chain, whatever its shape. False if it is left for the next burst.
static bool lend_odd(struct vhost_ring *r, struct lending *l, struct burst *b, uint32_t *len,
	struct port_stats *st)
{
	struct frame *f = &b->f[l->k];
	const enum vhost_ring_take t = vhost_ring_lend_chain(r, r->taken[l->i], f, st);

	if (t == TAKE_LATER)
		return false;
	len[l->i] = 0;
	if (t == TAKE_LENT) {
		const struct head16 start = head16_load(f->buf + FRAME_HEAD_OFF);

		l->any = head16_or(l->any, start);
		l->least = head16_least(l->least, start);
		len[l->i] = f->len;
		b->flags |= f->flags;
		l->k++;
	}
	l->i++;
	return true;
}

// What the frames of some chains are together.
struct lengths {
	uint32_t bytes, longest, shortest;
};

static inline struct lengths lengths_of(const uint32_t *len, uint32_t n)
{
	struct lengths all = {.shortest = UINT32_MAX};

	for (uint32_t i = 0; i < n; i++) {
		all.bytes += len[i];
		all.longest = len[i] > all.longest ? len[i] : all.longest;
		all.shortest = len[i] < all.shortest ? len[i] : all.shortest;
	}
	return all;
}

static uint32_t lend(struct vhost_ring *r, struct burst *b, uint32_t max, struct port_stats *st)
{
	const uint8_t *at[FRAME_BURST];
	uint32_t len[FRAME_BURST], n, good;
	struct lending l = {.any = head16_fill(0), .least = head16_fill(0xff)};
	struct view v = view_of(r);
	bool odd = false;

	burst_begin(b);
	r->n_taken = r->n_segs = r->n_looks = 0;
	n = vq_device_avail(&r->vq, max);
	if (!n)
		return 0;
	if (unlikely(r->discard))
		return discard(r, st);

	good = flat_sources(r, &v, n, at, len, &odd);
	if (unlikely(good < n)) {
		vq_device_break(&r->vq);
		st->drop[DROP_malformed]++;
		n = good;
	}
	struct lengths all = lengths_of(len, n);
	if (likely(!odd && all.shortest > FRAME_HEAD)) {
		if (unlikely(n > v.ahead || r->offloads))
			lend_all(&l, b, &v, n, at, len, 0, false, r->offloads);
		else if (all.shortest == all.longest)
			lend_all(&l, b, &v, n, at, NULL, all.longest, true, false);
		else
			lend_all(&l, b, &v, n, at, len, 0, true, false);
	}
	if (unlikely(l.i < n)) {
		do
			lend_run(&l, b, &v, n, at, len, r->offloads);
		while (l.i < n && lend_odd(r, &l, b, len, st));
		all = lengths_of(len, l.i);
	}
	b->is_summed = true;
	head16_store(b->begin.any, l.any);
	head16_store(b->begin.least, l.least);
	b->longest = all.longest;
	b->n = l.k;
	b->bytes = all.bytes;
	vq_device_pop(&r->vq, l.i);
	r->n_taken = l.i;
	if (unlikely(!l.k))
		vhost_ring_refuse(r, st);
	st->rx_frames += l.k;
	st->rx_bytes += all.bytes;
	st->rx_bursts++;
	return l.k;
}

// The used elements of a whole burst that was lent.
static void give_back(struct vhost_ring *r)
{
	put_used_all(r, r->n_taken, r->taken, NULL, 0);
}
