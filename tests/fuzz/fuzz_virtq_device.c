// SPDX-License-Identifier: BSD-2-Clause
// The device side on a ring whose every byte the input writes, between any operations in any order.
//
// Input: size (log2), flags, first index, then steps: an operation, its argument, and for "write" where and what.
#include <errno.h>
#include <stdlib.h>
#include "dataplane/virtq/device.h"
#include "dataplane/virtq/layout.h"

#define CHECK(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

#define GPA   0x1000ull
#define BURST 64

struct fuzz {
	struct vq_device q;
	struct vq_layout l;
	struct guestmem m;
	struct guestmem_cache cache;
	uint8_t *mem;
	uint64_t len;
	uint16_t out[BURST]; // heads popped and not given back
	unsigned n_out;
};

static void pop_burst(struct fuzz *f, unsigned max)
{
	uint16_t heads[BURST], before = vq_device_next_avail(&f->q);
	bool broken = f->q.broken;
	unsigned n;

	if (max > BURST - f->n_out)
		max = BURST - f->n_out;
	n = vq_device_pop_burst(&f->q, heads, max);
	CHECK(n <= max && n <= f->q.size);
	CHECK(!broken || n == 0);
	CHECK((uint16_t)(vq_device_next_avail(&f->q) - before) == n);
	for (unsigned i = 0; i < n; i++) {
		CHECK(heads[i] < f->q.size);
		f->out[f->n_out++] = heads[i];
	}
	CHECK(f->n_out <= f->q.size);
}

static void pop_chain(struct fuzz *f, uint8_t max_indirect)
{
	struct vq_seg segs[32];
	struct vq_chain c;
	int rc;

	if (f->n_out == BURST)
		return;
	rc = vq_device_pop_chain(&f->q, &f->m, &f->cache, max_indirect, segs, 32, &c);
	CHECK(rc == 1 || rc == 0 || rc == -EBADMSG || rc == -EFAULT || rc == -ENOSPC);
	if (rc == 0 || f->q.broken)
		return;
	CHECK(c.head < f->q.size);
	f->out[f->n_out++] = c.head;
	for (unsigned i = 0; rc == 1 && i < c.n_readable + c.n_writable; i++) {
		CHECK(segs[i].base >= f->mem && segs[i].base + segs[i].len <= f->mem + f->len);
		if (i >= c.n_readable)
			segs[i].base[segs[i].len - 1] ^= 0x55; // over the rings, for all we care
	}
}

static void give_back(struct fuzz *f, unsigned n)
{
	struct vring_used_elem elems[BURST];

	if (n > f->n_out)
		n = f->n_out;
	for (unsigned i = 0; i < n; i++)
		elems[i] = (struct vring_used_elem){f->out[--f->n_out], i};
	vq_device_used_burst(&f->q, elems, n);
}

static void save_and_restore(struct fuzz *f)
{
	struct vq_device_state s;

	vq_device_save(&f->q, &s);
	CHECK(!vq_device_restore(&f->q, &s));
	CHECK(!vq_device_map(&f->q, &f->m));
}

// One step; returns how many bytes of the input it took.
static size_t step(struct fuzz *f, const uint8_t *data, size_t len)
{
	uint8_t arg = data[1];
	uint16_t where, head;

	switch (data[0] % 10) {
	case 0:
		pop_burst(f, arg % (BURST + 1));
		break;
	case 1:
		pop_chain(f, arg);
		break;
	case 2:
		give_back(f, arg);
		break;
	case 3:
		vq_device_publish(&f->q);
		vq_fence();
		vq_device_needs_notification(&f->q);
		CHECK(!vq_device_needs_notification(&f->q)); // nothing new
		break;
	case 4:
		vq_device_enable_notification(&f->q);
		break;
	case 5:
		vq_device_disable_notification(&f->q);
		break;
	case 6:
		if (f->n_out) {
			f->n_out--;
			vq_device_unpop(&f->q, 1);
		}
		break;
	case 7:
		for (vq_device_foreach(&f->q, i, n, head))
			CHECK(n <= f->q.size && i < n && head == vq_device_peek(&f->q, i));
		break;
	case 8:
		if (!f->q.broken)
			save_and_restore(f);
		break;
	default: // the driver writes
		if (len < 5)
			return len;
		where = (uint16_t)(data[2] | data[3] << 8);
		for (size_t i = 0; i < arg % 16u + 1 && i + 4 < len; i++)
			f->mem[(where + i) % f->len] = data[4 + i];
		return 4 + (arg % 16u + 1) < len ? 4 + (arg % 16u + 1) : len;
	}
	return 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz f = {.n_out = 0};
	uint16_t first;

	if (len < 6)
		return -1;
	CHECK(!vq_layout_init(&f.l, 1, 1u << (data[0] % 7), 0, 0));
	f.len = f.l.total + 512;
	f.mem = aligned_alloc(64, (f.len + 63) & ~63ull);
	memset(f.mem, 0, f.len);
	guestmem_init(&f.m);
	CHECK(!guestmem_add(&f.m, GPA, f.len, f.mem, 0));
	CHECK(!vq_device_init(&f.q, (uint16_t)f.l.size));
	vq_device_set_event_idx(&f.q, data[1] & 1);
	vq_device_set_desc_low(&f.q, GPA);
	vq_device_set_avail_low(&f.q, (uint32_t)(GPA + f.l.avail));
	vq_device_set_used_low(&f.q, (uint32_t)(GPA + f.l.used));
	vq_device_set_ready(&f.q, true);
	first = (uint16_t)(data[2] | data[3] << 8);
	vq_device_set_next(&f.q, first, first);
	CHECK(!vq_device_map(&f.q, &f.m));
	for (size_t at = 4; len - at >= 2;)
		at += step(&f, data + at, len - at);
	free(f.mem);
	return 0;
}
