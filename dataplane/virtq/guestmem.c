// SPDX-License-Identifier: BSD-2-Clause
// The region table behind guestmem_at(): adding regions, finding one, cutting a range at region
// ends.
#include "dataplane/virtq/guestmem.h"

#include <errno.h>
#include <string.h>

// A segment's length has 32 bits; longer pieces of a region are cut here.
#define SEG_MAX (1ull << 31)

void guestmem_init(struct guestmem *m)
{
	memset(m, 0, sizeof(*m));
}

int guestmem_add(struct guestmem *m, uint64_t gpa, uint64_t size, void *hva, uint64_t file_offset)
{
	uint64_t last =
		size - 1; // ends are inclusive, so that a region may touch 2^64; size 0 wraps
	uint32_t i;

	if (!hva || gpa + last < gpa || (uintptr_t)hva + last < (uintptr_t)hva ||
		file_offset + last < file_offset)
		return -EINVAL;
	for (i = 0; i < m->n && m->regions[i].gpa < gpa; i++)
		;
	if (i > 0 && gpa - m->regions[i - 1].gpa < m->regions[i - 1].size)
		return -EEXIST;
	if (i < m->n && m->regions[i].gpa - gpa < size)
		return -EEXIST;
	if (m->n == GUESTMEM_MAX_REGIONS)
		return -ENOSPC;
	memmove(&m->regions[i + 1], &m->regions[i], (m->n - i) * sizeof(m->regions[0]));
	m->regions[i] = (struct guestmem_region){gpa, size, hva, file_offset};
	m->n++;
	return 0;
}

const struct guestmem_region *guestmem_find(const struct guestmem *m, uint64_t gpa)
{
	uint32_t lo = 0, hi = m->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct guestmem_region *r = &m->regions[mid];

		if (gpa < r->gpa)
			hi = mid;
		else if (gpa - r->gpa < r->size)
			return r;
		else
			lo = mid + 1;
	}
	return NULL;
}

int guestmem_file_offset(const struct guestmem *m, uint64_t gpa, uint64_t *offset)
{
	const struct guestmem_region *r = guestmem_find(m, gpa);

	if (!r)
		return -EFAULT;
	*offset = r->file_offset + (gpa - r->gpa);
	return 0;
}

uint8_t *guestmem_at_miss(
	const struct guestmem *m, struct guestmem_cache *c, uint64_t gpa, uint64_t len)
{
	const struct guestmem_region *r = guestmem_find(m, gpa);
	uint64_t off;

	if (!r)
		return NULL;
	off = gpa - r->gpa;
	if (len > r->size - off)
		return NULL;
	*c = (struct guestmem_cache){r->gpa, r->size, r->hva};
	return r->hva + off;
}

int guestmem_split(const struct guestmem *m, struct guestmem_cache *c, uint64_t gpa, uint64_t len,
	struct vq_seg *segs, unsigned max)
{
	unsigned n = 0;

	if (len && gpa + (len - 1) < gpa)
		return -EFAULT;
	do {
		uint8_t *base = guestmem_at(m, c, gpa, 0);
		uint64_t part;

		if (!base)
			return -EFAULT;
		if (!len)
			break;
		part = c->size - (gpa - c->gpa);
		if (part > len)
			part = len;
		if (part > SEG_MAX)
			part = SEG_MAX;
		if (n == max)
			return -ENOSPC;
		segs[n++] = (struct vq_seg){(uint32_t)part, base};
		gpa += part;
		len -= part;
	} while (len);
	return (int)n;
}
