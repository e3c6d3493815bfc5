// SPDX-License-Identifier: BSD-2-Clause
// The floor: the barest forwarder there can be, on the generator's own rings, without any switch.
//
// It copies each frame once from the guest that sends it to its partner (0 <-> 1, 2 <-> 3, ...), and
// does nothing else: no address is looked up, nothing is checked that a guest could get wrong. What
// it reaches bounds what a switch on this machine can reach with this generator.
#include "tests/bench/gen.h"

#include "dataplane/virtq/device.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

#define FLOOR_BATCH 64u

struct gen_floor {
	pthread_t thread;
	int core;
	bool stop;
	unsigned n;
	uint64_t frames, busy_ticks;
	const struct gen_guest *guest;
	struct vq_device from[GEN_GUESTS_MAX], to[GEN_GUESTS_MAX];
};

static inline __attribute__((always_inline)) void copy(uint8_t *to, const uint8_t *from, size_t len)
{
	const gen_line *f = (const gen_line *)from;
	gen_line *t = (gen_line *)to;

	for (size_t k = 0; k < (len + 63) / 64; k++)
		t[k] = f[k];
}

// One burst from guest a to guest b; their memory is ours as well.
static inline __attribute__((always_inline)) unsigned forward(
	struct gen_floor *w, unsigned a, unsigned b)
{
	struct vq_device *from = &w->from[a], *to = &w->to[b];
	const struct gen_guest *ga = &w->guest[a], *gb = &w->guest[b];
	unsigned n = vq_device_avail(from, FLOOR_BATCH), room = vq_device_avail(to, n);
	uint16_t src[FLOOR_BATCH], dst[FLOOR_BATCH];

	n = n < room ? n : room;
	if (!n)
		return 0;
	for (unsigned i = 0; i < n + 8; i += 8) { // the driver has read these lines since
		gen_fetch_for_write(&to->ring.used->ring[vq_device_used_slot(to, i)]);
		gen_fetch_for_write(&from->ring.used->ring[vq_device_used_slot(from, i)]);
	}
	for (unsigned i = 0; i < n; i++) {
		src[i] = vq_device_peek(from, i) & ga->mask;
		dst[i] = vq_device_peek(to, i) & gb->mask;
		__builtin_prefetch(ga->tx_frames + (size_t)src[i] * ga->tx_stride);
		gen_fetch_for_write(gb->rx_frames + (size_t)dst[i] * gb->rx_stride);
	}
	for (unsigned i = 0; i < n; i++) {
		uint8_t *p = gb->rx_frames + (size_t)dst[i] * gb->rx_stride;
		uint32_t len = vq_device_desc(from, src[i]).len;

		copy(p, ga->tx_frames + (size_t)src[i] * ga->tx_stride, len - ga->guest.hdr_len);
		if (*(uint16_t *)(p - 2) != 1)
			*(uint16_t *)(p - 2) = 1; // num_buffers
		vq_device_used(from, i, src[i], 0);
		vq_device_used(to, i, dst[i], len);
	}
	vq_device_pop(from, n);
	vq_device_pop(to, n);
	vq_device_add(from, n);
	vq_device_add(to, n);
	vq_device_publish(to);
	vq_device_publish(from);
	return n;
}

WIDE static void forward_all(struct gen_floor *w)
{
	uint64_t before = clock_ticks(), now;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		unsigned n = 0;

		for (unsigned i = 0; i < w->n; i++)
			n += forward(w, i, i ^ 1u);
		now = clock_ticks();
		if (n && now - before < 100000) { // more is not its own work: it was preempted
			w->busy_ticks += now - before;
			w->frames += n;
		}
		before = now;
	}
}

static void *floor_main(void *arg)
{
	struct gen_floor *w = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(w->core, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	forward_all(w);
	return NULL;
}

static int take_ring(struct vq_device *q, const struct front_guest_queue *fq)
{
	int err = vq_device_init(q, fq->drv.size);

	return err ? err
		   : vq_device_set_rings(
			     q, fq->drv.size, fq->drv.desc, fq->drv.avail, fq->drv.used);
}

int gen_floor_start(struct gen *g)
{
	struct gen_floor *w;

	if (g->n & 1 || g->opt.tso || g->size[g->n_sizes - 1] + 12 > g->opt.rx_buf)
		return -EINVAL;
	w = aligned_alloc(64, (sizeof(*w) + 63) & ~63ull);
	if (!w)
		return -ENOMEM;
	memset(w, 0, sizeof(*w));
	w->n = g->n;
	w->guest = g->guest;
	w->core = g->opt.peer_core;
	for (unsigned i = 0; i < g->n; i++) {
		int err = take_ring(&w->from[i], g->guest[i].txq);

		if (!err)
			err = take_ring(&w->to[i], g->guest[i].rxq);
		if (err) {
			free(w);
			return err;
		}
	}
	if (pthread_create(&w->thread, NULL, floor_main, w)) {
		free(w);
		return -EAGAIN;
	}
	g->floor = w;
	return 0;
}

void gen_floor_stop(struct gen *g)
{
	struct gen_floor *w = g->floor;

	if (!w)
		return;
	__atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);
	pthread_join(w->thread, NULL);
	free(w);
	g->floor = NULL;
}

double gen_floor_cycles(const struct gen *g)
{
	const struct gen_floor *w = g->floor;

	return w && w->frames ? (double)w->busy_ticks / (double)w->frames : 0;
}
