// SPDX-License-Identifier: BSD-2-Clause
// A thread rewrites everything the other side may write, without pause, while either side of the library works on it.
//
// Nothing may crash, leave memory, or be believed twice: segments lie in memory, their sums are those of the chain, heads and
// lengths are possible. Memory lies between pages that fault; build with the address sanitizer to see more.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include "dataplane/virtq/device.h"
#include "dataplane/virtq/driver.h"
#include <stdlib.h>

#define GPA      0x100000000ull
#define SIZE     64
#define DATA     0x8000
#define N_TABLE  8 // descriptors in an indirect table
#define N_TABLES 16

static struct {
	struct vq_layout l;
	uint8_t *ram;
	uint64_t len, tables; // bytes; where the indirect tables start
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct guestmem mem;
	_Atomic uint64_t n_mutations;
	uint64_t limit;
	_Atomic bool is_over;
	_Atomic uint16_t hint; // where the driver is, roughly
} s;

static _Thread_local uint64_t seed = 88172645463325252;

static uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(((seed >> 32) * n) >> 32);
}

static void wrong(const char *what)
{
	fprintf(stderr, "virtq_mutate: %s\n", what);
	abort();
}

// Rewrites one field of a descriptor of a table of n.
static void mutate_desc(struct vring_desc *d, uint32_t n)
{
	static const uint16_t flags[] = {0, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE,
		VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, VRING_DESC_F_INDIRECT, 7};
	uint64_t addr = GPA + s.tables + rnd(DATA);
	uint32_t len = rnd(64);

	switch (rnd(8)) {
	case 0:
		__atomic_store_n(&d->addr, rnd(16) ? addr : seed, __ATOMIC_RELAXED);
		break;
	case 1:
		addr = GPA + s.tables + rnd(N_TABLES) * sizeof(*d) * N_TABLE;
		__atomic_store_n(&d->addr, addr, __ATOMIC_RELAXED);
		break;
	case 2:
		__atomic_store_n(&d->len, rnd(16) ? len : (uint32_t)seed, __ATOMIC_RELAXED);
		break;
	case 3:
		__atomic_store_n(&d->len, 16 * (1 + rnd(N_TABLE)), __ATOMIC_RELAXED);
		break;
	case 4:
	case 5:
		__atomic_store_n(&d->flags, flags[rnd(6)], __ATOMIC_RELAXED);
		break;
	default:
		__atomic_store_n(&d->next, (uint16_t)rnd(rnd(16) ? n : 65536), __ATOMIC_RELAXED);
	}
}

static void mutate_for_device(void)
{
	struct vring_desc *tables = (void *)(s.ram + s.tables);

	switch (rnd(8)) {
	case 0:
	case 1:
	case 2:
		mutate_desc(&s.desc[rnd(SIZE)], SIZE);
		break;
	case 3:
	case 4:
		mutate_desc(&tables[rnd(N_TABLES * N_TABLE)], N_TABLE);
		break;
	case 5:
		vq_store16(&s.avail->ring[rnd(SIZE)], (uint16_t)rnd(rnd(64) ? SIZE : 65536));
		break;
	case 6:
		// All that may be out, or now and then any index.
		vq_store16_release(&s.avail->idx,
			rnd(1024) ? (uint16_t)(vq_load16(&s.used->idx) + SIZE) : (uint16_t)seed);
		break;
	default:
		vq_store16(rnd(2) ? &s.avail->flags : vq_used_event(s.avail, SIZE), (uint16_t)seed);
	}
}

static void mutate_for_driver(void)
{
	uint16_t at = atomic_load_explicit(&s.hint, memory_order_relaxed);
	struct vring_used_elem *e = &s.used->ring[rnd(SIZE)];

	switch (rnd(8)) {
	case 0:
	case 1:
	case 2:
		__atomic_store_n(&e->id, rnd(64) ? rnd(SIZE) : (uint32_t)seed, __ATOMIC_RELAXED);
		break;
	case 3:
		__atomic_store_n(&e->len, rnd(4) ? rnd(64) : (uint32_t)seed, __ATOMIC_RELAXED);
		break;
	case 4:
		vq_store16_release(&s.used->idx, (uint16_t)(at + rnd(8) + (rnd(256) == 0) * 100));
		break;
	case 5:
		vq_store16(rnd(2) ? &s.used->flags : vq_avail_event(s.used, SIZE), (uint16_t)seed);
		break;
	case 6: // the device's to read only, but memory is memory
		mutate_desc(&s.desc[rnd(SIZE)], SIZE);
		break;
	default:
		vq_store16(&s.avail->ring[rnd(SIZE)], (uint16_t)seed);
	}
}

static void *mutator(void *arg)
{
	void (*mutate)(void) = arg;

	seed ^= 0x123456789abcdef;
	for (uint64_t n = 0; n < s.limit; n += 64) {
		for (int i = 0; i < 64; i++)
			mutate();
		atomic_store_explicit(&s.n_mutations, n + 64, memory_order_relaxed);
	}
	atomic_store(&s.is_over, true);
	return NULL;
}

// Starts at the used index that the ring shows, with nothing available, as after a reset.
static void start(struct vq_device *q, bool event_idx)
{
	uint16_t at = vq_load16(&s.used->idx);

	vq_store16(&s.avail->idx, at);
	if (vq_device_init(q, SIZE))
		wrong("init");
	vq_device_set_event_idx(q, event_idx);
	vq_device_set_next(q, at, at);
	if (vq_device_set_rings(q, SIZE, s.desc, s.avail, s.used))
		wrong("set_rings");
}

