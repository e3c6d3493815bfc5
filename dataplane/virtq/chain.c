// SPDX-License-Identifier: BSD-2-Clause
// The chain walk: one descriptor after the other, each copied once, checked, and turned into
// segments.
#include "dataplane/virtq/chain.h"

#include <errno.h>

#define MAX_BYTES (1ull << 32) // virtio 1.2, 2.7.5: no chain is longer in total
#define MAX_PIECES \
	(GUESTMEM_MAX_REGIONS + 2) // of a range under 2^32 bytes: one per region, two cuts at 2^31

// Where a walk is. Everything is inlined into vq_chain_walk(), so that this lives in registers.
struct walk {
	const struct guestmem *m;
	struct guestmem_cache *c;
	struct vq_seg *segs;
	unsigned max;
	unsigned n;          // segments so far
	unsigned n_readable; // of them, before the first writable descriptor
	unsigned n_desc, n_first, n_last;
	uint64_t len, readable_len; // bytes so far
	struct vring_desc d;        // the copy being looked at; at the end the last one
	bool writable, first_writable;
};

// What take() leaves to the rare: over two regions, longer than a segment, no bytes, not in memory, only counting.
static __attribute__((noinline)) int take_split(const struct guestmem *m, struct guestmem_cache *c,
	uint64_t gpa, uint32_t len, struct vq_seg *segs, unsigned max)
{
	struct vq_seg scratch[MAX_PIECES];

	return segs ? guestmem_split(m, c, gpa, len, segs, max)
		    : guestmem_split(m, c, gpa, len, scratch, MAX_PIECES);
}

// Turns the checked copy w->d into segments and sums.
static inline __attribute__((always_inline)) int take(struct walk *w)
{
	bool writable = w->d.flags & VRING_DESC_F_WRITE;
	uint64_t off = w->d.addr - w->c->gpa;
	int n = 1;

	if (vq_unlikely(!writable && w->writable))
		return -EBADMSG;
	w->len += w->d.len;
	if (vq_unlikely(w->len > MAX_BYTES))
		return -EBADMSG;
	if (vq_likely(off < w->c->size && w->d.len <= w->c->size - off && w->n < w->max &&
		      w->d.len - 1 < INT32_MAX)) {
		w->segs[w->n] = (struct vq_seg){w->d.len, w->c->hva + off};
	} else {
		n = take_split(w->m, w->c, w->d.addr, w->d.len, w->segs ? w->segs + w->n : NULL,
			w->max - w->n);
		if (n < 0)
			return n;
	}
	w->n += (unsigned)n;
	if (!writable) {
		w->n_readable = w->n;
		w->readable_len = w->len;
	}
	if (!w->n_desc++) {
		w->n_first = (unsigned)n;
		w->first_writable = writable;
	}
	w->n_last = (unsigned)n;
	w->writable = writable;
	return 0;
}

// Copies a descriptor at gpa that may lie across two regions, each byte once.
static __attribute__((noinline)) int load_split(
	const struct guestmem *m, struct guestmem_cache *c, uint64_t gpa, struct vring_desc *d)
{
	struct vq_seg segs[sizeof(*d)];
	uint8_t copy[sizeof(*d)];
	unsigned at = 0;
	int n = guestmem_split(m, c, gpa, sizeof(*d), segs, sizeof(*d));

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++)
		for (uint32_t j = 0; j < segs[i].len; j++)
			copy[at++] = ((const volatile uint8_t *)segs[i].base)[j];
	memcpy(d, copy, sizeof(*d));
	return 0;
}

static inline __attribute__((always_inline)) int walk_indirect(
	struct walk *w, uint64_t gpa, uint32_t len, uint16_t max)
{
	uint32_t n = len / sizeof(struct vring_desc), i = 0;
	const uint8_t *table;
	int err;

	if (!len || len % sizeof(struct vring_desc) || n > max)
		return -EBADMSG;
	table = guestmem_at(w->m, w->c, gpa, len);
	if (vq_unlikely(!table)) {
		err = take_split(w->m, w->c, gpa, len, NULL, 0);
		if (err < 0)
			return err;
	}
	for (uint32_t seen = 0; seen < n; seen++) {
		if (vq_likely(table)) {
			w->d = vq_desc_load(table + i * sizeof(w->d));
		} else {
			struct vring_desc d;

			err = load_split(w->m, w->c, gpa + i * sizeof(d), &d);
			if (err)
				return err;
			w->d = d;
		}
		if (w->d.flags & VRING_DESC_F_INDIRECT)
			return -EBADMSG;
		err = take(w);
		if (err)
			return err;
		if (!(w->d.flags & VRING_DESC_F_NEXT))
			return 0;
		if (w->d.next >= n)
			return -EBADMSG;
		i = w->d.next;
	}
	return -EBADMSG; // more steps than entries: a loop
}

static inline __attribute__((always_inline)) int walk_table(
	struct walk *w, const struct vq_table *t, uint16_t head)
{
	uint16_t i = head;

	for (uint32_t seen = 0; seen < t->size; seen++) {
		int err;

		if (i >= t->size)
			return -EBADMSG;
		w->d = vq_desc_load(&t->desc[i]);
		if (w->d.flags & VRING_DESC_F_INDIRECT) {
			if (w->d.flags & VRING_DESC_F_NEXT)
				return -EBADMSG;
			return walk_indirect(w, w->d.addr, w->d.len, t->max_indirect);
		}
		err = take(w);
		if (err)
			return err;
		if (!(w->d.flags & VRING_DESC_F_NEXT))
			return 0;
		i = w->d.next;
	}
	return -EBADMSG; // more steps than descriptors: a loop
}

int vq_chain_walk(const struct vq_table *t, const struct guestmem *m, struct guestmem_cache *c,
	uint16_t head, struct vq_seg *segs, unsigned max, struct vq_chain *chain)
{
	struct walk w = {.m = m, .c = c, .segs = segs, .max = segs ? max : 0};
	int err = walk_table(&w, t, head);

	if (err)
		return err;
	*chain = (struct vq_chain){
		.head = head,
		.n_desc = (uint16_t)w.n_desc,
		.n_readable = w.n_readable,
		.n_writable = w.n - w.n_readable,
		.readable_len = w.readable_len,
		.writable_len = w.len - w.readable_len,
		.n_first = w.n_first,
		.n_last = w.n_last,
		.last_gpa = w.d.addr,
		.last_len = w.d.len,
		.first_writable = w.first_writable,
		.last_writable = w.writable,
	};
	return 0;
}

int vq_chain_data(
	const struct vq_chain *chain, bool has_header, bool has_status, unsigned *from, unsigned *n)
{
	unsigned total = chain->n_readable + chain->n_writable;
	unsigned skip = 0, tail = 0;

	if (has_header) {
		if (chain->first_writable)
			return -EBADMSG;
		skip = chain->n_first;
	}
	if (has_status) {
		if (!chain->last_writable)
			return -EBADMSG;
		tail = chain->n_last;
	}
	*from = skip;
	*n = total - skip - tail;
	return 0;
}

int vq_chain_status(const struct vq_chain *chain, uint64_t *gpa)
{
	if (!chain->last_writable || !chain->last_len)
		return -EBADMSG;
	*gpa = chain->last_gpa;
	return 0;
}
