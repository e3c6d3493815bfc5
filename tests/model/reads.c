// SPDX-License-Identifier: BSD-2-Clause
// No field of shared memory is read twice, each is accessed in its size, and nothing of ours is read back.
//
// The library and reads_ops.c are instrumented (trace.h). Random rings, tables and indirect tables, most of them nearly right,
// go through every operation of either side. Before each access everything read so far is overwritten with other values:
// whoever reads a byte a second time gets a different one, and is found out by the count as well.
#include "tests/model/reads.h"

#include <stdio.h>
#include "tests/model/trace.h"

#define MAX_READS 4096

struct pair p;
static struct {
	bool is_device;                   // which side runs
	const char *op;                   // what it does
	uint8_t n_reads[0x20000];         // of each byte of the memory
	struct trace_access a[MAX_READS]; // the reads, in order
	unsigned n_a;
	char order[8]; // the first accesses: r, w, and f for a full fence
	uint64_t n_ops, n_accesses;
} t;

static uint64_t seed = 0x9e3779b97f4a7c15;

uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 32) % n);
}

static void wrong(const struct trace_access *a, const char *what)
{
	fprintf(stderr,
		"reads: %s: %s: %s of %zu bytes at %#zx (avail %#lx used %#lx data %#lx), order "
		"%d\n",
		t.op, what, a->is_write ? "write" : "read", a->n, a->offset, p.layout.avail,
		p.layout.used, p.layout.total, a->order);
	exit(1);
}

// What the area that a lies in allows.
static void check_size(const struct trace_access *a)
{
	uint64_t avail = p.layout.avail, used = p.layout.used, size = p.layout.size;
	bool is_16bit = false, is_idx = false;

	if (a->offset < avail) {
		if (a->n != 16 || a->offset % 16)
			wrong(a, "a descriptor in pieces");
		if (a->is_write == t.is_device)
			wrong(a, "the table is the driver's to write, the device's to read");
	} else if (a->offset < avail + vq_avail_bytes(size)) {
		is_16bit = true;
		is_idx = a->offset == avail + 2;
		if (a->is_write == t.is_device)
			wrong(a, "the available ring is the driver's to write, the device's to "
				 "read");
	} else if (a->offset >= used && a->offset < used + vq_used_bytes(size)) {
		is_16bit = a->offset < used + 4 || a->offset == used + vq_used_bytes(size) - 2;
		is_idx = a->offset == used + 2;
		if (a->is_write != t.is_device)
			wrong(a, "the used ring is the device's to write, the driver's to read");
		if (!is_16bit && (a->offset - used) % 4)
			wrong(a, "an odd piece of a used element");
		if (!is_16bit && !a->is_write && (!a->is_atomic || a->n != 4))
			wrong(a, "a used element not read by its fields");
	} else if (a->is_write || !t.is_device) {
		wrong(a, "buffers are not the library's");
	}
	if (is_16bit && (a->n != 2 || !a->is_atomic))
		wrong(a, "a 16-bit field not accessed as one");
	if (is_idx && a->order != (a->is_write ? __ATOMIC_RELEASE : __ATOMIC_ACQUIRE))
		wrong(a, "an index without its order");
}

static void note(char what)
{
	size_t n = strlen(t.order);

	if (n + 1 < sizeof(t.order))
		t.order[n] = what;
}

static void fence_hook(int order)
{
	note(order == __ATOMIC_SEQ_CST ? 'f' : 'x');
}

static void hook(const struct trace_access *a)
{
	t.n_accesses++;
	note(a->is_write ? 'w' : 'r');
	check_size(a);
	if (a->is_write)
		return;
	for (unsigned i = 0; i < t.n_a; i++)
		for (size_t k = 0; k < t.a[i].n; k++)
			p.ram[t.a[i].offset + k] ^= (uint8_t)(1 + rnd(255));
	for (size_t k = 0; k < a->n; k++)
		if (t.n_reads[a->offset + k]++)
			wrong(a, "read twice");
	if (t.n_a == MAX_READS)
		wrong(a, "too many reads");
	t.a[t.n_a++] = *a;
}

void forget_reads(void)
{
	for (unsigned i = 0; i < t.n_a; i++)
		for (size_t k = 0; k < t.a[i].n; k++)
			t.n_reads[t.a[i].offset + k] = 0;
}

bool was_read(size_t offset)
{
	return t.n_reads[offset];
}

void begin(bool is_device, const char *op)
{
	t.is_device = is_device;
	t.op = op;
	forget_reads();
	t.n_a = 0;
	memset(t.order, 0, sizeof(t.order));
	t.n_ops++;
	trace_on = true;
}

