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
#define INLINE GEN_INLINE

// Lines [1, n) of a frame: every eight bytes say which frame and line they belong to. Meanwhile those
// of the next are fetched.
INLINE void write_lines(uint8_t *frame, const uint8_t *next, unsigned n, uint64_t seq)
{
	for (unsigned k = 1; k < n; k++) {
		uint64_t v = seq * GEN_PATTERN_FACTOR + k;

		gen_fetch_for_write(next + 64 * k);
		*(gen_line *)(frame + 64 * k) = (gen_line){{{v, v, v, v}, {v, v, v, v}}};
	}
}

// Writes n frames of one destination into slots that do not wrap, nor do their addresses. What
// differs between two frames' first lines is added to them: number, time, addresses.
INLINE void write_run(struct gen *g, struct gen_guest *w, unsigned slot, unsigned n)
{
	struct gen_flow *f = &w->flow[w->dst];
	const uint64_t one = g->many, address = f->address, base = g->base ? 0 : 1;
	const bool to_one = w->dst != g->n, one_line = g->write != GEN_FULL || g->one_line;
	const gen_line step = {{{to_one ? one << 32 : 0, one << 16, 0, 0}, {0, 0, base, 0}}};
	gen_line own = {{{to_one ? address << 32 : 0, address << 16, 0, 0},
		{0, 0, base ? f->seq : 0, base ? g->now : 0}}};
	uint8_t *frame = w->tx_frames + (size_t)slot * w->tx_stride;
	const uint8_t *size = w->slot_size + slot;

	for (unsigned i = 0; i < n; i++, frame += w->tx_stride) {
		*(gen_line *)frame = gen_line_add(f->first[size[i]], own);
		own = gen_line_add(own, step);
		if (!one_line)
			write_lines(frame, frame + w->tx_stride, g->lines[size[i]], f->seq + i);
		if (vq_unlikely(!base))
			gen_write_fields(g, w, frame, f->seq + i);
	}
	f->seq += n;
	if (g->many)
		f->address = f->address + n == g->addresses ? 0 : f->address + n;
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
		if (g->many && run > g->addresses - w->flow[w->dst].address)
			run = g->addresses - w->flow[w->dst].address;
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

// A word that depends on both halves.
INLINE uint64_t line_sink(gen_line line)
{
	const gen_half both = line.half[0] | line.half[1];

	return both[0];
}

// Reads the lines of a buffer of len bytes, from line k on.
INLINE uint64_t read_lines(const uint8_t *p, uint32_t k, uint32_t len)
{
	gen_line sum = {0};
	const gen_line *line = (const gen_line *)p;

	for (; k < (len + 63) / 64; k++)
		sum = gen_line_or(sum, line[k]);
	return line_sink(sum);
}

INLINE bool is_sane(const struct gen_guest *w, struct vring_used_elem e, unsigned slot)
{
	return e.id == slot && e.len <= w->rxq->buf_size &&
	       e.len >= (w->more ? 1 : w->guest.hdr_len + 14);
}

// Takes n buffers one by one: whatever they hold.
static void take_any(struct gen *g, struct gen_guest *w, unsigned n)
{
	const uint32_t hdr_len = w->guest.hdr_len;
	unsigned slot = w->rx->next_used & w->mask;

	for (unsigned i = 0; i < n; i++, slot = (slot + 1) & w->mask) {
		const uint8_t *frame = w->rx_frames + (size_t)slot * w->rx_stride;
		struct vring_used_elem e = vq_driver_peek_used(w->rx, i);
		uint16_t pieces = 1;

		if (!is_sane(w, e, slot)) {
			g->broken =
				"the switch uses receive buffers out of order, or a wrong length";
			return;
		}
		if (g->read == GEN_FULL)
			w->sink |= read_lines(frame, 0, e.len);
		if (w->more) { // no header in this one
			take_piece(g, w, frame - hdr_len, e.len);
			continue;
		}
		if (w->mergeable)
			memcpy(&pieces, frame - 2, 2);
		if (g->verify)
			gen_verify_header(g, w, frame - hdr_len);
		w->more = pieces;
		w->partial = 0;
		if (pieces)
			take_piece(g, w, frame, e.len - hdr_len);
		else
			w->st.bad_header++;
	}
}

// Takes n buffers from `slot` on that do not wrap, if each holds one whole frame: the usual case.
// What speaks against it is gathered on the way and judged once. Meanwhile the lines of `ahead`
// frames to be sent are fetched, so that both kinds of misses overlap.
INLINE bool take_whole(struct gen *g, struct gen_guest *w, unsigned i0, unsigned slot, unsigned n,
	unsigned ahead, uint64_t *bytes)
{
	const uint32_t hdr_len = w->guest.hdr_len;
	const uint8_t *frame = w->rx_frames + (size_t)slot * w->rx_stride;
	const bool mergeable = w->mergeable, reads = g->read != GEN_NONE;
	unsigned tx_slot = (w->tx->next_avail + i0) & w->mask;
	const uint32_t room = w->rxq->buf_size;
	uint64_t longest = 0, total = 0;
	uint32_t wrong = 0;
	gen_line sum = {0};

	for (unsigned i = 0; i < n; i++, frame += w->rx_stride) {
		struct vring_used_elem e = vq_driver_peek_used(w->rx, i0 + i);

		if (i < ahead) {
			gen_fetch_for_write(w->tx_frames + (size_t)tx_slot * w->tx_stride);
			tx_slot = (tx_slot + 1) & w->mask;
		}
		wrong |= e.id ^ (slot + i);
		wrong |= (e.len - hdr_len - 14) >> 31 | (room - e.len) >> 31; // too short, too long
		if (mergeable)
			wrong |= *(const uint16_t *)(frame - 2) ^ 1;
		if (reads)
			sum = gen_line_or(sum, *(const gen_line *)frame);
		longest |= e.len;
		total += e.len;
	}
	w->sink |= line_sink(sum);
	if (wrong)
		return false;
	if (longest > 64 + hdr_len && g->read == GEN_FULL) {
		frame = w->rx_frames + (size_t)slot * w->rx_stride;
		for (unsigned i = 0; i < n; i++, frame += w->rx_stride)
			w->sink |= read_lines(
				frame, 1, vq_driver_peek_used(w->rx, i0 + i).len - hdr_len);
	}
	*bytes += total - (uint64_t)n * hdr_len;
	return true;
}

INLINE void receive_frames(struct gen *g, struct gen_guest *w, unsigned n, unsigned ahead)
{
	struct vq_driver *q = w->rx;
	unsigned slot = q->next_used & w->mask, first = w->mask + 1u - slot;
	uint64_t bytes = 0;
	bool whole = !g->verify && !w->more;

	g->now = g->latency ? clock_ticks() : 0;
	gen_fetch_for_write(q->avail); // the index is about to be published
	if (ahead)
		gen_fetch_for_write(w->tx->avail);
	if (first > n)
		first = n;
	whole = whole && take_whole(g, w, 0, slot, first, ahead, &bytes);
	whole = whole && (first == n || take_whole(g, w, first, 0, n - first,
						ahead > first ? ahead - first : 0, &bytes));
	if (whole) {
		w->st.rx_frames += n;
		w->st.rx_bytes += bytes;
	} else {
		take_any(g, w, n);
	}
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

// All indexes at once, so that their misses overlap.
INLINE void fetch_indexes(const struct gen *g)
{
	for (unsigned i = 0; i < g->n; i++) {
		const struct gen_guest *w = &g->guest[i];

		if (w->packet)
			continue;
		__builtin_prefetch(w->rx->used);
		__builtin_prefetch(w->tx->used);
	}
}

WIDE uint64_t gen_pass(struct gen *g)
{
	uint64_t got = 0;
	unsigned touched = 0;

	fetch_indexes(g);
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
			receive_frames(g, w, n, g->write == GEN_NONE ? 0 : used);
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
