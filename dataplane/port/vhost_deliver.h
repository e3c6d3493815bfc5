// SPDX-License-Identifier: BSD-2-Clause
// To the guest: copies the frames of a list into the buffers that it offers.
//
// A part of vhost_burst.c.
#pragma once

#include "dataplane/port/vhost_copy.h"
#include "dataplane/port/vhost_small.h"
#include "dataplane/port/vhost_used.h"
#include "dataplane/port/vhost_view.h"

#include <endian.h>
#include <string.h>

// As flat_targets(), chains [i, end) one by one, each against its own frame.
static inline uint32_t each_target(struct vhost_ring *r, struct view *v, const struct frame *f,
	const uint8_t *list, uint32_t i, uint32_t end, uint32_t longest)
{
	for (; i < end; i++) {
		const uint32_t need = v->hdr_len + (f ? f[list[i]].len : longest);
		uint16_t head = view_head(v, i);
		struct vring_desc d;

		if (unlikely(head > v->mask))
			break;
		d = vq_desc_load(&v->desc[head]);
		if (unlikely(d.flags != VRING_DESC_F_WRITE || d.len < need))
			break;
		r->ready_at[i] = view_at(r, v, d.addr, need);
		if (unlikely(!r->ready_at[i]))
			break;
		r->ready[i] = head;
	}
	return i;
}

// Heads and buffers of the next n chains, as far as they have the common shape and hold the frames
// of list (NULL: any), none of which is longer than `longest`; starts fetching them for writing. Of the
// first `from` that is known, for frames as long. Returns how many from the front do.
static inline uint32_t flat_targets(struct vhost_ring *r, struct view *v, const struct frame *f,
	const uint8_t *list, uint32_t from, uint32_t n, uint32_t longest)
{
	for (uint32_t i = from; i < n; i += WIDE) {
		uint32_t end = n - i < WIDE ? n : i + WIDE;

		if (unlikely(n - i < WIDE ||
			     !wide_targets(v, i, v->hdr_len + longest, r->ready, r->ready_at))) {
			uint32_t got = each_target(r, v, f, list, i, end, longest);
			if (unlikely(got < end))
				return got;
		}
		if (likely(end - i == WIDE && end <= v->ahead)) {
			uint8_t *const *now = &r->ready_at[i];
			for (uint32_t k = 0; k < WIDE; k++)
				fetch_for_write(now[k], v->hdr_len);
		} else {
			for (uint32_t k = i; k < end && k < v->ahead; k++)
				fetch_for_write(r->ready_at[k], v->hdr_len);
		}
	}
	return n;
}

// How many chains of those that were looked at ahead hold frames of `longest` bytes.
static inline uint32_t usable(const struct vhost_ring *r, uint32_t ready, uint32_t longest)
{
	return longest <= r->ready_len ? ready : 0;
}

// The header of a frame as two words: bytes 0 to 7, and 8 to 11 (5.1.6).
static inline void header_words(
	const struct vhost_ring *r, const struct frame *f, uint64_t *low, uint32_t *high)
{
	struct virtio_net_hdr_mrg_rxbuf h = {.num_buffers = htole16(1)};

	if (unlikely(f->flags & FRAME_OFFLOAD)) {
		h.hdr = f->offload;
		if (r->hdr_len == sizeof(h)) {
			h.hdr.hdr_len = htole16(h.hdr.hdr_len);
			h.hdr.gso_size = htole16(h.hdr.gso_size);
			h.hdr.csum_start = htole16(h.hdr.csum_start);
			h.hdr.csum_offset = htole16(h.hdr.csum_offset);
		}
	}
	memcpy(low, &h, 8);
	memcpy(high, (const uint8_t *)&h + 8, 4);
}

// Not 0 if a long header differs from these words.
static inline uint64_t header_differs(const uint8_t *at, uint64_t low, uint32_t high)
{
	uint64_t old_low;
	uint32_t old_high;

	memcpy(&old_low, at, 8);
	memcpy(&old_high, at + 8, 4);
	return (old_low ^ low) | (old_high ^ high);
}

