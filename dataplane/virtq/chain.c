// SPDX-License-Identifier: BSD-2-Clause
// The chain walk: one descriptor after the other, each copied once, checked, and turned into
// segments.
#include "dataplane/virtq/chain.h"

#include <errno.h>

#define MAX_BYTES (1ull << 32) // virtio 1.2, 2.7.5.1: no chain is longer in total
#define MAX_PIECES \
	(GUESTMEM_MAX_REGIONS + 2) // of a range under 2^32 bytes: one per region, two cuts at 2^31

struct walk {
	const struct guestmem *m;
	struct guestmem_cache *c;
	struct vq_seg *segs;
	unsigned max, n;
	struct vq_chain chain;
};

// Turns one checked copy into segments and sums.
static int take(struct walk *w, const struct vring_desc *d)
{
	struct vq_chain *chain = &w->chain;
	bool writable = d->flags & VRING_DESC_F_WRITE;
	struct vq_seg scratch[MAX_PIECES];
	int n;

	if (!writable && chain->last_writable)
		return -EBADMSG;
	if (chain->readable_len + chain->writable_len + d->len > MAX_BYTES)
		return -EBADMSG;
	if (w->segs)
		n = guestmem_split(w->m, w->c, d->addr, d->len, w->segs + w->n, w->max - w->n);
	else
		n = guestmem_split(
			w->m, w->c, d->addr, d->len, scratch, sizeof(scratch) / sizeof(scratch[0]));
	if (n < 0)
		return n;
	w->n += n;
	if (writable) {
		chain->n_writable += n;
		chain->writable_len += d->len;
	} else {
		chain->n_readable += n;
		chain->readable_len += d->len;
	}
	if (!chain->n_desc++) {
		chain->n_first = n;
		chain->first_writable = writable;
	}
	chain->n_last = n;
	chain->last_gpa = d->addr;
	chain->last_len = d->len;
	chain->last_writable = writable;
	return 0;
}

// Copies a descriptor at gpa that may lie across two regions, each byte once.
static int load_split(struct walk *w, uint64_t gpa, struct vring_desc *d)
{
	struct vq_seg segs[sizeof(*d)];
	uint8_t copy[sizeof(*d)];
	unsigned at = 0;
	int n = guestmem_split(w->m, w->c, gpa, sizeof(*d), segs, sizeof(*d));

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++)
		for (uint32_t j = 0; j < segs[i].len; j++)
			copy[at++] = ((const volatile uint8_t *)segs[i].base)[j];
	memcpy(d, copy, sizeof(*d));
	return 0;
}

static int walk_indirect(struct walk *w, uint64_t gpa, uint32_t len, uint16_t max)
{
	uint32_t n = len / sizeof(struct vring_desc), i = 0;
	struct vq_seg scratch[MAX_PIECES];
	const uint8_t *table;
	int err;

	if (!len || len % sizeof(struct vring_desc) || n > max)
		return -EBADMSG;
	table = guestmem_at(w->m, w->c, gpa, len);
	if (vq_unlikely(!table)) {
		err = guestmem_split(w->m, w->c, gpa, len, scratch, MAX_PIECES);
		if (err < 0)
			return err;
	}
	for (uint32_t seen = 0; seen < n; seen++) {
		struct vring_desc d;

		if (vq_likely(table)) {
			d = vq_desc_load(table + i * sizeof(d));
		} else {
			err = load_split(w, gpa + i * sizeof(d), &d);
			if (err)
				return err;
		}
		if (d.flags & VRING_DESC_F_INDIRECT)
			return -EBADMSG;
		err = take(w, &d);
		if (err)
			return err;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		if (d.next >= n)
			return -EBADMSG;
		i = d.next;
	}
	return -EBADMSG; // more steps than entries: a loop
}

static int walk_table(struct walk *w, const struct vq_table *t, uint16_t head)
{
	uint16_t i = head;
	int err;

	for (uint32_t seen = 0; seen < t->size; seen++) {
		struct vring_desc d;

		if (i >= t->size)
			return -EBADMSG;
		d = vq_desc_load(&t->desc[i]);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (d.flags & VRING_DESC_F_NEXT)
				return -EBADMSG;
			return walk_indirect(w, d.addr, d.len, t->max_indirect);
		}
		err = take(w, &d);
		if (err)
			return err;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		i = d.next;
	}
	return -EBADMSG; // more steps than descriptors: a loop
}

int vq_chain_walk(const struct vq_table *t, const struct guestmem *m, struct guestmem_cache *c,
	uint16_t head, struct vq_seg *segs, unsigned max, struct vq_chain *chain)
{
	struct walk w = {.m = m, .c = c, .segs = segs, .max = max, .chain.head = head};
	int err = walk_table(&w, t, head);

	if (err)
		return err;
	*chain = w.chain;
	return 0;
}

int vq_chain_data(
	const struct vq_chain *chain, bool has_header, bool has_status, unsigned *from, unsigned *n)
{
	unsigned total = chain->n_readable + chain->n_writable;
	unsigned skip = 0, tail = 0;

	if (chain->n_desc < (unsigned)has_header + has_status)
		return -EBADMSG;
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
