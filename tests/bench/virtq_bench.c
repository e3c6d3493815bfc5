// SPDX-License-Identifier: BSD-2-Clause
// Instructions and cycles per buffer of the device side: pop, look up, give back, publish, decide about a notification.
//
//     virtq_bench            the table
//     virtq_bench --check    instructions only; fails when a 32-burst of single-descriptor chains takes over 60 a buffer
//
// Instructions are counted exactly, by single-stepping a child through the measured stretch: no counter hardware is needed
// and the figure does not depend on the load of the machine. Cycles are those of the time stamp counter, the
// median of many bursts with both sides on one thread: the memory is in the cache, no other core takes part.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/unit/virtq_pair.h"

#define SIZE      256
#define MAX_BURST 64
#define BAR       60 // instructions a buffer
#define N_TIMED   20001
#define CHAIN     3 // descriptors of a chained or indirect one
#define FRAME     64

enum kind { DIRECT, WALK, CHAINED, INDIRECT, N_KINDS };

static const char *const kind_names[] = {
	[DIRECT] = "one descriptor, inline",
	[WALK] = "one descriptor, walk",
	[CHAINED] = "chain of 3",
	[INDIRECT] = "indirect of 3",
};

struct bench {
	struct pair p;
	enum kind kind;
	unsigned burst;
	uint64_t sum; // of the bytes seen, so that nothing is optimised away
};

#if defined(__x86_64__)
#define HAVE_STEPS 1
static inline void mark(void)
{
	__asm__ volatile("int3" ::: "memory");
}

static inline uint64_t cycles(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(lo), "=d"(hi)::"memory");
	return (uint64_t)hi << 32 | lo;
}
#else
#define HAVE_STEPS 0
static inline void mark(void)
{
}

static inline uint64_t cycles(void)
{
	uint64_t v;

	__asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(v)::"memory");
	return v;
}
#endif

// What a port does with chains of one descriptor: no walk, just one copy, checked and looked up.
static __attribute__((noinline)) bool pass_direct(struct bench *b)
{
	struct vq_device *q = &b->p.dev;
	unsigned n = vq_device_avail(q, b->burst), i;

	for (i = 0; i < n; i++) {
		uint16_t head = vq_device_peek(q, i);
		struct vring_desc d;
		const uint8_t *data;

		if (vq_unlikely(head >= q->size))
			break;
		d = vq_device_desc(q, head);
		if (vq_unlikely(d.flags))
			break;
		data = guestmem_at(&b->p.mem, &b->p.cache, d.addr, d.len);
		if (vq_unlikely(!data))
			break;
		b->sum += d.len;
		vq_device_used(q, i, head, 0);
	}
	vq_device_pop(q, i);
	vq_device_add(q, i);
	vq_device_publish(q);
	vq_fence();
	return vq_device_needs_notification(q);
}

static __attribute__((noinline)) bool pass_walk(struct bench *b)
{
	struct vq_device *q = &b->p.dev;
	struct vq_table t = {q->desc, q->size, SIZE};
	uint16_t heads[MAX_BURST];
	unsigned n = vq_device_pop_burst(q, heads, b->burst);

	for (unsigned i = 0; i < n; i++) {
		struct vq_seg segs[8];
		struct vq_chain c;

		if (vq_chain_walk(&t, &b->p.mem, &b->p.cache, heads[i], segs, 8, &c))
			break;
		b->sum += c.readable_len;
		vq_device_used(q, i, heads[i], 0);
	}
	vq_device_add(q, n);
	vq_device_publish(q);
	vq_fence();
	return vq_device_needs_notification(q);
}

// Every descriptor chain of the queue is written once; then slots are offered again and again.
static void prepare(struct bench *b, enum kind kind, unsigned burst)
{
	struct vq_driver *d = &b->p.drv;
	unsigned n_chains = kind == CHAINED ? MAX_BURST : SIZE;

	memset(b, 0, sizeof(*b));
	b->kind = kind;
	b->burst = burst;
	pair_init(&b->p, SIZE, true);
	for (unsigned i = 0; i < n_chains; i++) {
		uint64_t at = b->p.data_gpa + (uint64_t)i * FRAME % (PAIR_DATA / 2);
		struct vring_desc bufs[CHAIN] = {
			{at, FRAME, 0, 0}, {at, FRAME, 0, 0}, {at, 0, 0, 0}};
		int id;

		bufs[2].len = FRAME;
		if (kind == INDIRECT) {
			uint64_t off = PAIR_DATA / 2 + i * 64ull;
			uint8_t *tab = b->p.ram + b->p.layout.total + off;

			bufs[0].flags = bufs[1].flags = VRING_DESC_F_NEXT;
			bufs[0].next = 1;
			bufs[1].next = 2;
			memcpy(tab, bufs, sizeof(bufs));
			id = vq_driver_alloc(d);
			vq_driver_write_indirect(d, (uint16_t)id, b->p.data_gpa + off, CHAIN, 0);
		} else {
			id = vq_driver_write_chain(d, bufs, kind == CHAINED ? CHAIN : 1);
		}
		assert(id >= 0);
		vq_driver_push(d, (uint16_t)id);
	}
	// The ring has more slots than there are chains of 3: fill them up with the same heads, one round after the other.
	d->next_avail = d->next_used = 0;
	for (unsigned i = 0; i < SIZE; i++)
		vq_store16(&d->avail->ring[i], d->avail_shadow[i % n_chains]);
	*vq_used_event(d->avail, SIZE) = 0x8000;
}

