// SPDX-License-Identifier: BSD-2-Clause
// The driver in one process, the device in another, memory shared, eventfds between them: nothing lost, doubled or stuck.
//
// Both sides work in bursts of random length, spin a random while or sleep at once when there is nothing to do, and now and
// then lose the CPU. The device gives back out of order. Each buffer carries a number that the device must answer.
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "dataplane/virtq/device.h"
#include "dataplane/virtq/driver.h"

#define GPA      0x40000000ull
#define MAX_SIZE 256
#define STUCK_MS 30000 // a wake-up that takes longer was lost

struct slot {
	uint64_t question, answer;
};

static struct {
	uint16_t size;
	bool event_idx;
	uint64_t n_buffers;
	struct vq_layout l;
	struct guestmem mem;
	uint8_t *ram;
	int kick, call;
} s;

static uint64_t seed;

static uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(((seed >> 32) * n) >> 32);
}

static void wrong(const char *who, const char *what)
{
	fprintf(stderr, "virtq_two_process: size %u, %s: %s: %s\n", s.size,
		s.event_idx ? "EVENT_IDX" : "flags", who, what);
	_exit(1);
}

static void wake(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one) && errno != EAGAIN)
		_exit(1);
}

static void sleep_on(int fd, const char *who)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t n;

	if (poll(&p, 1, STUCK_MS) != 1)
		wrong(who, "stuck: nobody woke it");
	if (read(fd, &n, sizeof(n)) != sizeof(n) && errno != EAGAIN)
		_exit(1);
}

static void lose_the_cpu(void)
{
	uint32_t r = rnd(1u << 16);

	if (r == 0)
		usleep(rnd(200));
	else if (r < 16)
		sched_yield();
}

static struct slot *slot_of(uint64_t gpa)
{
	return (struct slot *)(s.ram + (gpa - GPA));
}

static uint64_t answer(uint64_t question)
{
	return question * 0x9e3779b97f4a7c15 + 1;
}

// --- Device ---

static unsigned serve(struct vq_device *q, struct guestmem_cache *c)
{
	struct vring_used_elem e[MAX_SIZE];
	struct vq_table t = {q->desc, q->size, 0};
	uint16_t heads[MAX_SIZE];
	unsigned n = vq_device_pop_burst(q, heads, 1 + rnd(s.size));

	if (q->broken)
		wrong("device", "broken");
	for (unsigned i = 0; i < n; i++) {
		struct vq_chain chain;
		struct vq_seg segs[2];
		uint64_t question;

		if (vq_chain_walk(&t, &s.mem, c, heads[i], segs, 2, &chain))
			wrong("device", "chain");
		memcpy(&question, segs[0].base, 8);
		question = answer(question);
		memcpy(segs[chain.n_readable].base, &question, 8);
		e[i] = (struct vring_used_elem){heads[i], 8};
	}
	for (unsigned i = n; i > 1; i--) { // any order
		unsigned k = rnd(i);
		struct vring_used_elem tmp = e[i - 1];

		e[i - 1] = e[k];
		e[k] = tmp;
	}
	for (unsigned done = 0; done < n;) { // in one or several pieces
		unsigned part = 1 + rnd(n - done);

		vq_device_used_burst(q, e + done, part);
		vq_device_publish(q);
		vq_fence();
		if (vq_device_needs_notification(q))
			wake(s.call);
		done += part;
	}
	return n;
}

static int device(void)
{
	struct guestmem_cache c = {0};
	struct vq_device q;
	uint64_t done = 0;

	seed = 0x2545f4914f6cdd1d;
	if (vq_device_init(&q, s.size))
		return 1;
	vq_device_set_event_idx(&q, s.event_idx);
	if (vq_device_set_rings(&q, s.size, (void *)s.ram, (void *)(s.ram + s.l.avail),
		    (void *)(s.ram + s.l.used)))
		return 1;
	vq_device_disable_notification(&q);
	while (done < s.n_buffers) {
		unsigned n = serve(&q, &c);

		done += n;
		lose_the_cpu();
		if (n || rnd(8))
			continue;
		if (!vq_device_enable_notification(&q))
			sleep_on(s.kick, "device");
		vq_device_disable_notification(&q);
	}
	if (vq_device_pop_burst(&q, &(uint16_t){0}, 1))
		wrong("device", "more buffers than were sent");
	return 0;
}

// --- Driver ---

