// SPDX-License-Identifier: BSD-2-Clause
// Exhaustive exploration: every chain, ring and used element that can be made from edge values, for small queues.
//
// Lazy: a descriptor gets its values only when the walk would come to it, so that the paths are those that differ.
// Which one it comes to next is decided by an oracle, written from the standard and not from chain.c; at the end of each
// path the library walks the same memory and must answer the same. Descriptors that no path should reach hold poison. All
// memory is allocated to the byte: an address sanitizer build finds every read outside.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "dataplane/virtq/device.h"
#include "dataplane/virtq/driver.h"

#define N VRING_DESC_F_NEXT
#define W VRING_DESC_F_WRITE
#define I VRING_DESC_F_INDIRECT

// Guest memory: two adjacent regions for data, and one that is just the indirect table.
#define SIZE  0x1000ull
#define A     0x10000ull
#define B     (A + SIZE)
#define END   (B + SIZE)
#define TABLE 0x40000ull
#define MAX   4 // descriptors in a table

struct buf {
	uint64_t addr;
	uint32_t len;
};

static const struct buf all_bufs[] = {
	{A, 0},
	{A, 1},
	{A, SIZE},
	{A, 2 * SIZE},
	{A, 2 * SIZE + 1},
	{A, UINT32_MAX},
	{A - 1, 1},
	{A - 1, 2},
	{B - 1, 1},
	{B - 1, 2},
	{END - 1, 1},
	{END - 1, 2},
	{END, 0},
	{END, 1},
	{0, 0},
	{0, UINT32_MAX},
	{UINT64_MAX, 1},
	{UINT64_MAX, 2},
	{UINT64_MAX - A + 2, UINT32_MAX},
};
static const struct buf few_bufs[] = {{A, 1}, {B - 1, 2}, {END - 1, 2}, {UINT64_MAX, 2}};
static const struct buf tables[] = {
	{TABLE, 0},
	{TABLE, 15},
	{TABLE, 16},
	{TABLE, 17},
	{TABLE, 32},
	{TABLE, 64},
	{TABLE, 80},
	{TABLE, 0xfffffff0},
	{TABLE + 1, 64},
	{TABLE - 16, 16},
	{0, 16},
	{UINT64_MAX - 7, 16},
};

// One configuration, and the path being built.
static struct {
	uint16_t size, max_indirect;
	const struct buf *bufs;
	unsigned n_bufs;

	struct vring_desc table[MAX], indirect[MAX];
	bool set[MAX], set_indirect[MAX];

	uint16_t head;
	unsigned n_desc, n_seg[2], steps;
	uint64_t bytes[2];
	bool writable;

	struct guestmem mem;
	uint8_t *a, *b;
	struct vring_desc *real_table, *real_indirect;
	uint64_t n_paths, n_good;
} x;

static void wrong(const char *what)
{
	fprintf(stderr, "explore: %s: size %u head %u\n", what, x.size, x.head);
	for (unsigned i = 0; i < MAX; i++)
		fprintf(stderr, "  %u: %d %llx %x %x %u   indirect %d %llx %x %x %u\n", i, x.set[i],
			x.table[i].addr, x.table[i].len, x.table[i].flags, x.table[i].next,
			x.set_indirect[i], x.indirect[i].addr, x.indirect[i].len,
			x.indirect[i].flags, x.indirect[i].next);
	exit(1);
}

static bool is_same(const struct vq_chain *a, const struct vq_chain *b)
{
	return a->head == b->head && a->n_desc == b->n_desc && a->n_readable == b->n_readable &&
	       a->n_writable == b->n_writable && a->readable_len == b->readable_len &&
	       a->writable_len == b->writable_len && a->n_first == b->n_first &&
	       a->n_last == b->n_last && a->last_gpa == b->last_gpa && a->last_len == b->last_len &&
	       a->first_writable == b->first_writable && a->last_writable == b->last_writable;
}