static void offer(struct bench *b)
{
	b->p.drv.next_avail = (uint16_t)(b->p.drv.next_avail + b->burst);
	vq_driver_publish(&b->p.drv);
	b->p.drv.next_used = b->p.drv.next_avail;
}

static bool pass(struct bench *b)
{
	return b->kind == DIRECT ? pass_direct(b) : pass_walk(b);
}

// Runs n bursts and checks that each buffer came through.
static void run_bursts(struct bench *b, unsigned n)
{
	uint64_t want = b->sum + (uint64_t)n * b->burst * FRAME * (b->kind >= CHAINED ? CHAIN : 1);

	for (unsigned i = 0; i < n; i++) {
		offer(b);
		pass(b);
	}
	if (b->sum != want) {
		fprintf(stderr, "virtq_bench: %s: buffers lost\n", kind_names[b->kind]);
		exit(1);
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double cycles_per_buffer(struct bench *b)
{
	static uint64_t t[N_TIMED], empty[N_TIMED];

	run_bursts(b, 2000);
	for (unsigned i = 0; i < N_TIMED; i++) {
		uint64_t t0, t1, t2;

		offer(b);
		t0 = cycles();
		t1 = cycles();
		pass(b);
		t2 = cycles();
		empty[i] = t1 - t0;
		t[i] = t2 - t1;
	}
	qsort(t, N_TIMED, sizeof(t[0]), compare);
	qsort(empty, N_TIMED, sizeof(empty[0]), compare);
	return (double)(t[N_TIMED / 2] - empty[N_TIMED / 2]) / b->burst;
}

// Single-steps the child from its first mark to its second. Returns the steps, or -1.
static long count_steps(pid_t child)
{
	bool counting = false;
	long n = 0;

	for (;;) {
		siginfo_t si;
		int st;

		if (waitpid(child, &st, 0) < 0 || !WIFSTOPPED(st))
			return -1;
		if (WSTOPSIG(st) == SIGTRAP) {
			if (ptrace(PTRACE_GETSIGINFO, child, NULL, &si) < 0)
				return -1;
			if (si.si_code == SI_KERNEL) { // a mark
				if (counting)
					return n - 1; // the mark itself was a step
				counting = true;
			} else {
				n++;
			}
		}
		if (ptrace(counting ? PTRACE_SINGLESTEP : PTRACE_CONT, child, NULL, NULL) < 0)
			return -1;
	}
}

static double instructions_per_buffer(struct bench *b)
{
	pid_t child;
	long n;

	if (!HAVE_STEPS)
		return -1;
	fflush(stdout);
	child = fork();
	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(1);
		run_bursts(b, 1000);
		offer(b);
		mark();
		pass(b);
		mark();
		_exit(0);
	}
	if (child < 0)
		return -1;
	n = count_steps(child);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return n < 0 ? -1 : (double)n / b->burst;
}

static int check(void)
{
	struct bench b;
	double n;

	prepare(&b, DIRECT, 32);
	n = instructions_per_buffer(&b);
	pair_fini(&b.p);
	if (n < 0) {
		puts("virtq_bench: cannot single-step here (ptrace on x86-64)");
		return 77;
	}
	printf("%.1f instructions a buffer, at most %d\n", n, BAR);
	return n > BAR;
}

int main(int argc, char **argv)
{
	static const unsigned bursts[] = {1, 8, 32, 64};

	if (argc == 2 && !strcmp(argv[1], "--check"))
		return check();
	printf("%-26s %6s %14s %12s\n", "device side", "burst", "instructions", "cycles");
	for (enum kind k = 0; k < N_KINDS; k++) {
		for (unsigned i = 0; i < sizeof(bursts) / sizeof(bursts[0]); i++) {
			struct bench b;

			prepare(&b, k, bursts[i]);
			printf("%-26s %6u %14.1f", kind_names[k], bursts[i],
				instructions_per_buffer(&b));
			printf(" %12.1f\n", cycles_per_buffer(&b));
			pair_fini(&b.p);
		}
	}
	return 0;
}
