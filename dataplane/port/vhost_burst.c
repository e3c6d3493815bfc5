// SPDX-License-Identifier: BSD-2-Clause
// The loops that move a burst between a guest's ring and the switch: the hottest code there is.
//
// Compiled once per instruction set (see meson.build), with BURST_ISA naming the table to export.
// Each loop goes in stages over the whole burst, so that the cache misses of one frame hide behind
// the others'. Descriptors and headers are loaded once, then checked, then used. What does not have
// the common shape (one direct descriptor that holds header and frame) goes to vhost_ring.c.
//
// Copies have exact bounds: not a byte before or behind what the descriptor and the frame's length
// allow is read or written.
#include "dataplane/port/vhost_ring.h"

#include <endian.h>
#include <string.h>
#ifdef __AVX512BW__
#include <immintrin.h>
#endif

#define STRINGIFY(x) #x
#define STRING(x)    STRINGIFY(x)
#define PASTE(a, b)  a##b
#define SYMBOL(a, b) PASTE(a, b)

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

// --- Copies ---

// Copies n <= 64 bytes. `wide` says that 64 bytes may be accessed at that side: our own memory.
static inline void copy_upto64(
	uint8_t *to, const uint8_t *from, uint32_t n, bool wide_to, bool wide_from)
{
#ifdef __AVX512BW__
	__mmask64 mask = n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
	__m512i v = wide_from ? _mm512_loadu_si512(from) : _mm512_maskz_loadu_epi8(mask, from);

	if (wide_to)
		_mm512_storeu_si512(to, v);
	else
		_mm512_mask_storeu_epi8(to, mask, v);
#else
	// Two halves that overlap in the middle.
	if (n >= 32) {
		uint8_t a[32], b[32];
		memcpy(a, from, 32);
		memcpy(b, from + n - 32, 32);
		memcpy(to, a, 32);
		memcpy(to + n - 32, b, 32);
	} else if (n >= 16) {
		uint8_t a[16], b[16];
		memcpy(a, from, 16);
		memcpy(b, from + n - 16, 16);
		memcpy(to, a, 16);
		memcpy(to + n - 16, b, 16);
	} else if (n >= 8) {
		uint64_t a, b;
		memcpy(&a, from, 8);
		memcpy(&b, from + n - 8, 8);
		memcpy(to, &a, 8);
		memcpy(to + n - 8, &b, 8);
	} else {
		for (uint32_t i = 0; i < n; i++)
			to[i] = from[i];
	}
#endif
}

static inline void copy_body(uint8_t *to, const uint8_t *from, uint32_t n)
{
#ifdef __AVX512BW__
	while (n >= 256) {
		__m512i a = _mm512_loadu_si512(from);
		__m512i b = _mm512_loadu_si512(from + 64);
		__m512i c = _mm512_loadu_si512(from + 128);
		__m512i d = _mm512_loadu_si512(from + 192);
		_mm512_storeu_si512(to, a);
		_mm512_storeu_si512(to + 64, b);
		_mm512_storeu_si512(to + 128, c);
		_mm512_storeu_si512(to + 192, d);
		from += 256;
		to += 256;
		n -= 256;
	}
	while (n > 64) {
		_mm512_storeu_si512(to, _mm512_loadu_si512(from));
		from += 64;
		to += 64;
		n -= 64;
	}
	copy_upto64(to, from, n, false, false);
#else
	memcpy(to, from, n);
#endif
}

// --- From the guest ---

// Lends a frame that lies in one piece at p, FRAME_LEN_MIN <= len <= FRAME_LEN_MAX.
static inline void lend_flat(struct frame *f, const uint8_t *p, uint32_t len)
{
	uint32_t head = len < FRAME_HEAD ? len : FRAME_HEAD;

	copy_upto64(f->buf + FRAME_HEAD_OFF, p, head, true, false);
	f->len = len;
	f->head_len = (uint16_t)head;
	f->head_off = FRAME_HEAD_OFF;
	f->flags = 0;
	f->n_segs = len > FRAME_HEAD;
	f->vid = 0;
	f->hash = 0;
	f->segs = &f->seg;
	f->seg.base = p + head;
	f->seg.len = len - head;
	memset(&f->offload, 0, sizeof(f->offload) + sizeof(f->tci) + sizeof(f->unused));
}

