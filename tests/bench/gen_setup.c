// SPDX-License-Identifier: BSD-2-Clause
// The generator's guests: memory, rings filled with ready buffers, the first acquaintance.
#include "tests/bench/gen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEARN_LIMIT_MS 20000u

static int alloc_guest(struct gen *g, struct gen_guest *w)
{
	w->flow = aligned_alloc(64, (g->n + 1) * sizeof(*w->flow));
	w->expect = calloc(g->opt.verify ? 2 * g->n : 1, sizeof(*w->expect));
	w->slot_size = calloc(1, g->opt.ring);
	w->gather = calloc(1, GEN_FRAME_MAX + 64);
	if (!w->flow || !w->expect || !w->slot_size || !w->gather)
		return -ENOMEM;
	for (unsigned dst = 0; dst < g->n; dst++)
		gen_make_flow(g, w->me, dst);
	gen_make_flow(g, w->me, GEN_EVERYBODY);
	return 0;
}

// To whom a guest sends first, and whether it sends at all.
static void set_role(struct gen *g, struct gen_guest *w)
{
	w->sends = true;
	w->train = g->opt.train;
	switch (g->opt.pattern) {
	case GEN_ONEWAY:
		w->sends = !(w->me & 1);
		w->dst = w->me ^ 1u;
		break;
	case GEN_PAIRS:
		w->dst = w->me ^ 1u;
		break;
	case GEN_MESH:
		w->dst = (w->me + 1u) % g->n;
		break;
	case GEN_BROADCAST:
		w->dst = g->n;
		break;
	}
	if (w->dst > g->n || (w->dst == g->n && g->opt.pattern != GEN_BROADCAST)) {
		w->dst = 0; // the odd one out is silent
		w->sends = false;
	}
}

// Descriptor s of the transmit ring is the head of the frame in slot s: one buffer, or a table of
// several where a long frame is cut as Linux cuts it.
static int make_tx_chain(struct gen *g, struct gen_guest *w, unsigned s)
{
	struct front_guest_queue *q = w->txq;
	uint32_t left = w->guest.hdr_len + g->size[w->slot_size[s]], n;
	uint64_t gpa = front_guest_buf_gpa(q, s), table_gpa;
	int id = vq_driver_alloc(&q->drv);
	uint8_t *table;

	if (id != (int)s)
		return -EPROTO;
	n = g->opt.tx_seg ? (left + g->opt.tx_seg - 1) / g->opt.tx_seg : 1;
	if (n == 1) {
		vq_driver_write_desc(&q->drv, (uint16_t)s, gpa, left, 0, 0);
		return 0;
	}
	table = front_guest_alloc(&w->guest, 0, 16ull * n, 64, &table_gpa);
	if (!table || !(w->guest.features & 1ull << VIRTIO_RING_F_INDIRECT_DESC))
		return table ? -ENOTSUP : -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t part = left < g->opt.tx_seg ? left : g->opt.tx_seg;

		vq_desc_store(table + 16 * i,
			(struct vring_desc){
				gpa, part, i + 1 < n ? VRING_DESC_F_NEXT : 0, (uint16_t)(i + 1)});
		gpa += part;
		left -= part;
	}
	vq_driver_write_indirect(&q->drv, (uint16_t)s, table_gpa, (uint16_t)n, 0);
	return 0;
}

// IMIX: of twelve frames seven short, four middle, one long.
static unsigned size_of_slot(const struct gen *g, unsigned s)
{
	static const uint8_t imix[12] = {0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 2};

	return g->n_sizes == 1 ? 0 : imix[s % 12];
}

// Nobody to agree with: all that is wanted is had.
static int make_floor_rings(struct front_guest *guest)
{
	guest->features = guest->config.features;
	return front_guest_make_rings(guest);
}

// Buffers lie as close as their frames let them: a line for the header, then the frame's own.
static uint32_t spacing(const struct gen *g, unsigned longest)
{
	uint32_t most = g->opt.rx_buf > longest ? g->opt.rx_buf : longest;

	return (64 + most + 127) / 128 * 128;
}

static int start_guest(struct gen *g, struct gen_guest *w)
{
	unsigned longest = g->size[g->n_sizes - 1];
	struct front_guest_config c = {
		.socket = g->opt.sockets[w->me],
		.listen = g->opt.listen,
		.ring_size = g->opt.ring,
		.features = g->opt.features,
		.rx_buf = g->opt.rx_buf,
		.tx_buf = longest + sizeof(struct virtio_net_hdr_mrg_rxbuf),
		.stride = g->opt.tso ? 0 : spacing(g, longest),
		.huge = g->opt.huge,
		.polling = true,
		.timeout_ms = 25000,
	};
	int err = front_guest_init(&w->guest, &c);

	if (!err && g->opt.floor)
		err = make_floor_rings(&w->guest);
	else if (!err)
		err = front_guest_connect(&w->guest);
	if (err)
		return err;
	if (g->opt.features & ~w->guest.features)
		fprintf(stderr, "gen: %s: the switch lacks features %#llx\n", c.socket,
			(unsigned long long)(g->opt.features & ~w->guest.features));
	w->txq = front_guest_txq(&w->guest, 0);
	w->rxq = front_guest_rxq(&w->guest, 0);
	w->tx = &w->txq->drv;
	w->rx = &w->rxq->drv;
	w->mask = (uint16_t)(g->opt.ring - 1);
	w->tx_stride = w->txq->stride;
	w->rx_stride = w->rxq->stride;
	w->tx_frames = front_guest_buf(w->txq, 0) + w->guest.hdr_len;
	w->rx_frames = front_guest_buf(w->rxq, 0) + w->guest.hdr_len;
	w->mergeable = !!(w->guest.features & 1ull << VIRTIO_NET_F_MRG_RXBUF);
	for (unsigned s = 0; !err && s < g->opt.ring; s++) {
		w->slot_size[s] = (uint8_t)size_of_slot(g, s);
		err = make_tx_chain(g, w, s);
	}
	if (!err)
		gen_fill_slots(g, w);
	return err;
}