void end(void)
{
	trace_on = false;
}

void end_as(const char *accesses)
{
	end();
	if (strcmp(t.order, accesses) != 0) {
		fprintf(stderr, "reads: %s: accesses %s, not %s\n", t.op, t.order, accesses);
		exit(1);
	}
}

// --- Nearly right memory ---

#define N_TABLE 8 // descriptors in an indirect table

// A table over the end of the first region, one descriptor of it in both. Anywhere, as it needs no alignment.
static uint64_t split;

// Entry i of a table of n. next goes forward: in a loop each step would copy the same descriptor again, which is right.
static struct vring_desc random_desc(uint32_t i, uint32_t n)
{
	static const uint16_t flags[] = {0, VRING_DESC_F_NEXT, VRING_DESC_F_NEXT,
		VRING_DESC_F_WRITE, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, VRING_DESC_F_INDIRECT,
		VRING_DESC_F_INDIRECT, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT};
	struct vring_desc d = {p.data_gpa + rnd(PAIR_DATA), rnd(256), flags[rnd(8)], 0};

	d.next = (uint16_t)(i + 1 + rnd(n - i));
	if (d.flags & VRING_DESC_F_INDIRECT) {
		d.len = 16 * (1 + rnd(N_TABLE)) + (rnd(16) == 0);
		d.addr = rnd(3) ? p.data_gpa + rnd(4) * 0x1000 : split;
	}
	if (rnd(16) == 0)
		d.addr = seed;
	if (rnd(16) == 0)
		d.len = (uint32_t)seed;
	return d;
}

static void random_table(uint64_t gpa)
{
	for (unsigned i = 0; i < N_TABLE; i++) {
		struct vring_desc d = random_desc(i, N_TABLE);

		memcpy(p.ram + (gpa - PAIR_GPA) + i * 16, &d, 16);
	}
}

void randomise(void)
{
	uint32_t size = p.layout.size;

	split = p.data_gpa + PAIR_DATA / 2 - 1 - rnd(16 * N_TABLE - 1);
	for (uint32_t i = 0; i < size; i++) {
		p.drv.desc[i] = random_desc(i, size);
		p.drv.avail->ring[i] = (uint16_t)rnd(size + (rnd(8) == 0));
	}
	for (unsigned k = 0; k < 4; k++)
		random_table(p.data_gpa + k * 0x1000);
	random_table(split);
	p.dev.ring.next = p.dev.next_avail; // what was popped before counts as given back
	p.drv.avail->idx = (uint16_t)(p.dev.next_avail + rnd(size + 1));
	p.drv.avail->flags = (uint16_t)rnd(2);
	*vq_used_event(p.drv.avail, (uint16_t)size) = (uint16_t)seed;
}

static void start(uint16_t size, bool event_idx)
{
	uint64_t len;

	pair_init(&p, size, event_idx);
	// Two regions, so that tables and buffers lie across.
	len = p.layout.total + PAIR_DATA / 2;
	guestmem_init(&p.mem);
	guestmem_cache_clear(&p.cache);
	if (guestmem_add(&p.mem, PAIR_GPA, len, p.ram, 0) ||
		guestmem_add(&p.mem, PAIR_GPA + len, PAIR_DATA / 2, p.ram + len, 0))
		exit(1);
	trace_watch(p.ram, p.layout.total + PAIR_DATA, hook, fence_hook);
}

// The checker must see something, or all of this proves nothing.
static void check_the_checker(void)
{
	start(8, true);
	if (!second_look_is_seen()) {
		fprintf(stderr, "reads: a second look goes unnoticed\n");
		exit(1);
	}
	pair_fini(&p);
}

int main(void)
{
	const char *scale = getenv("WEFT_TEST_SCALE");
	unsigned rounds = scale && !strcmp(scale, "full") ? 400000 : 20000;
	uint64_t n_good = 0;

	check_the_checker();
	for (unsigned i = 0; i < rounds; i++) {
		start((uint16_t)(1u << rnd(5)), rnd(2));
		pair_set_index(&p, (uint16_t)seed);
		for (unsigned k = 0; k < 4; k++)
			device_round(&n_good);
		pair_fini(&p);
		start((uint16_t)(1u << rnd(5)), rnd(2));
		driver_round();
		pair_fini(&p);
	}
	printf("%lu operations, %lu accesses, %lu well-formed chains: none read twice\n", t.n_ops,
		t.n_accesses, n_good);
	return 0;
}