// Writes the header, unless the buffer holds these bytes already: then its cache line may stay
// shared with the guest.
static inline void put_header(uint8_t *to, uint64_t low, uint32_t high, bool is_long)
{
	uint16_t tail = (uint16_t)high;

	if (likely(is_long)) {
		if (unlikely(header_differs(to, low, high))) {
			memcpy(to, &low, 8);
			memcpy(to + 8, &high, 4);
		}
	} else {
		memcpy(to, &low, 8);
		memcpy(to + 8, &tail, 2);
	}
}

// Copies the frame behind its header: the head from our own memory, the rest from the sender's.
static inline void put_frame(uint8_t *to, const struct frame *f)
{
	const uint8_t *head = frame_head_const(f);
	uint32_t left = f->head_len;

	for (; unlikely(left > 64); left -= 64, head += 64, to += 64)
		copy_upto64(to, head, 64);
	copy_upto64(to, head, left);
	to += left;
	const struct frame_seg *segs = frame_segs_const(f);
	for (uint32_t i = 0; i < f->n_segs; i++) {
		copy_body(to, segs[i].base, segs[i].len);
		to += segs[i].len;
	}
}

// Bytes 8 to 11 of a small frame's header, the others are 0: one buffer.
#define SMALL_HIGH htole32(1u << 16)

static inline void put_split(uint8_t *to, const struct frame *f, uint32_t len)
{
	copy32(to, f->buf + FRAME_HEAD_OFF);
	if (likely(len == FRAME_HEAD + 32))
		copy32(to + FRAME_HEAD, f->seg.base);
	else
		copy_upto64(to + FRAME_HEAD, f->seg.base, len - FRAME_HEAD);
}

// Hands the chains that were filled back, whose used elements are written, and counts.
static inline void finish(struct vhost_ring *r, uint32_t n, uint64_t bytes, struct port_stats *st)
{
	vq_device_pop(&r->vq, n);
	vq_device_add(&r->vq, n);
	st->tx_frames += n;
	st->tx_bytes += bytes;
	st->copied += bytes + (uint64_t)n * r->hdr_len;
}

// Copies small frames to buffers that are large enough, and fetches those further on unless all are fetched.
// Returns not 0 if one has another header than small frames have.
static inline __attribute__((always_inline)) uint64_t put_small_all(const struct view *v,
	uint8_t *const *to, const struct frame *f, const uint8_t *list, const uint32_t *len,
	uint32_t n, bool is_fetched, bool are_whole)
{
	const uint32_t hdr_len = sizeof(struct virtio_net_hdr_mrg_rxbuf);
	uint64_t differ = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!is_fetched && i + v->ahead < n)
			fetch_for_write(to[i + v->ahead], hdr_len);
		differ |= header_differs(to[i], 0, SMALL_HIGH);
		if (are_whole)
			copy_upto64(
				to[i] + hdr_len, f[list[i]].buf + FRAME_HEAD_OFF, len[i] - hdr_len);
		else
			put_split(to[i] + hdr_len, &f[list[i]], len[i] - hdr_len);
	}
	return differ;
}

// Writes small headers where others stand.
static inline void put_small_headers(uint8_t *const *to, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		put_header(to[i], 0, SMALL_HIGH, true);
}

// As put_small_all() of split frames, `len` bytes each. See nth_frame().
static inline __attribute__((always_inline)) uint64_t put_alike(const struct view *v,
	uint8_t *const *to, const struct frame *f, const uint8_t *list, uint32_t len, uint32_t n,
	bool is_fetched)
{
	const uint32_t hdr_len = sizeof(struct virtio_net_hdr_mrg_rxbuf);
	uint64_t differ = 0;

#pragma GCC unroll 4
	for (uint32_t i = 0; i < n; i++) {
		if (!is_fetched && i + v->ahead < n)
			fetch_for_write(to[i + v->ahead], hdr_len);
		differ |= header_differs(to[i], 0, SMALL_HIGH);
		put_split(to[i] + hdr_len, nth_frame(f, list, i), len);
	}
	return differ;
}

