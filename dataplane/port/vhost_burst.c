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

// Frames whose first line is fetched ahead of the one being copied: about as many as a core can have
// misses under way (measured: docs/performance.md).
#ifndef AHEAD
#define AHEAD 16u
#endif

// The line will be written: fetch it for that.
static inline void fetch_for_write(const void *p)
{
#ifdef __x86_64__
	__asm__ volatile("prefetchw %0" ::"m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

// --- Copies ---

// Copies n <= 64 bytes. `wide` says that 64 bytes may be accessed at that side: our own memory.
static inline void copy_upto64(
	uint8_t *to, const uint8_t *from, uint32_t n, bool wide_to, bool wide_from)
{
#ifdef __AVX512BW__
	__mmask64 mask = _bzhi_u64(~UINT64_C(0), n);
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

// --- Where a buffer lies ---

// The ring as the loops see it: in locals, so that no store to guest memory makes them be read
// again.
struct view {
	const struct vring_desc *desc;
	const uint16_t *avail;
	uint64_t gpa, size; // the region of the last hit
	uint8_t *hva;
	uint32_t mask, next, hdr_len;
};

static inline struct view view_of(const struct vhost_ring *r)
{
	return (struct view){
		.desc = r->vq.desc,
		.avail = r->vq.ring.avail->ring,
		.gpa = r->cache.gpa,
		.size = r->cache.size,
		.hva = r->cache.hva,
		.mask = r->vq.size - 1u,
		.next = r->vq.next_avail,
		.hdr_len = r->hdr_len,
	};
}

static inline uint16_t view_head(const struct view *v, uint32_t i)
{
	return vq_load16(&v->avail[(v->next + i) & v->mask]);
}

// Whether [addr, addr + len) lies in the region of the last hit.
static inline bool view_hit(const struct view *v, uint64_t addr, uint32_t len)
{
	uint64_t off = addr - v->gpa;

	return off < v->size && len <= v->size - off;
}

// Looks another region up and makes it the view's.
static __attribute__((noinline)) uint8_t *view_miss(
	struct vhost_ring *r, struct guestmem_cache *c, uint64_t addr, uint32_t len)
{
	uint8_t *p = guestmem_at(r->mem, &r->cache, addr, len);

	*c = r->cache;
	return p;
}

static inline uint8_t *view_at(struct vhost_ring *r, struct view *v, uint64_t addr, uint32_t len)
{
	if (likely(view_hit(v, addr, len)))
		return v->hva + (addr - v->gpa);
	struct guestmem_cache c;
	uint8_t *p = view_miss(r, &c, addr, len);

	v->gpa = c.gpa;
	v->size = c.size;
	v->hva = c.hva;
	return p;
}

// --- From the guest ---

// Lends a frame that lies in one piece at p, FRAME_LEN_MIN <= len <= FRAME_LEN_MAX.
static inline void lend_flat(struct frame *f, const uint8_t *p, uint32_t len)
{
	uint32_t head = len < FRAME_HEAD ? len : FRAME_HEAD;
	// Neighbouring fields in one store each; flags, vid, hash, claims and tag are 0.
	const uint64_t first = len | (uint64_t)head << 32 | (uint64_t)FRAME_HEAD_OFF << 48;
	const uint64_t second = len > FRAME_HEAD;

	_Static_assert(
		offsetof(struct frame, len) == 0 && offsetof(struct frame, head_len) == 4 &&
			offsetof(struct frame, head_off) == 6 &&
			offsetof(struct frame, flags) == 7 && offsetof(struct frame, n_segs) == 8 &&
			offsetof(struct frame, hash) == 12 && __BYTE_ORDER == __LITTLE_ENDIAN,
		"the first 16 bytes of a frame are written as two words");
	copy_upto64(f->buf + FRAME_HEAD_OFF, p, head, true, false);
	memcpy(&f->len, &first, sizeof(first));
	memcpy(&f->n_segs, &second, sizeof(second));
	f->segs = &f->seg;
	f->seg.base = p + head;
	f->seg.len = len - head;
	memset(&f->offload, 0, offsetof(struct frame, buf) - offsetof(struct frame, offload));
}

// Whether the header asks for nothing: flags and gso_type, its first two bytes, in one load.
static inline bool claims_nothing(const uint8_t *hdr)
{
	uint16_t claims = __atomic_load_n((const uint16_t *)(const void *)hdr, __ATOMIC_RELAXED);

	return !(claims & ~(uint16_t)htole16(VIRTIO_NET_HDR_F_DATA_VALID));
}

// The buffers of the next n chains, header first, as far as they have the common shape: one
// descriptor for header and frame. NULL for the others. Returns how many chains there are before
// one whose head is impossible.
static inline uint32_t flat_sources(
	struct vhost_ring *r, uint32_t n, const uint8_t **at, uint32_t *len)
{
	struct view v = view_of(r);
	const uint32_t shortest = v.hdr_len + FRAME_LEN_MIN, span = FRAME_LEN_MAX - FRAME_LEN_MIN;

	for (uint32_t i = 0; i < n; i++) {
		uint16_t head = view_head(&v, i);
		struct vring_desc d;
		const uint8_t *p;

		if (unlikely(head > v.mask))
			return i;
		r->taken[i] = head;
		d = vq_desc_load(&v.desc[head]);
		len[i] = d.len - v.hdr_len;
		if (unlikely(d.flags || d.len - shortest > span)) {
			at[i] = NULL;
			continue;
		}
		p = view_at(r, &v, d.addr, d.len);
		at[i] = p;
		if (i < AHEAD)
			__builtin_prefetch(p + v.hdr_len);
	}
	return n;
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
	const uint32_t hdr_len = r->hdr_len;
	const bool offloads = r->offloads;

	b->n = b->flags = b->bytes = 0;
	r->n_taken = r->n_segs = 0;
	n = vq_device_avail(&r->vq, FRAME_BURST);
	if (!n)
		return 0;
	if (unlikely(r->discard))
		return discard(r, st);

	i = flat_sources(r, n, at, len);
	if (unlikely(i < n)) {
		vq_device_break(&r->vq);
		st->drop[DROP_malformed]++;
		n = i;
	}
	for (i = 0; i < n; i++) {
		struct frame *f = &b->f[k];

		if (i + AHEAD < n)
			__builtin_prefetch(at[i + AHEAD] + hdr_len);
		if (likely(at[i] && (!offloads || claims_nothing(at[i])))) {
			lend_flat(f, at[i] + hdr_len, len[i]);
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

// Heads and buffers of the next n chains, as far as they have the common shape and hold the frames
// of list; starts fetching them for writing. Returns how many from the front do.
static inline uint32_t flat_targets(struct vhost_ring *r, const struct frame *f,
	const uint8_t *list, uint32_t n, uint16_t *heads, uint8_t **to)
{
	struct view v = view_of(r);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t need = v.hdr_len + f[list[i]].len;
		uint16_t head = view_head(&v, i);
		struct vring_desc d;
		uint8_t *p;

		if (unlikely(head > v.mask))
			return i;
		d = vq_desc_load(&v.desc[head]);
		if (unlikely(d.flags != VRING_DESC_F_WRITE || d.len < need))
			return i;
		p = view_at(r, &v, d.addr, need);
		if (unlikely(!p))
			return i;
		to[i] = p;
		heads[i] = head;
		if (i < AHEAD)
			fetch_for_write(p + v.hdr_len);
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
static inline void put_header(uint8_t *to, uint64_t low, uint32_t high, bool is_long)
{
	uint64_t old_low;
	uint32_t old_high;
	uint16_t tail = (uint16_t)high;

	memcpy(&old_low, to, 8);
	if (likely(is_long)) {
		memcpy(&old_high, to + 8, 4);
		if (unlikely((old_low ^ low) | (old_high ^ high))) {
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
		copy_upto64(to, head, 64, false, false);
	copy_upto64(to, head, left, false, false);
	to += left;
	for (uint32_t i = 0; i < f->n_segs; i++) {
		copy_body(to, f->segs[i].base, f->segs[i].len);
		to += f->segs[i].len;
	}
}

// Writes a used element, unless its slot holds these bytes already: a guest that offers its buffers
// in the same order again and again keeps the ring's cache lines, and so do we.
static inline void put_used(struct vring_used_elem *slot, uint16_t id, uint32_t len)
{
	const uint64_t e = id | (uint64_t)len << 32;
	uint64_t old;

	memcpy(&old, slot, sizeof(old));
	if (old != e)
		memcpy(slot, &e, sizeof(e));
}

static uint32_t deliver_flat(struct vhost_ring *r, const struct frame *f, const uint8_t *list,
	uint32_t n, struct port_stats *st)
{
	const uint32_t hdr_len = r->hdr_len, mask = r->vq.size - 1u, next = r->vq.ring.next;
	struct vring_used_elem *used = r->vq.ring.used->ring;
	uint16_t heads[FRAME_BURST];
	uint8_t *to[FRAME_BURST];
	uint64_t bytes = 0;

	n = flat_targets(r, f, list, n, heads, to);
	for (uint32_t i = 0; i < n; i++) {
		const struct frame *fr = &f[list[i]];
		const uint32_t len = fr->len;
		uint64_t low;
		uint32_t high;

		if (i + AHEAD < n)
			fetch_for_write(to[i + AHEAD] + hdr_len);
		header_words(r, fr, &low, &high);
		put_header(to[i], low, high, hdr_len == sizeof(struct virtio_net_hdr_mrg_rxbuf));
		put_frame(to[i] + hdr_len, fr);
		put_used(&used[(next + i) & mask], heads[i], hdr_len + len);
		bytes += len;
	}
	vq_device_pop(&r->vq, n);
	vq_device_add(&r->vq, n);
	st->tx_frames += n;
	st->tx_bytes += bytes;
	st->copied += bytes + (uint64_t)n * hdr_len;
	return n;
}

// The used elements of a whole burst that was lent.
static void give_back(struct vhost_ring *r)
{
	const uint32_t mask = r->vq.size - 1u, next = r->vq.ring.next, n = r->n_taken;
	struct vring_used_elem *used = r->vq.ring.used->ring;

	for (uint32_t i = 0; i < n; i++)
		put_used(&used[(next + i) & mask], r->taken[i], 0);
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
	.give_back = give_back,
	.deliver = deliver,
};