// The end of a path: the library must say err, and on success the oracle's sums.
static void leaf(int err)
{
	static const struct vring_desc poison = {0xdead0000dead0000, 0xdeaddead, 0xffff, 0xdead};
	struct vq_table t = {x.real_table, x.size, x.max_indirect};
	struct guestmem_cache cache = {0};
	struct vq_seg segs[4 * MAX];
	struct vq_chain c, counted;

	for (unsigned i = 0; i < x.size; i++)
		x.real_table[i] = x.set[i] ? x.table[i] : poison;
	for (unsigned i = 0; i < x.max_indirect; i++)
		x.real_indirect[i] = x.set_indirect[i] ? x.indirect[i] : poison;
	x.n_paths++;
	x.n_good += !err;
	if (vq_chain_walk(&t, &x.mem, &cache, x.head, segs, 4 * MAX, &c) != err)
		wrong("the walk answers otherwise");
	if (vq_chain_walk(&t, &x.mem, &cache, x.head, NULL, 0, &counted) != err)
		wrong("counting answers otherwise");
	if (err)
		return;
	if (c.n_desc != x.n_desc || c.n_readable != x.n_seg[0] || c.n_writable != x.n_seg[1] ||
		c.readable_len != x.bytes[0] || c.writable_len != x.bytes[1])
		wrong("other sums");
	if (!is_same(&c, &counted))
		wrong("counting gives other sums");
	for (unsigned i = 0; i < c.n_readable + c.n_writable; i++) {
		uint8_t *base = segs[i].base, *start = base >= x.a && base < x.a + SIZE ? x.a : x.b;

		if (base < start || base + segs[i].len > start + SIZE || !segs[i].len)
			wrong("a segment outside memory");
	}
}

// What the standard says of a buffer: 0, or the error.
static int judge(const struct vring_desc *d, unsigned *n_seg)
{
	bool writable = d->flags & W;

	if (!writable && x.writable)
		return -EBADMSG;
	if (x.bytes[0] + x.bytes[1] + d->len > 1ull << 32)
		return -EBADMSG;
	if (d->addr < A || d->addr >= END || d->len > END - d->addr)
		return -EFAULT;
	*n_seg = !d->len ? 0 : d->addr < B && d->addr + d->len > B ? 2 : 1;
	return 0;
}

static void visit(uint32_t i, uint32_t n, bool indirect, uint32_t seen);

// Goes on behind descriptor d, which is entry i of the table it is in.
static void follow(const struct vring_desc *d, uint32_t n, bool indirect, uint32_t seen)
{
	bool w = d->flags & W, was = x.writable;
	unsigned n_seg = 0;
	int err;

	if (d->flags & I) {
		if (indirect || (d->flags & N) || !x.max_indirect)
			return leaf(-EBADMSG);
		if (!d->len || d->len % 16 || d->len / 16 > x.max_indirect)
			return leaf(-EBADMSG);
		if (d->addr != TABLE)
			return leaf(-EFAULT);
		return visit(0, d->len / 16, true, 0);
	}
	err = judge(d, &n_seg);
	if (err)
		return leaf(err);
	x.n_desc++;
	x.n_seg[w] += n_seg;
	x.bytes[w] += d->len;
	x.writable = w;
	if (!(d->flags & N))
		leaf(0);
	else
		visit(d->next, n, indirect, seen + 1);
	x.n_desc--;
	x.n_seg[w] -= n_seg;
	x.bytes[w] -= d->len;
	x.writable = was;
}

// Comes to entry i of a table of n, having seen some: chooses its values, unless an earlier visit did.
static void visit(uint32_t i, uint32_t n, bool indirect, uint32_t seen)
{
	struct vring_desc *d;
	bool *set;
	static const uint16_t odd_next[] = {MAX - 1, MAX, 0x8000, 0xffff};

	if (seen == n || i >= n)
		return leaf(-EBADMSG);
	d = indirect ? &x.indirect[i] : &x.table[i];
	set = indirect ? &x.set_indirect[i] : &x.set[i];
	if (*set)
		return follow(d, n, indirect, seen);
	*set = true;
	for (uint16_t flags = 0; flags < 8; flags++) {
		const struct buf *bufs = flags & I ? tables : x.bufs;
		unsigned n_bufs = flags & I ? sizeof(tables) / sizeof(tables[0]) : x.n_bufs;
		// next matters with NEXT only.
		unsigned n_next = (flags & N) && !(flags & I) ? n + 4 : 1;

		for (unsigned b = 0; b < n_bufs; b++) {
			for (unsigned k = 0; k < n_next; k++) {
				uint16_t next = (uint16_t)(k < n ? k : odd_next[k - n]);

				*d = (struct vring_desc){bufs[b].addr, bufs[b].len, flags, next};
				follow(d, n, indirect, seen);
			}
		}
	}
	*set = false;
}