static void check_chain(const struct vq_seg *segs, const struct vq_chain *c)
{
	uint64_t bytes[2] = {0, 0};

	if (c->head >= SIZE)
		wrong("head");
	for (unsigned i = 0; i < c->n_readable + c->n_writable; i++) {
		if (segs[i].base < s.ram || segs[i].base + segs[i].len > s.ram + s.len)
			wrong("a segment outside memory");
		bytes[i >= c->n_readable] += segs[i].len;
	}
	if (bytes[0] != c->readable_len || bytes[1] != c->writable_len)
		wrong("sums");
}

static void run_device(void)
{
	uint64_t n_rounds = 0, n_chains = 0, n_bad = 0, n_broken = 0;
	struct guestmem_cache cache = {0};
	struct vq_device q;

	start(&q, false);
	while (!atomic_load_explicit(&s.is_over, memory_order_relaxed)) {
		struct vring_used_elem e[8];
		struct vq_seg segs[64];
		struct vq_chain c;
		unsigned n = 0;

		// Some between the rounds too: where the two threads share a core, they seldom meet.
		for (int i = 0; i < 4; i++)
			mutate_for_device();
		while (n < 8) {
			int rc = vq_device_pop_chain(&q, &s.mem, &cache, N_TABLE, segs, 64, &c);

			if (rc == 0 || q.broken)
				break;
			if (rc == 1) {
				check_chain(segs, &c);
				n_chains++;
			} else {
				n_bad++;
			}
			e[n++] = (struct vring_used_elem){c.head, 0};
		}
		vq_device_used_burst(&q, e, n);
		vq_device_publish(&q);
		vq_fence();
		vq_device_needs_notification(&q);
		vq_device_enable_notification(&q);
		vq_device_disable_notification(&q);
		n_rounds++;
		if (q.broken) {
			n_broken++;
			start(&q, n_broken & 1);
		}
	}
	printf("device: %lu rounds, %lu chains, %lu malformed, %lu times broken\n", n_rounds,
		n_chains, n_bad, n_broken);
}

static void run_driver(void)
{
	uint64_t n_rounds = 0, n_reaped = 0, n_bad_len = 0, n_broken = 0;
	struct vq_driver q = {.broken = true};

	while (!atomic_load_explicit(&s.is_over, memory_order_relaxed)) {
		struct vq_reaped r[SIZE];
		unsigned n;

		if (q.broken) {
			n_broken++;
			n_bad_len += q.n_bad_len;
			vq_driver_fini(&q);
			if (vq_driver_init(&q, &s.l, 0, s.ram, GPA, n_broken & 1))
				wrong("init");
		}
		atomic_store_explicit(&s.hint, q.next_used, memory_order_relaxed);
		while (q.n_free) {
			struct vring_desc d[2] = {{GPA, 8, 0, 0}, {GPA, 32, VRING_DESC_F_WRITE, 0}};
			int head = vq_driver_write_chain(&q, d, q.n_free > 1 ? 2 : 1);

			if (head < 0 || !vq_driver_push(&q, (uint16_t)head))
				wrong("push");
		}
		vq_driver_publish(&q);
		vq_fence();
		vq_driver_needs_kick(&q);
		for (int i = 0; i < 4; i++)
			mutate_for_driver();
		n = vq_driver_reap_burst(&q, r, SIZE);
		for (unsigned i = 0; i < n; i++) {
			if (r[i].head >= SIZE || r[i].len > 32 ||
				vq_driver_free_chain(&q, r[i].head))
				wrong("reaped");
		}
		if (vq_driver_in_flight(&q) + q.n_free > SIZE)
			wrong("descriptors");
		n_reaped += n;
		n_rounds++;
		vq_driver_enable_callbacks(&q);
		vq_driver_disable_callbacks(&q);
	}
	vq_driver_fini(&q);
	printf("driver: %lu rounds, %lu reaped, %lu lengths cut, %lu times broken\n", n_rounds,
		n_reaped, n_bad_len, n_broken);
}

static void run(const char *what, void (*mutate)(void), void (*side)(void))
{
	pthread_t t;

	atomic_store(&s.is_over, false);
	if (pthread_create(&t, NULL, mutator, (void *)mutate))
		wrong("pthread_create");
	side();
	pthread_join(t, NULL);
	printf("%s: %lu mutations\n", what, atomic_load(&s.n_mutations));
}

int main(void)
{
	const char *scale = getenv("WEFT_TEST_SCALE");
	uint64_t page = 4096, len;
	uint8_t *map;

	s.limit = scale && !strcmp(scale, "full") ? 100000000 : 5000000;
	if (vq_layout_init(&s.l, 1, SIZE, 0, 0))
		return 1;
	s.tables = s.l.total;
	len = (s.l.total + DATA + page - 1) & ~(page - 1);
	s.tables = len - DATA;
	map = mmap(NULL, len + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED || mprotect(map + page, len, PROT_READ | PROT_WRITE))
		return 1;
	s.ram = map + page;
	s.len = len;
	s.desc = (void *)s.ram;
	s.avail = (void *)(s.ram + s.l.avail);
	s.used = (void *)(s.ram + s.l.used);
	guestmem_init(&s.mem);
	if (guestmem_add(&s.mem, GPA, len / 2 + 8, s.ram, 0) ||
		guestmem_add(&s.mem, GPA + len / 2 + 8, len - len / 2 - 8, s.ram + len / 2 + 8, 0))
		return 1;
	run("device", mutate_for_device, run_device);
	run("driver", mutate_for_driver, run_driver);
	return 0;
}
