// SPDX-License-Identifier: BSD-2-Clause
// Walks a chain through any descriptor table and any indirect table: segments stay in memory, sums agree, counting and walking
// agree.
//
// Input: size (log2), max_indirect, head, room for segments, then the table, then the bytes of guest memory.
#include <errno.h>
#include <stdlib.h>
#include "dataplane/virtq/chain.h"

#define CHECK(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

#define GPA      0x1000ull
#define MAX_SEGS 64

static bool is_inside(const struct vq_seg *s, const uint8_t *base, size_t len)
{
	return s->base >= base && s->len <= len && (size_t)(s->base - base) <= len - s->len;
}

static void check_segs(const struct vq_seg *segs, const struct vq_chain *c, const uint8_t *mem,
	size_t a, size_t len)
{
	uint64_t bytes[2] = {0, 0};
	unsigned n = c->n_readable + c->n_writable, from, n_data;

	for (unsigned i = 0; i < n; i++) {
		CHECK(segs[i].len > 0);
		CHECK(is_inside(&segs[i], mem, a) || is_inside(&segs[i], mem + a, len - a));
		bytes[i >= c->n_readable] += segs[i].len;
	}
	CHECK(bytes[0] == c->readable_len && bytes[1] == c->writable_len);
	for (int k = 0; k < 4; k++)
		if (!vq_chain_data(c, k & 1, k & 2, &from, &n_data))
			CHECK(from <= n && n_data <= n - from);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct vq_chain c, counted;
	struct vq_seg segs[MAX_SEGS];
	struct guestmem_cache cache = {0};
	struct guestmem m;
	struct vq_table t;
	size_t table_bytes, half;
	unsigned room;
	uint8_t *mem;
	void *desc;
	int err, counted_err;

	if (len < 6)
		return -1;
	t.size = (uint16_t)(1u << (data[0] % 6));
	t.max_indirect = data[1];
	room = data[4] % (MAX_SEGS + 1);
	table_bytes = t.size * 16u;
	if (len < 6 + table_bytes + 2)
		return -1;
	desc = aligned_alloc(16, table_bytes);
	memcpy(desc, data + 6, table_bytes);
	t.desc = desc;
	len -= 6 + table_bytes;
	mem = malloc(len);
	memcpy(mem, data + 6 + table_bytes, len);
	half = 1 + data[5] % (len - 1); // two regions, adjacent for the guest
	guestmem_init(&m);
	CHECK(!guestmem_add(&m, GPA, half, mem, 0));
	CHECK(!guestmem_add(&m, GPA + half, len - half, mem + half, 0));

	err = vq_chain_walk(&t, &m, &cache, (uint16_t)(data[2] | data[3] << 8), segs, room, &c);
	counted_err = vq_chain_walk(
		&t, &m, &cache, (uint16_t)(data[2] | data[3] << 8), NULL, 0, &counted);
	CHECK(err == 0 || err == -EBADMSG || err == -EFAULT || err == -ENOSPC);
	CHECK(counted_err != -ENOSPC);
	if (err != -ENOSPC)
		CHECK(err == counted_err);
	if (!err) {
		CHECK(c.n_readable + c.n_writable <= room);
		CHECK(c.n_desc == counted.n_desc && c.readable_len == counted.readable_len);
		check_segs(segs, &c, mem, half, len);
	} else if (err == -ENOSPC && !counted_err) {
		CHECK(counted.n_readable + counted.n_writable > room);
	}
	free(mem);
	free(desc);
	return 0;
}