static void explore_chains(uint16_t size, uint16_t max_indirect, const struct buf *bufs, unsigned n)
{
	static const uint16_t heads[] = {0, 1, 2, 3, 4, 0x8000, 0xffff};

	memset(&x, 0, sizeof(x));
	x.size = size;
	x.max_indirect = max_indirect;
	x.bufs = bufs;
	x.n_bufs = n;
	x.a = malloc(SIZE);
	x.b = malloc(SIZE);
	x.real_table = aligned_alloc(16, size * 16u);
	x.real_indirect = aligned_alloc(16, max_indirect * 16u);
	guestmem_init(&x.mem);
	if (guestmem_add(&x.mem, A, SIZE, x.a, 0) || guestmem_add(&x.mem, B, SIZE, x.b, 0))
		exit(1);
	if (max_indirect && guestmem_add(&x.mem, TABLE, max_indirect * 16u, x.real_indirect, 0))
		exit(1);
	for (unsigned i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		x.head = heads[i];
		if (x.head && x.head < size - 1 && size > 2)
			continue; // like 0, by symmetry
		visit(x.head, size, false, 0);
	}
	printf("chains: size %u, indirect up to %u, %2u buffers: %9lu paths, %8lu well-formed\n",
		size, max_indirect, n, x.n_paths, x.n_good);
	free(x.a);
	free(x.b);
	free(x.real_table);
	free(x.real_indirect);
}

// --- The available ring: every index and every head ---

#define N_HEADS 5

static struct {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
} rings;

// One burst of at most max, with `there` chains available from index start; combo picks their heads.
static void pop(uint16_t size, uint16_t start, uint16_t there, unsigned combo, unsigned max)
{
	uint16_t heads[N_HEADS] = {0, (uint16_t)(size - 1), size, 0x8000, 0xffff};
	uint16_t got[MAX + 1], want[MAX + 1];
	bool broken = there > size && max;
	struct vq_device q;
	unsigned n = 0, c = combo;

	if (vq_device_init(&q, size) ||
		vq_device_set_rings(&q, size, rings.desc, rings.avail, rings.used))
		exit(1);
	vq_device_set_next(&q, start, start);
	rings.avail->idx = (uint16_t)(start + there);
	for (unsigned i = 0; i < size; i++, c /= N_HEADS)
		rings.avail->ring[(uint16_t)(start + i) % size] = heads[c % N_HEADS];
	for (c = combo; !broken && n < there && n < max; c /= N_HEADS) {
		if (heads[c % N_HEADS] < size)
			want[n++] = heads[c % N_HEADS];
		else
			broken = true;
	}
	if (vq_device_pop_burst(&q, got, max) != n || q.broken != broken ||
		memcmp(got, want, n * sizeof(got[0])) ||
		vq_device_next_avail(&q) != (uint16_t)(start + n))
		wrong("pop_burst");
}

static void explore_pops(uint16_t size)
{
	static const uint16_t starts[] = {0, 1, 0x7fff, 0xfffe, 0xffff};
	uint16_t ahead[] = {
		0, 1, (uint16_t)(size - 1), size, (uint16_t)(size + 1), 0x7fff, 0x8000, 0xffff};
	unsigned combos = 1;
	uint64_t n_paths = 0;

	rings.avail = malloc(vq_avail_bytes(size));
	rings.used = malloc(vq_used_bytes(size));
	rings.desc = aligned_alloc(16, vq_desc_bytes(size));
	for (unsigned i = 0; i < size; i++)
		combos *= N_HEADS;
	for (unsigned s = 0; s < sizeof(starts) / sizeof(starts[0]); s++)
		for (unsigned a = 0; a < sizeof(ahead) / sizeof(ahead[0]); a++)
			for (unsigned c = 0; c < combos; c++)
				for (unsigned max = 0; max <= size + 1u; max++, n_paths++)
					pop(size, starts[s], ahead[a], c, max);
	printf("available rings: size %u: %lu paths\n", size, n_paths);
	free(rings.avail);
	free(rings.used);
	free(rings.desc);
}

