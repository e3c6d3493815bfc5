// SPDX-License-Identifier: BSD-2-Clause
// The generator's hot loop: one look at every guest.
//
// Compiled three times over, for AVX-512, AVX2 and neither; the loader picks (target_clones). A line
// of a frame is then one, two or four loads or stores.
#include "tests/bench/gen.h"

#include <string.h>
#include <sys/eventfd.h>

// clang 14 gives the dispatching symbol another name, and nothing links.
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
	!defined(__SANITIZE_THREAD__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif
#define INLINE static inline __attribute__((always_inline))

#define PATTERN_FACTOR 0x9e3779b97f4a7c15ull // as in gen_frame.c
#define AHEAD          8u                    // frames that are fetched ahead

// The line will be written: fetch it for that.
INLINE void fetch_for_write(const void *p)
{
#ifdef __x86_64__
	__asm__ volatile("prefetchw %0" ::"m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

// Writes n frames of one destination into slots that do not wrap.
INLINE void write_run(struct gen *g, struct gen_guest *w, unsigned slot, unsigned n)
{
	struct gen_flow *f = &w->flow[w->dst];
	size_t stride = w->tx_stride;
	uint8_t *frame = w->tx_frames + slot * stride;
	const uint8_t *size = w->slot_size + slot;
	uint64_t seq = f->seq, now = g->now;
	uint32_t address = f->address;
	const bool head_only = g->write != GEN_FULL;
	const bool to_one = w->dst != g->n;

	for (unsigned i = 0; i < n; i++, frame += stride, seq++) {
		unsigned lines = head_only ? 1 : g->lines[size[i]];
		uint8_t *own = frame + g->base;

		fetch_for_write(frame + AHEAD * stride);
		*(gen_line *)frame = f->first[size[i]];
		for (unsigned k = 1; k < lines; k++) {
			uint64_t v = seq * PATTERN_FACTOR + k;

			*(gen_line *)(frame + 64 * k) = (gen_line){v, v, v, v, v, v, v, v};
		}
		if (g->base) {
			uint64_t who = GEN_MAGIC | (uint64_t)w->me << 16 |
				       (uint64_t)(to_one ? w->dst : GEN_EVERYBODY) << 32;

			memcpy(own + GEN_OFF_MAGIC, &who, 6);
		}
		if (g->many) {
			if (to_one)
				memcpy(frame + 4, &address, 2);
			memcpy(frame + 10, &address, 2);
			address = address + 1 == g->addresses ? 0 : address + 1;
		}
		memcpy(own + GEN_OFF_SEQ, &seq, 8);
		memcpy(own + GEN_OFF_TIME, &now, 8);
	}
	f->seq = seq;
	f->address = address;
}

// After `train` frames to one guest comes the next.
INLINE void next_destination(struct gen *g, struct gen_guest *w)
{
	w->train = g->opt.train;
	if (g->opt.pattern != GEN_MESH)
		return;
	w->dst = w->dst + 1 == g->n ? 0 : w->dst + 1;
	if (w->dst == w->me)
		w->dst = w->dst + 1 == g->n ? 0 : w->dst + 1;
}

INLINE void write_slots(struct gen *g, struct gen_guest *w, unsigned slot, unsigned n)
{
	while (n) {
		unsigned run = w->mask + 1u - slot;

		if (run > n)
			run = n;
		if (run > w->train)
			run = w->train;
		write_run(g, w, slot, run);
		slot = (slot + run) & w->mask;
		n -= run;
		w->train -= run;
		if (!w->train)
			next_destination(g, w);
	}
}

// The first time round the ring its slots are still to be filled with chain heads.
static unsigned push_first_lap(struct vq_driver *q, unsigned slot, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		unsigned at = (slot + i) & (q->size - 1u);
		bool ok = q->avail_shadow[at] == VQ_NONE ? vq_driver_push(q, (uint16_t)at)
							 : vq_driver_repost(q, 1) == 1;

		if (!ok)
			break;
	}
	return i;
}

// Makes n chains from the next slot available. In a full ring their slots are those just used.
INLINE bool offer(struct vq_driver *q, unsigned used, unsigned n, unsigned slot, bool is_lapped)
{
	if (vq_likely(used == n && vq_driver_recycle(q, n)))
		return true;
	vq_driver_skip_used(q, used);
	return (is_lapped ? vq_driver_repost(q, n) : push_first_lap(q, slot, n)) == n;
}

// `used` chains came back.
INLINE void send_frames(struct gen *g, struct gen_guest *w, unsigned used)
{
	struct vq_driver *q = w->tx;
	unsigned room = q->size - vq_driver_in_flight(q) + used;
	unsigned n = w->budget, slot = q->next_avail & w->mask, bytes = 0;

	if (!n)
		return;
	if (n > g->batch)
		n = g->batch;
	if (room < n) {
		// Rather wait for a few than publish one by one: so would a guest's driver, whose
		// stack hands it frames in bursts.
		if (room < g->opt.min_batch) {
			w->st.tx_full++;
			return;
		}
		n = room;
	}
	if (vq_driver_in_flight(q) == q->size)
		used = n; // the rest can wait
	if (g->write != GEN_NONE)
		write_slots(g, w, slot, n);
	if (vq_unlikely(!offer(q, used, n, slot, q->avail_shadow[w->mask] != VQ_NONE)))
		g->broken = "a transmit ring's slots are still in flight";
	vq_driver_publish(q);
	for (unsigned i = 0; g->n_sizes > 1 && i < n; i++)
		bytes += g->size[w->slot_size[(slot + i) & w->mask]];
	w->st.tx_frames += n;
	w->st.tx_bytes += g->n_sizes > 1 ? bytes : (uint64_t)n * g->size[0];
	w->budget -= n;
	w->tx_touched = 1;
}

// One buffer of a frame that spans several.
static void take_piece(struct gen *g, struct gen_guest *w, const uint8_t *p, uint32_t len)
{
	if (g->verify && w->partial + len <= GEN_FRAME_MAX)
		memcpy(w->gather + w->partial, p, len);
	w->partial += len;
	if (--w->more)
		return;
	if (g->verify) {
		gen_verify(g, w, w->gather, w->partial);
	} else {
		w->st.rx_frames++;
		w->st.rx_bytes += w->partial;
	}
}

// Reads lines [1, n) of a buffer.
INLINE uint64_t read_lines(const uint8_t *p, uint32_t len)
{
	gen_line sum = {0};
	const gen_line *line = (const gen_line *)p;

	for (uint32_t k = 1; k < (len + 63) / 64; k++)
		sum |= line[k];
	return sum[0] | sum[3];
}

// Takes n buffers; meanwhile the lines of `ahead` frames to be sent are fetched, so that both kinds
// of misses overlap.
INLINE void receive_frames(struct gen *g, struct gen_guest *w, unsigned n, unsigned ahead)
{
	struct vq_driver *q = w->rx;
	const uint32_t hdr_len = w->guest.hdr_len;
	unsigned slot = q->next_used & w->mask, tx_slot = w->tx->next_avail & w->mask;
	gen_line sum = {0};
	uint64_t sink = 0, frames = 0, bytes = 0;

	g->now = g->latency ? clock_ticks() : 0;
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *frame = w->rx_frames + (size_t)slot * w->rx_stride;
		struct vring_used_elem e = vq_driver_peek_used(q, i);
		uint32_t len = e.len - hdr_len;
		uint16_t pieces = 1;

		if (i < ahead) {
			fetch_for_write(w->tx_frames + (size_t)tx_slot * w->tx_stride);
			tx_slot = (tx_slot + 1) & w->mask;
		}
		if (vq_unlikely(e.id != slot || e.len > w->rxq->buf_size ||
				e.len < (w->more ? 1 : hdr_len + 14))) {
			g->broken =
				"the switch uses receive buffers out of order, or a wrong length";
			return;
		}
		slot = (slot + 1) & w->mask;
		if (vq_unlikely(w->more)) { // no header in this one
			take_piece(g, w, frame - hdr_len, e.len);
			if (g->read == GEN_FULL) {
				sum |= *(const gen_line *)frame;
				sink |= read_lines(frame, len);
			}
			continue;
		}
		if (w->mergeable)
			pieces = *(const uint16_t *)(frame - 2);
		if (g->read != GEN_NONE)
			sum |= *(const gen_line *)frame;
		if (g->read == GEN_FULL && len > 64)
			sink |= read_lines(frame, len);
		if (g->verify)
			gen_verify_header(g, w, frame - hdr_len);
		if (vq_unlikely(pieces != 1)) {
			w->more = pieces;
			w->partial = 0;
			if (pieces)
				take_piece(g, w, frame, len);
			else
				w->st.bad_header++;
		} else if (g->verify) {
			gen_verify(g, w, frame, len);
		} else {
			frames++;
			bytes += len;
		}
	}
	w->sink |= sink | sum[0] | sum[5];
	w->st.rx_frames += frames;
	w->st.rx_bytes += bytes;
	if (vq_unlikely(!vq_driver_recycle(q, n)))
		g->broken = "a receive ring is not full";
	vq_driver_publish(q);
	w->rx_touched = 1;
}

INLINE void kick_if_asked(struct gen_guest *w, struct vq_driver *q, struct front_guest_queue *fq)
{
	if (vq_driver_needs_kick(q)) {
		eventfd_write(fq->kick, 1);
		w->st.kicks++;
	} else {
		w->st.kicks_saved++;
	}
}

// Kicks every queue that was published to, where it is wanted.
INLINE void kick_all(struct gen *g)
{
	// The indexes before the looks at what the switch asked for, once for all queues. Partner:
	// the switch's fence between asking for kicks and its second look at the indexes.
	vq_fence();
	for (unsigned i = 0; i < g->n; i++) {
		struct gen_guest *w = &g->guest[i];

		if (w->tx_touched)
			kick_if_asked(w, w->tx, w->txq);
		if (w->rx_touched)
			kick_if_asked(w, w->rx, w->rxq);
		w->tx_touched = w->rx_touched = 0;
	}
}

INLINE unsigned look(const struct gen *g, struct vq_driver *q)
{
	unsigned n = vq_driver_used_pending(q);

	return n < g->batch ? n : g->batch;
}

WIDE uint64_t gen_pass(struct gen *g)
{
	uint64_t got = 0;
	unsigned touched = 0;

	for (unsigned i = 0; i < g->n; i++) {
		struct gen_guest *w = &g->guest[i];
		unsigned n, used;

		if (vq_unlikely(w->packet != NULL)) {
			got += gen_packet_rx(g, w);
			g->now = clock_ticks();
			gen_packet_tx(g, w);
			continue;
		}
		n = look(g, w->rx);
		used = w->budget ? vq_driver_used_pending(w->tx) : 0;
		if (n)
			receive_frames(g, w, n, used < n ? used : n);
		if (g->write_times)
			g->now = clock_ticks();
		send_frames(g, w, used);
		touched |= w->tx_touched | w->rx_touched;
		got += n;
	}
	if (touched && g->opt.kick)
		kick_all(g);
	return got;
}

void gen_drain(struct gen *g, unsigned quiet_ms, unsigned limit_ms)
{
	uint64_t start = clock_now_ns(), last = start, now = start;

	for (unsigned i = 0; i < g->n; i++)
		g->guest[i].budget = 0;
	while (now - last < quiet_ms * 1000000ull && now - start < limit_ms * 1000000ull) {
		uint64_t got = gen_pass(g);

		now = clock_now_ns();
		if (got)
			last = now;
	}
}

void gen_sum(const struct gen *g, struct gen_stats *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (unsigned i = 0; i < g->n; i++) {
		const uint64_t *from = (const uint64_t *)&g->guest[i].st;
		uint64_t *to = (uint64_t *)sum;

		for (unsigned k = 0; k < sizeof(*sum) / sizeof(*to); k++)
			to[k] += from[k];
	}
}
