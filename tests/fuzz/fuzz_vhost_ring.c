// SPDX-License-Identifier: BSD-2-Clause
// Two rings of guests whose every byte the input writes: what the one sends is lent, and delivered to the other,
// with the loops of each instruction set that this CPU has.
//
// Input: for both rings features and size, then steps: an operation and its arguments.
#include "dataplane/port/vhost_features.h"
#include "dataplane/port/vhost_ring.h"
#include "tests/lib/head_sum.h"

#include <stdlib.h>
#include <string.h>

#define CHECK(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

// Where each area begins for the guest: one behind the other, but each by itself for us.
#define GPA      UINT64_C(0xffffe000)
#define AREAS    5u
#define LOG_SIZE ((GPA + 0x20000) / DIRTY_LOG_PAGE / 8 + 1)

enum { DESC, AVAIL, USED, SHORT, LONG };

struct side {
	struct vhost_ring r;
	struct guestmem mem;
	uint8_t *area[AREAS];
	uint64_t size[AREAS], total;
	const struct vhost_burst_ops *ops;
	struct port_stats st;
	bool stuck;
};

static const struct vhost_burst_ops *ops_of(unsigned i)
{
#ifdef __x86_64__
	if (i % 3 == 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
		return &vhost_burst_avx2;
	if (i % 3 == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2"))
		return &vhost_burst_avx512;
#endif
	return &vhost_burst_base;
}

static uint64_t features_of(uint8_t bits)
{
	static const unsigned names[] = {VIRTIO_F_VERSION_1, VIRTIO_NET_F_MRG_RXBUF,
		VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_RING_F_EVENT_IDX, VIRTIO_NET_F_CSUM,
		VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6};
	uint64_t features = 0;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		features |= bits >> i & 1 ? FEATURE(names[i]) : 0;
	return features;
}

static void side_open(struct side *s, const uint8_t *data, const struct dirty_log *log)
{
	const uint16_t size = (uint16_t)(1u << (2 + data[1] % 7)),
		       first = (uint16_t)(data[2] * 257);
	struct vhost_ring_config c = {.mem = &s->mem,
		.log = data[1] & 0x80 ? log : NULL,
		.features = features_of(data[0]),
		.size = size,
		.next_avail = first,
		.next_used = first,
		.callfd = -1,
		.kickfd = -1,
		.stuck = &s->stuck,
		.discard = data[1] & 0x40 && data[2] == 0xff};

	s->size[DESC] = size * sizeof(struct vring_desc);
	s->size[AVAIL] = sizeof(struct vring_avail) + 2u * size + 2;
	s->size[USED] = sizeof(struct vring_used) + sizeof(struct vring_used_elem) * size + 2;
	s->size[SHORT] = 0x1003;
	s->size[LONG] = 0x12001;
	guestmem_init(&s->mem);
	for (unsigned i = 0; i < AREAS; i++) {
		s->area[i] = calloc(1, s->size[i]);
		CHECK(!guestmem_add(&s->mem, GPA + s->total, s->size[i], s->area[i], 0));
		s->total += s->size[i];
	}
	c.desc = (void *)s->area[DESC];
	c.avail = (void *)s->area[AVAIL];
	c.used = (void *)s->area[USED];
	c.avail->idx = c.used->idx = first;
	c.log_used = GPA + s->size[DESC] + s->size[AVAIL];
	s->ops = ops_of(data[0] >> 5);
	CHECK(!vhost_ring_start(&s->r, &c));
}

static void side_close(struct side *s)
{
	vhost_ring_stop(&s->r);
	for (unsigned i = 0; i < AREAS; i++)
		free(s->area[i]);
}

// Whether [base, base + len) is memory of the guest.
static bool is_inside(const struct side *s, const uint8_t *base, uint64_t len)
{
	for (unsigned i = 0; i < AREAS; i++) {
		const uint64_t off = (uint64_t)(base - s->area[i]);
		if (off <= s->size[i] && len <= s->size[i] - off)
			return true;
	}
	return false;
}

static void check_frame(const struct side *s, const struct frame *f)
{
	uint64_t len = f->head_len;

	CHECK(f->len >= FRAME_LEN_MIN && f->len <= FRAME_LEN_MAX && f->head_len <= FRAME_HEAD_MAX);
	CHECK(f->head_len >= (f->len < FRAME_HEAD ? f->len : FRAME_HEAD));
	for (unsigned i = 0; i < f->n_segs; i++) {
		const struct frame_seg seg = frame_segs_const(f)[i];
		CHECK(seg.len && is_inside(s, seg.base, seg.len));
		len += seg.len;
	}
	CHECK(len == f->len);
}

static uint32_t lend(struct side *s, struct burst *b, uint32_t max)
{
	uint64_t bytes = 0;
	uint32_t longest = 0;

	b->is_summed = false;
	const uint32_t n = s->ops->lend(&s->r, b, max, &s->st);
	CHECK(n == b->n && n <= max && s->r.n_taken <= s->r.vq.size);
	for (uint32_t i = 0; i < n; i++) {
		check_frame(s, &b->f[i]);
		bytes += b->f[i].len;
		longest = b->f[i].len > longest ? b->f[i].len : longest;
	}
	CHECK(b->bytes == bytes && b->longest == longest);
	if (b->is_summed && n) {
		const struct head_sum sum = head_sum_of(b);
		CHECK(!memcmp(b->begin.any, sum.any, 14));
		CHECK(!memcmp(b->begin.least, sum.least, 14));
	}
	return n;
}

static void pass_on(struct side *from, struct side *to, uint32_t max)
{
	static struct burst b;
	uint8_t list[FRAME_BURST];
	const uint32_t n = lend(from, &b, max);

	for (uint32_t i = 0; i < n; i++)
		list[i] = (uint8_t)i;
	vhost_ring_room(&to->r, max);
	to->ops->fetch(&to->r, max, max % 2 ? b.longest : 60);
	if (n) {
		const uint64_t before = to->st.tx_frames;
		CHECK(to->ops->deliver(&to->r, b.f, list, n, &to->st) <= n);
		CHECK(to->st.tx_frames - before <= n);
	}
	vhost_ring_give_back(&from->r);
	vhost_ring_notify(&to->r, &to->st);
	vhost_ring_notify(&from->r, &from->st);
}

// The guest writes a descriptor, and makes it available or not. Bytes: id, address (2), length (2), flags, next.
static void describe(struct side *s, const uint8_t *d)
{
	struct vring_desc *desc = (void *)s->area[DESC];
	struct vring_avail *avail = (void *)s->area[AVAIL];
	const uint16_t size = s->r.vq.size;

	desc[d[0] % size] = (struct vring_desc){GPA + 2 * (d[1] | (uint64_t)d[2] << 8),
		d[3] | (uint32_t)d[4] << 8 | (d[5] & 0x20u) << 11, d[5] & 7, d[6]};
	if (!(d[5] & 8))
		avail->ring[avail->idx++ % size] = d[5] & 16 ? d[6] : d[0] % size;
}

// Many at once, as a driver has them: neighbours with buffers of one length.
static void describe_all(struct side *s, const uint8_t *d)
{
	for (unsigned i = 0; i < s->r.vq.size; i++) {
		const uint16_t at = (uint16_t)((d[1] | d[2] << 8) + i * (1 + d[6] * 4u));

		describe(s, (const uint8_t[]){(uint8_t)(d[0] + i), (uint8_t)at, (uint8_t)(at >> 8),
				    d[3], d[4], d[5] & 0x2f, d[6]});
	}
}

// One step; returns how many bytes of the input it took.
static size_t step(struct side *a, struct side *b, const uint8_t *data, size_t len)
{
	struct side *s = data[0] & 0x80 ? b : a;
	uint64_t where;

	if (len < 8)
		return len;
	switch (data[0] % 8) {
	case 0:
	case 1:
	case 2:
		pass_on(s, s == a ? b : a,
			1 + data[1] % FRAME_BURST); // never to itself, as the switch
		return 2;
	case 3:
		if (data[1] & 1)
			vhost_ring_arm(&s->r);
		vhost_ring_disarm(&s->r);
		return 2;
	case 4:
		describe_all(s, data + 1);
		return 8;
	case 5:
	case 6:
		describe(s, data + 1);
		return 8;
	default: // anything, anywhere
		where = (data[2] | (uint64_t)data[3] << 8) % s->size[data[1] % AREAS];
		for (size_t i = 0; i < 4 && where + i < s->size[data[1] % AREAS]; i++)
			s->area[data[1] % AREAS][where + i] = data[4 + i];
		return 8;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct side a, b;
	struct dirty_log log = {.size = LOG_SIZE};

	if (len < 8)
		return -1;
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	log.base = calloc(1, LOG_SIZE);
	side_open(&a, data, &log);
	side_open(&b, data + 3, &log);
	for (size_t at = 6; at < len;)
		at += step(&a, &b, data + at, len - at);
	side_close(&a);
	side_close(&b);
	free(log.base);
	return 0;
}