// Where the frame of descriptor d lies, NULL unless it has the common shape and its header (if the
// guest may leave work in it) asks for nothing.
static inline const uint8_t *flat_source(struct vhost_ring *r, struct vring_desc d)
{
	const uint8_t *p;
	uint16_t claims;

	if (unlikely(d.flags || d.len < r->hdr_len + FRAME_LEN_MIN ||
		     d.len > r->hdr_len + FRAME_LEN_MAX))
		return NULL;
	p = guestmem_at(r->mem, &r->cache, d.addr, d.len);
	if (unlikely(!p))
		return NULL;
	if (r->offloads) {
		// flags and gso_type, the header's first two bytes, in one load.
		claims = __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_RELAXED);
		if (unlikely(claims & ~(uint16_t)htole16(VIRTIO_NET_HDR_F_DATA_VALID)))
			return NULL;
	}
	__builtin_prefetch(p + r->hdr_len);
	return p + r->hdr_len;
}

static uint32_t discard(struct vhost_ring *r, struct port_stats *st)
{
	uint32_t n = vq_device_pop_burst(&r->vq, r->taken, FRAME_BURST);

	st->drop[DROP_port_down] += n;
	r->n_taken = n;
	vhost_ring_give_back(r);
	return 0;
}

static uint32_t lend(struct vhost_ring *r, struct burst *b, struct port_stats *st)
{
	const uint8_t *at[FRAME_BURST];
	uint32_t len[FRAME_BURST], n, i, k = 0, bytes = 0, flags = 0;

	b->n = b->flags = b->bytes = 0;
	r->n_taken = r->n_segs = 0;
	n = vq_device_avail(&r->vq, FRAME_BURST);
	if (!n)
		return 0;
	if (unlikely(r->discard))
		return discard(r, st);

	for (i = 0; i < n; i++) {
		uint16_t head = vq_device_peek(&r->vq, i);
		struct vring_desc d;

		if (unlikely(head >= r->vq.size)) {
			vq_device_break(&r->vq);
			st->drop[DROP_malformed]++;
			n = i;
			break;
		}
		r->taken[i] = head;
		d = vq_device_desc(&r->vq, head);
		at[i] = flat_source(r, d);
		len[i] = d.len - r->hdr_len;
	}

	for (i = 0; i < n; i++) {
		struct frame *f = &b->f[k];

		if (likely(at[i] != NULL)) {
			lend_flat(f, at[i], len[i]);
		} else {
			enum vhost_ring_take t = vhost_ring_lend_chain(r, r->taken[i], f, st);
			if (t == TAKE_LATER)
				break;
			if (t == TAKE_DROPPED)
				continue;
			flags |= f->flags;
		}
		bytes += f->len;
		k++;
	}
	vq_device_pop(&r->vq, i);
	r->n_taken = i;
	if (unlikely(!k))
		vhost_ring_give_back(r);
	b->n = k;
	b->flags = flags;
	b->bytes = bytes;
	st->rx_frames += k;
	st->rx_bytes += bytes;
	st->rx_bursts++;
	return k;
}

// --- To the guest ---