static uint64_t offer(struct vq_driver *q, uint64_t next)
{
	unsigned n = 1 + rnd(s.size), i;
	uint16_t heads[MAX_SIZE];

	for (i = 0; i < n && next < s.n_buffers && q->n_free >= 2; i++, next++) {
		// The slot belongs to the descriptor that will be the head.
		uint64_t gpa = GPA + s.l.data + q->first_free * sizeof(struct slot);
		struct vring_desc d[2] = {{gpa, 8, 0, 0}, {gpa + 8, 8, VRING_DESC_F_WRITE, 0}};

		*slot_of(gpa) = (struct slot){next, 0};
		heads[i] = (uint16_t)vq_driver_write_chain(q, d, 2);
	}
	if (!i)
		return next;
	if (vq_driver_push_burst(q, heads, i) != i)
		wrong("driver", "push");
	vq_driver_publish(q);
	vq_fence();
	if (vq_driver_needs_kick(q))
		wake(s.kick);
	return next;
}

static unsigned collect(struct vq_driver *q, uint8_t *seen)
{
	struct vq_reaped r[MAX_SIZE];
	unsigned n = vq_driver_reap_burst(q, r, 1 + rnd(s.size));

	if (q->broken)
		wrong("driver", "broken: an id that was not in flight");
	for (unsigned i = 0; i < n; i++) {
		struct slot *slot = slot_of(vq_driver_shadow(q, r[i].head)->addr);

		if (r[i].len != 8 || slot->answer != answer(slot->question))
			wrong("driver", "wrong answer");
		if (seen[slot->question / 8] & 1u << slot->question % 8)
			wrong("driver", "answered twice");
		seen[slot->question / 8] |= (uint8_t)(1u << slot->question % 8);
		if (vq_driver_free_chain(q, r[i].head))
			wrong("driver", "free");
	}
	return n;
}

static void driver(struct vq_driver *q)
{
	uint8_t *seen = calloc(1, s.n_buffers / 8 + 1);
	uint64_t sent = 0, done = 0;

	if (!seen)
		wrong("driver", "memory");
	seed = 0x9e3779b97f4a7c15;
	vq_driver_disable_callbacks(q);
	while (done < s.n_buffers) {
		unsigned n;

		if (rnd(4))
			sent = offer(q, sent);
		n = collect(q, seen);
		done += n;
		lose_the_cpu();
		if (n || done == sent || rnd(8))
			continue;
		if (!vq_driver_enable_callbacks(q))
			sleep_on(s.call, "driver");
		vq_driver_disable_callbacks(q);
	}
	for (uint64_t i = 0; i < s.n_buffers; i++)
		if (!(seen[i / 8] & 1u << i % 8))
			wrong("driver", "lost");
	free(seen);
}

static int run(uint16_t size, bool event_idx, uint64_t n_buffers)
{
	struct vq_driver q;
	pid_t child;
	int st = 1;

	s.size = size;
	s.event_idx = event_idx;
	s.n_buffers = n_buffers;
	if (vq_layout_init(&s.l, 1, size, sizeof(struct slot), 0))
		return 1;
	s.ram = mmap(NULL, s.l.total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	s.kick = eventfd(0, EFD_NONBLOCK);
	s.call = eventfd(0, EFD_NONBLOCK);
	guestmem_init(&s.mem);
	if (s.ram == MAP_FAILED || s.kick < 0 || s.call < 0 ||
		guestmem_add(&s.mem, GPA, s.l.total, s.ram, 0) ||
		vq_driver_init(&q, &s.l, 0, s.ram, GPA, event_idx))
		return 1;
	child = fork();
	if (child == 0)
		_exit(device());
	if (child < 0)
		return 1;
	driver(&q);
	waitpid(child, &st, 0);
	vq_driver_fini(&q);
	munmap(s.ram, s.l.total);
	close(s.kick);
	close(s.call);
	printf("size %3u, %-9s: %lu buffers\n", size, event_idx ? "EVENT_IDX" : "flags", n_buffers);
	return !WIFEXITED(st) || WEXITSTATUS(st);
}

int main(void)
{
	const char *scale = getenv("WEFT_TEST_SCALE");
	uint64_t n = scale && !strcmp(scale, "full") ? 40000000 : 400000;

	setbuf(stdout, NULL);
	// 10^8 in all on the full scale. A ring of 2 holds one chain of 2: each buffer is a chance to miss a wake-up.
	for (int event_idx = 0; event_idx < 2; event_idx++)
		if (run(256, event_idx, n) || run(16, event_idx, n / 8) || run(2, event_idx, n / 8))
			return 1;
	return 0;
}