static void fill_settings(struct gen *g)
{
	const struct gen_options *o = &g->opt;

	g->n = o->n_guests;
	g->n_sizes = o->n_sizes;
	for (unsigned i = 0; i < o->n_sizes; i++) {
		g->size[i] = o->sizes[i];
		g->lines[i] = (o->sizes[i] + 63) / 64;
	}
	g->addresses = o->addresses / o->n_guests ? o->addresses / o->n_guests : 1;
	g->many = g->addresses > 1;
	g->batch = o->batch;
	g->base = o->tso ? GEN_TSO_BASE : 0;
	g->one_line = g->lines[o->n_sizes - 1] == 1;
	g->write = o->write;
	g->read = o->read;
	g->verify = o->verify;
	g->latency = g->write_times = o->latency;
	g->ticks_hz = clock_ticks_hz();
}

int gen_start(struct gen *g)
{
	fill_settings(g);
	for (unsigned i = 0; i < g->n; i++) {
		struct gen_guest *w = &g->guest[i];
		const char *at = g->opt.sockets[i];
		int err;

		w->me = (uint16_t)i;
		set_role(g, w);
		err = alloc_guest(g, w);
		if (!err)
			err = strncmp(at, "iface:", 6) ? start_guest(g, w)
						       : gen_packet_open(g, w, at + 6);
		if (err) {
			fprintf(stderr, "gen: %s: %s\n", at, strerror(-err));
			return err;
		}
	}
	// The first frame after idle has a floor that sleeps: gen_wake.c.
	return g->opt.floor && strcmp(g->opt.command, "first") ? gen_floor_start(g) : 0;
}

void gen_stop(struct gen *g)
{
	gen_floor_stop(g);
	for (unsigned i = 0; i < g->n; i++) {
		struct gen_guest *w = &g->guest[i];

		if (w->packet) {
			gen_packet_close(w);
		} else if (w->guest.queues) {
			if (w->guest.is_started)
				front_guest_stop(&w->guest);
			front_guest_fini(&w->guest);
		}
		free(w->flow);
		free(w->expect);
		free(w->slot_size);
		free(w->gather);
	}
}

// Frames to everybody that say where they come from, and no more.
static void become_learning(struct gen *g, bool learning)
{
	for (unsigned i = 0; i < g->n; i++) {
		struct gen_guest *w = &g->guest[i];
		struct gen_flow *f = &w->flow[g->n];
		uint16_t magic = learning ? GEN_MAGIC_LEARN : GEN_MAGIC;

		for (unsigned c = 0; !g->base && c < g->n_sizes; c++)
			memcpy((uint8_t *)&f->first[c] + GEN_OFF_MAGIC, &magic, 2);
		w->train = learning ? ~0u : g->opt.train;
		if (learning)
			w->dst = g->n;
		else
			set_role(g, w);
		f->seq = 0;
		f->address = 0;
	}
}

// Gives every guest n frames to send, and waits until all could.
static void send_each(struct gen *g, unsigned n, uint64_t end)
{
	bool all = false;

	for (unsigned i = 0; i < g->n; i++)
		g->guest[i].budget = n;
	while (!all && !g->broken && clock_now_ns() < end) {
		gen_pass(g);
		all = true;
		for (unsigned i = 0; i < g->n; i++)
			all = all && !g->guest[i].budget;
	}
}

// A switch may take a while until it forwards to a new guest: waits until each has heard another.
static bool hear_each_other(struct gen *g, uint64_t end)
{
	while (!g->broken && clock_now_ns() < end) {
		bool all = true;

		send_each(g, 1, end);
		gen_drain(g, 20, 500);
		for (unsigned i = 0; i < g->n; i++)
			all = all && g->guest[i].st.rx_frames + g->guest[i].st.rx_other;
		if (all || g->n == 1)
			return true;
	}
	return false;
}

int gen_learn(struct gen *g)
{
	uint64_t end = clock_now_ns() + LEARN_LIMIT_MS * 1000000ull;
	enum gen_touch write = g->write;
	unsigned batch = g->batch;
	unsigned left = g->addresses, min_batch = g->opt.min_batch;
	bool heard;

	if (g->opt.floor)
		return 0;
	become_learning(g, true);
	g->write = write == GEN_NONE ? GEN_HEAD : write;
	g->opt.min_batch = 1;
	g->batch = 16; // flooding multiplies
	heard = hear_each_other(g, end);
	while (heard && left && !g->broken && clock_now_ns() < end) {
		unsigned n = left < g->batch ? left : g->batch;

		send_each(g, n, end); // in step
		left -= n;
	}
	gen_drain(g, 50, 2000);
	become_learning(g, false);
	g->write = write;
	g->batch = batch;
	g->opt.min_batch = min_batch;
	for (unsigned i = 0; i < g->n; i++)
		memset(&g->guest[i].st, 0, sizeof(g->guest[i].st));
	if (!left && !g->broken)
		return 0;
	fprintf(stderr, "gen: %s%s%s\n",
		heard ? "the switch does not take the guests' first frames"
		      : "the guests do not hear each other",
		g->broken ? ": " : "", g->broken ? g->broken : "");
	return -ETIMEDOUT;
}