// Heads and places of the next n chains, as far as they have the common shape and hold the frames
// of list; starts fetching them for writing. Returns how many from the front do.
static inline uint32_t flat_targets(struct vhost_ring *r, const struct frame *f,
	const uint8_t *list, uint32_t n, uint16_t *heads, uint8_t **to)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t need = r->hdr_len + f[list[i]].len;
		uint16_t head = vq_device_peek(&r->vq, i);
		struct vring_desc d;

		if (unlikely(head >= r->vq.size))
			return i;
		d = vq_device_desc(&r->vq, head);
		if (unlikely(d.flags != VRING_DESC_F_WRITE || d.len < need))
			return i;
		to[i] = guestmem_at(r->mem, &r->cache, d.addr, need);
		if (unlikely(!to[i]))
			return i;
		heads[i] = head;
		__builtin_prefetch(to[i] + r->hdr_len, 1);
	}
	return n;
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

// Writes the header, unless the buffer holds these bytes already: then its cache line may stay
// shared with the guest.
static inline void put_header(const struct vhost_ring *r, uint8_t *to, const struct frame *f)
{
	uint64_t low, old_low;
	uint32_t high, old_high = 0;

	header_words(r, f, &low, &high);
	memcpy(&old_low, to, 8);
	if (likely(r->hdr_len == sizeof(struct virtio_net_hdr_mrg_rxbuf))) {
		memcpy(&old_high, to + 8, 4);
		if (unlikely(old_low != low || old_high != high)) {
			memcpy(to, &low, 8);
			memcpy(to + 8, &high, 4);
		}
	} else {
		uint16_t tail;
		memcpy(&tail, &high, 2);
		memcpy(to, &low, 8);
		memcpy(to + 8, &tail, 2);
	}
}

static inline void put_frame(const struct vhost_ring *r, uint8_t *to, const struct frame *f)
{
	const uint8_t *head = frame_head_const(f);
	uint32_t left = f->head_len;

	put_header(r, to, f);
	to += r->hdr_len;
	for (; left > 64; left -= 64, head += 64, to += 64)
		copy_upto64(to, head, 64, false, false);
	copy_upto64(to, head, left, false, false);
	to += left;
	for (uint32_t i = 0; i < f->n_segs; i++) {
		copy_body(to, f->segs[i].base, f->segs[i].len);
		to += f->segs[i].len;
	}
}

static uint32_t deliver_flat(struct vhost_ring *r, const struct frame *f, const uint8_t *list,
	uint32_t n, struct port_stats *st)
{
	uint16_t heads[FRAME_BURST];
	uint8_t *to[FRAME_BURST];
	uint64_t bytes = 0;

	n = flat_targets(r, f, list, n, heads, to);
	for (uint32_t i = 0; i < n; i++) {
		const struct frame *fr = &f[list[i]];

		put_frame(r, to[i], fr);
		vq_device_used(&r->vq, i, heads[i], r->hdr_len + fr->len);
		bytes += fr->len;
	}
	vq_device_pop(&r->vq, n);
	vq_device_add(&r->vq, n);
	st->tx_frames += n;
	st->tx_bytes += bytes;
	st->copied += bytes + (uint64_t)n * r->hdr_len;
	return n;
}

static uint32_t deliver(struct vhost_ring *r, const struct frame *f, const uint8_t *list,
	uint32_t n, struct port_stats *st)
{
	uint16_t before = vq_device_next_used(&r->vq);
	uint32_t done = 0;

	while (done < n) {
		uint32_t avail = vq_device_avail(&r->vq, n - done), k = 0;

		if (unlikely(r->vq.broken)) {
			st->drop[DROP_port_down] += n - done;
			done = n;
			break;
		}
		if (!avail)
			break;
		if (likely(!r->log.base))
			k = deliver_flat(r, f, list + done, avail, st);
		done += k;
		if (unlikely(k < avail)) {
			if (!vhost_ring_deliver_one(r, &f[list[done]], st))
				break;
			done++;
		}
	}
	if (vq_device_next_used(&r->vq) != before) {
		vhost_ring_publish(r);
		st->tx_bursts++;
	}
	return done;
}

const struct vhost_burst_ops SYMBOL(vhost_burst_, BURST_ISA) = {
	.isa = STRING(BURST_ISA),
	.lend = lend,
	.deliver = deliver,
};