// As deliver_small(), of split frames that are alike. See nth_frame().
static inline __attribute__((always_inline)) uint32_t deliver_alike(struct vhost_ring *r,
	const struct frame *f, const uint8_t *list, uint32_t n, uint32_t ready,
	struct port_stats *st)
{
	const uint32_t len = nth_frame(f, list, 0)->len;
	const uint32_t hdr_len = sizeof(struct virtio_net_hdr_mrg_rxbuf);
	uint8_t *const *to = r->ready_at;
	struct view v = view_of(r);
	uint64_t differ;

	n = flat_targets(r, &v, NULL, NULL, usable(r, ready, len), n, len);
	put_used_all(r, n, r->ready, NULL, hdr_len + len);
	if (unlikely(n > v.ahead))
		differ = put_alike(&v, to, f, list, len, n, false);
	else if (likely(len == FRAME_HEAD + 32))
		differ = put_alike(&v, to, f, list, FRAME_HEAD + 32, n, true);
	else
		differ = put_alike(&v, to, f, list, len, n, true);
	if (unlikely(differ))
		put_small_headers(to, n);
	finish(r, n, (uint64_t)n * len, st);
	return n;
}

// As deliver_small(), of split frames that are alike and follow one another, the first at f. Each kind is a function of its
// own: what one of them saves on the stack costs the others as much as some frames, when lists are short.
static __attribute__((noinline)) uint32_t deliver_row(struct vhost_ring *r, const struct frame *f,
	uint32_t n, uint32_t ready, struct port_stats *st)
{
	return deliver_alike(r, f, NULL, n, ready, st);
}

// As deliver_small(), of split frames that are alike.
static __attribute__((noinline)) uint32_t deliver_picked(struct vhost_ring *r,
	const struct frame *f, const uint8_t *list, uint32_t n, uint32_t ready,
	struct port_stats *st)
{
	return deliver_alike(r, f, list, n, ready, st);
}

// As deliver_small(), whatever lengths and shapes the frames have.
static __attribute__((noinline)) uint32_t deliver_mixed(struct vhost_ring *r, const struct frame *f,
	const uint8_t *list, uint32_t n, uint32_t ready, struct port_stats *st)
{
	const uint32_t hdr_len = sizeof(struct virtio_net_hdr_mrg_rxbuf);
	struct shapes all = shapes_none();
	struct view v = view_of(r);
	uint32_t len[FRAME_BURST];

	for (uint32_t i = 0; i < n; i++)
		len[i] = hdr_len + shapes_add(&all, &f[list[i]]);
	const bool are_split = shapes_are_split(&all);
	if (unlikely(!are_split && !shapes_are_whole(&all)))
		return 0;
	uint32_t bytes = shapes_bytes(&all);
	const uint32_t longest = shapes_longest(&all);
	const uint32_t flat = flat_targets(r, &v, f, list, usable(r, ready, longest), n, longest);
	uint8_t *const *to = r->ready_at;
	for (; unlikely(n > flat); n--)
		bytes -= len[n - 1] - hdr_len;
	// Before the frames: behind their stores, what was written of `len` would be read late.
	put_used_all(r, n, r->ready, len, 0);
	uint64_t differ;
	if (unlikely(!are_split))
		differ = put_small_all(&v, to, f, list, len, n, false, true);
	else if (n <= v.ahead)
		differ = put_small_all(&v, to, f, list, len, n, true, false);
	else
		differ = put_small_all(&v, to, f, list, len, n, false, false);
	if (unlikely(differ))
		put_small_headers(to, n);
	finish(r, n, bytes, st);
	return n;
}

// Delivers frames if all are small and of one shape, behind long headers that ask for nothing, as long as each finds a
// flat buffer. Returns how many.
static inline uint32_t deliver_small(struct vhost_ring *r, const struct frame *f,
	const uint8_t *list, uint32_t n, uint32_t ready, struct port_stats *st)
{
	const struct frame *first = &f[list[0]];

	// A list ascends: so many frames as there are places from the first to the last follow one another.
	if (likely(list[n - 1] - list[0] == (int)n - 1)) {
		if (likely(is_split(first) && are_alike(first, NULL, n)))
			return deliver_row(r, first, n, ready, st);
	} else if (is_split(first) && are_alike(f, list, n)) {
		return deliver_picked(r, f, list, n, ready, st);
	}
	return deliver_mixed(r, f, list, n, ready, st);
}