// --- The used ring: every index, id and length that a device can show a driver ---

#define N_IDS  8
#define N_LENS 4

// One burst, with the first `out` chains of 8 writable bytes in flight, `there` elements shown; combo picks them.
static void reap(
	const struct vq_layout *l, uint8_t *mem, unsigned out, uint16_t there, unsigned combo)
{
	uint16_t size = (uint16_t)l->size;
	uint32_t ids[N_IDS] = {0, 1, 2, size - 1u, size, 0xffff, 0x10000, UINT32_MAX};
	static const uint32_t lens[N_LENS] = {0, 8, 9, UINT32_MAX};
	bool broken = there > out, in_flight[MAX] = {false};
	struct vq_driver q;
	struct vq_reaped got[MAX];
	unsigned n = 0, bad_len = 0;

	if (vq_driver_init(&q, l, 0, mem, 0, false))
		exit(1);
	for (unsigned i = 0; i < out; i++) {
		struct vring_desc d = {0, 8, W, 0};

		if (!vq_driver_push(&q, (uint16_t)vq_driver_write_chain(&q, &d, 1)))
			exit(1);
		in_flight[i] = true;
	}
	vq_driver_publish(&q);
	for (unsigned i = 0; i < size; i++, combo /= N_IDS * N_LENS) {
		q.used->ring[i].id = ids[combo % N_IDS];
		q.used->ring[i].len = lens[combo / N_IDS % N_LENS];
	}
	q.used->idx = there;
	while (!broken && n < there) {
		uint32_t id = q.used->ring[n].id;

		broken = id >= size || !in_flight[id];
		if (broken)
			break;
		in_flight[id] = false;
		bad_len += q.used->ring[n++].len > 8;
	}
	if (vq_driver_reap_burst(&q, got, MAX) != n || q.broken != broken || q.n_bad_len != bad_len)
		wrong("reap_burst");
	for (unsigned i = 0; i < n; i++)
		if (got[i].len > 8 || got[i].head != q.used->ring[i].id)
			wrong("reaped");
	vq_driver_fini(&q);
}

static void explore_reaps(uint16_t size)
{
	uint16_t ahead[] = {0, 1, 2, size, (uint16_t)(size + 1), 0x8000, 0xffff};
	unsigned combos = 1;
	struct vq_layout l;
	uint64_t n_paths = 0;
	uint8_t *mem;

	if (vq_layout_init(&l, 1, size, 0, 0))
		exit(1);
	mem = aligned_alloc(64, l.total);
	for (unsigned i = 0; i < size && i < 3; i++)
		combos *= N_IDS * N_LENS;
	for (unsigned out = 0; out <= size; out++)
		for (unsigned a = 0; a < sizeof(ahead) / sizeof(ahead[0]); a++)
			for (unsigned c = 0; c < combos; c++, n_paths++)
				reap(&l, mem, out, ahead[a], c);
	printf("used rings: size %u: %lu paths\n", size, n_paths);
	free(mem);
}

int main(void)
{
	const char *scale = getenv("WEFT_TEST_SCALE");
	bool full = scale && !strcmp(scale, "full");
	const unsigned n_all = sizeof(all_bufs) / sizeof(all_bufs[0]);
	const unsigned n_few = sizeof(few_bufs) / sizeof(few_bufs[0]);

	explore_chains(1, 0, all_bufs, n_all);
	explore_chains(1, 2, all_bufs, n_all);
	explore_chains(1, 4, few_bufs, n_few);
	explore_chains(2, 0, all_bufs, n_all);
	explore_chains(2, 2, all_bufs, n_all);
	explore_chains(4, 0, few_bufs, n_few);
	explore_chains(4, 2, few_bufs, n_few);
	if (full) {
		explore_chains(1, 4, all_bufs, n_all);
		explore_chains(4, 0, all_bufs, n_all);
		explore_chains(4, 4, few_bufs, n_few);
	}
	for (uint16_t size = 1; size <= MAX; size *= 2) {
		explore_pops(size);
		explore_reaps(size);
	}
	return 0;
}
