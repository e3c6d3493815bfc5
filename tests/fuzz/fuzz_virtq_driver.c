// SPDX-License-Identifier: BSD-2-Clause
// The driver side against a device that writes anything anywhere: descriptors are neither lost nor handed out twice.
//
// Input: size (log2), flags, then steps: an operation, its argument, and for "write" where and what.
#include <errno.h>
#include <stdlib.h>
#include "dataplane/virtq/driver.h"

#define CHECK(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

#define MAX 64

// What we know of a chain, beside the library.
struct known {
	bool is_ours, is_out; // allocated; with the device
	unsigned n;
	uint64_t writable;
};

struct fuzz {
	struct vq_driver q;
	struct vq_layout l;
	uint8_t *mem;
	struct known chain[MAX];
	unsigned n_free, n_out;
};

static void add_chain(struct fuzz *f, uint8_t arg)
{
	struct vring_desc bufs[4];
	unsigned n = 1 + arg % 4;
	struct known k = {true, false, n, 0};
	int head;

	for (unsigned i = 0; i < n; i++) {
		bufs[i] = (struct vring_desc){i * 64, arg, (arg >> i) & VRING_DESC_F_WRITE, 0xffff};
		if (bufs[i].flags & VRING_DESC_F_WRITE)
			k.writable += arg;
	}
	head = vq_driver_write_chain(&f->q, bufs, n);
	CHECK((head < 0) == (n > f->n_free));
	if (head < 0)
		return;
	CHECK(head < f->q.size && !f->chain[head].is_ours);
	f->chain[head] = k;
	f->n_free -= n;
	CHECK(f->q.n_free == f->n_free);
	CHECK(vq_driver_writable_len(&f->q, (uint16_t)head) == k.writable);
}

static void push(struct fuzz *f, uint8_t arg)
{
	uint16_t head = arg % f->q.size;
	struct known *k = &f->chain[head];

	if (!k->is_ours)
		return;
	if (vq_driver_push(&f->q, head)) {
		CHECK(!k->is_out);
		k->is_out = true;
		f->n_out++;
	} else {
		CHECK(k->is_out || vq_driver_in_flight(&f->q) == f->q.size);
	}
}

static void reap(struct fuzz *f, uint8_t arg)
{
	struct vq_reaped r[MAX];
	bool broken = f->q.broken;
	unsigned n = vq_driver_reap_burst(&f->q, r, arg % (MAX + 1));

	CHECK(n <= f->n_out && (!broken || !n));
	for (unsigned i = 0; i < n; i++) {
		struct known *k;

		CHECK(r[i].head < f->q.size);
		k = &f->chain[r[i].head];
		CHECK(k->is_out && r[i].len <= k->writable);
		k->is_out = false;
		f->n_out--;
	}
}

static void release(struct fuzz *f, uint8_t arg)
{
	uint16_t head = arg % f->q.size;
	struct known *k = &f->chain[head];

	if (!k->is_ours)
		return;
	CHECK(vq_driver_free_chain(&f->q, head) == (k->is_out ? -EBUSY : 0));
	if (k->is_out)
		return;
	k->is_ours = false;
	f->n_free += k->n;
	CHECK(f->q.n_free == f->n_free);
}

static size_t step(struct fuzz *f, const uint8_t *data, size_t len)
{
	uint8_t arg = data[1];
	uint16_t where;

	switch (data[0] % 8) {
	case 0:
		add_chain(f, arg);
		break;
	case 1:
		push(f, arg);
		break;
	case 2:
		vq_driver_publish(&f->q);
		vq_fence();
		vq_driver_needs_kick(&f->q);
		break;
	case 3:
		reap(f, arg);
		break;
	case 4:
		release(f, arg);
		break;
	case 5:
		CHECK(vq_driver_used_pending(&f->q) <= f->n_out);
		break;
	case 6:
		if (arg & 1)
			vq_driver_enable_callbacks(&f->q);
		else
			vq_driver_disable_callbacks(&f->q);
		break;
	default: // the device writes, into all three areas
		if (len < 5)
			return len;
		where = (uint16_t)(data[2] | data[3] << 8);
		for (size_t i = 0; i < arg % 16u + 1 && i + 4 < len; i++)
			f->mem[(where + i) % f->l.total] = data[4 + i];
		return 4 + (arg % 16u + 1) < len ? 4 + (arg % 16u + 1) : len;
	}
	return 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz f = {.n_out = 0};

	if (len < 4)
		return -1;
	CHECK(!vq_layout_init(&f.l, 1, 1u << (data[0] % 7), 0, 0));
	f.mem = aligned_alloc(64, f.l.total);
	CHECK(!vq_driver_init(&f.q, &f.l, 0, f.mem, 0x1000, data[1] & 1));
	f.n_free = f.l.size;
	for (size_t at = 2; len - at >= 2;)
		at += step(&f, data + at, len - at);
	vq_driver_fini(&f.q);
	free(f.mem);
	return 0;
}