// Fetches what lies behind the head of a frame in one piece, and where it goes. Of longer ones than a
// wire's the CPU fetches the rest as it sees them being read.
static inline void fetch_body(const struct frame *f, const uint8_t *to)
{
	uint32_t len = f->seg.len < BODY_FETCH ? f->seg.len : BODY_FETCH;

	for (uint32_t at = 0; f->n_segs == 1 && at < len; at += 64) {
		__builtin_prefetch(f->seg.base + at);
		fetch_for_write(to, f->head_len + at);
	}
}

// Delivers the frames that the list begins with, as long as each finds a flat buffer. Returns how
// many.
static uint32_t deliver_flat(struct vhost_ring *r, const struct frame *f, const uint8_t *list,
	uint32_t n, uint32_t ready, struct port_stats *st)
{
	const uint32_t hdr_len = r->hdr_len;
	struct view v = view_of(r);
	uint32_t len[FRAME_BURST], longest = 0;
	uint8_t *const *to = r->ready_at;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < n; i++) {
		const uint32_t size = f[list[i]].len;

		len[i] = hdr_len + size;
		longest = size > longest ? size : longest;
	}
	n = flat_targets(r, &v, f, list, usable(r, ready, longest), n, longest);
	put_used_all(r, n, r->ready, len, 0);
	// Those of the first frames are not fetched, so of a short list only the first is left out.
	const uint32_t bodies = n > 2 * r->bodies_ahead ? r->bodies_ahead : 1;
	for (uint32_t i = 0; i < n; i++) {
		const struct frame *fr = &f[list[i]];
		uint64_t low;
		uint32_t high;

		if (i + v.ahead < n)
			fetch_for_write(to[i + v.ahead], hdr_len);
		if (i + bodies < n)
			fetch_body(&f[list[i + bodies]], to[i + bodies] + hdr_len);
		header_words(r, fr, &low, &high);
		put_header(to[i], low, high, hdr_len == sizeof(struct virtio_net_hdr_mrg_rxbuf));
		put_frame(to[i] + hdr_len, fr);
		bytes += fr->len;
	}
	finish(r, n, bytes, st);
	return n;
}

static uint32_t deliver(struct vhost_ring *r, const struct frame *f, const uint8_t *list,
	uint32_t n, struct port_stats *st)
{
	uint16_t before = vq_device_next_used(&r->vq);
	uint32_t done = 0, ready = r->n_ready;
	bool small = r->hdr_len == sizeof(struct virtio_net_hdr_mrg_rxbuf) && !r->log.base &&
		     (is_split(&f[list[0]]) || is_whole(&f[list[0]]));

	r->n_looks = r->n_ready = 0;
	while (done < n) {
		uint32_t avail = vq_device_avail(&r->vq, n - done), k = 0;

		if (unlikely(r->vq.broken)) {
			st->drop[DROP_port_down] += n - done;
			done = n;
			break;
		}
		if (!avail)
			break;
		if (unlikely(r->log.base))
			k = 0;
		else if (small)
			k = deliver_small(r, f, list + done, avail, ready, st);
		else
			k = deliver_flat(r, f, list + done, avail, ready, st);
		done += k;
		ready = k ? 0 : ready;
		if (small) {
			small = false; // what is left goes the longer way
		} else if (unlikely(k < avail)) {
			if (!vhost_ring_deliver_one(r, &f[list[done]], st))
				break;
			done++;
			ready = 0;
		}
	}
	const uint16_t chains = (uint16_t)(vq_device_next_used(&r->vq) - before);
	if (chains) {
		vhost_ring_publish(r);
		st->tx_bursts++;
		r->chains_each = likely(chains == done) ? 1 : (chains + done - 1) / done;
	}
	return done;
}

// Looks for the first buffers of a delivery to come, and starts fetching them. If none goes elsewhere first, that is
// all it has to know of them.
static void fetch_targets(struct vhost_ring *r, uint32_t n, uint32_t longest)
{
	struct view v = view_of(r);
	const uint32_t avail = vq_device_avail(&r->vq, n < v.ahead ? n : v.ahead);

	r->n_ready = flat_targets(r, &v, NULL, NULL, 0, avail, longest);
	r->ready_len = longest;
}
