// SPDX-License-Identifier: BSD-2-Clause
// The content of frames: how they are made, and how a receiver finds out what became of them.
#include "tests/bench/gen.h"

#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <string.h>

#define ETH_BYTES 14u
#define IP_BYTES  20u
#define TCP_BYTES 32u // with timestamps, as Linux sends them
#define TCP_MSS   1448u

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint16_t ip_checksum(const uint8_t *p)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < IP_BYTES; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

// 02:77:00:gg:aa:aa, the address in the low bytes.
static void put_mac(uint8_t *p, unsigned guest)
{
	const uint8_t mac[6] = {0x02, 0x77, 0x00, (uint8_t)guest, 0, 0};

	memcpy(p, mac, 6);
}

// Fills the headers of a frame of `len` bytes; the rest of the line is left alone.
static void put_headers(const struct gen *g, uint8_t *p, unsigned src, unsigned dst, unsigned len)
{
	bool tcp = g->opt.tso;
	uint8_t *ip = p + ETH_BYTES, *l4 = ip + IP_BYTES;

	if (dst == GEN_EVERYBODY)
		memset(p, 0xff, 6);
	else
		put_mac(p, dst);
	put_mac(p + 6, src);
	put16(p + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, len - ETH_BYTES);
	put16(ip + 6, 0x4000);
	ip[8] = 64;
	ip[9] = tcp ? 6 : 17;
	ip[12] = ip[16] = 10;
	ip[13] = ip[17] = 77;
	ip[15] = (uint8_t)(src + 1);
	ip[19] = dst == GEN_EVERYBODY ? 255 : (uint8_t)(dst + 1);
	put16(ip + 10, ip_checksum(ip));
	put16(l4, 5000 + src);
	put16(l4 + 2, 6000 + (dst & 0xff));
	if (tcp) {
		l4[12] = TCP_BYTES / 4 << 4;
		l4[13] = 0x10; // ACK
		put16(l4 + 14, 0xffff);
	} else {
		put16(l4 + 4, len - ETH_BYTES - IP_BYTES);
	}
}

void gen_make_flow(struct gen *g, unsigned src, unsigned dst)
{
	struct gen_flow *f = &g->guest[src].flow[dst == GEN_EVERYBODY ? g->n : dst];

	memset(f, 0, sizeof(*f));
	for (unsigned c = 0; c < g->n_sizes; c++) {
		uint8_t line[128] = {0};
		uint16_t fields[3] = {GEN_MAGIC, (uint16_t)src, (uint16_t)dst};

		put_headers(g, line, src, dst, g->size[c]);
		if (!g->base)
			memcpy(line + GEN_OFF_MAGIC, fields, sizeof(fields));
		memcpy(&f->first[c], line, sizeof(f->first[c]));
	}
}

void gen_fill_slots(struct gen *g, struct gen_guest *w)
{
	struct virtio_net_hdr_mrg_rxbuf h = {0};

	if (g->opt.tso) {
		h.hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		h.hdr.hdr_len = ETH_BYTES + IP_BYTES + TCP_BYTES;
		h.hdr.gso_size = TCP_MSS;
		h.hdr.csum_start = ETH_BYTES + IP_BYTES;
		h.hdr.csum_offset = 16;
	}
	for (unsigned s = 0; s <= w->mask; s++) {
		uint8_t *frame = w->tx_frames + (size_t)s * w->tx_stride;
		unsigned dst = g->opt.pattern == GEN_BROADCAST ? g->n : w->dst;

		memcpy(frame - w->guest.hdr_len, &h, w->guest.hdr_len);
		memcpy(frame, &w->flow[dst].first[w->slot_size[s]], 64);
		memset(frame + 64, 0x5a, g->size[w->slot_size[s]] - 64);
	}
}

void gen_write_fields(struct gen *g, struct gen_guest *w, uint8_t *frame, uint64_t seq)
{
	uint16_t fields[3] = {
		GEN_MAGIC, w->me, (uint16_t)(w->dst == g->n ? GEN_EVERYBODY : w->dst)};
	uint8_t *base = frame + g->base;

	memcpy(base + GEN_OFF_MAGIC, fields, sizeof(fields));
	memcpy(base + GEN_OFF_SEQ, &seq, 8);
	memcpy(base + GEN_OFF_TIME, &g->now, 8);
}

void gen_write_frame(
	struct gen *g, struct gen_guest *w, uint8_t *frame, unsigned size, uint64_t seq)
{
	unsigned lines = (g->size[size] + 63) / 64;

	memcpy(frame, &w->flow[w->dst].first[size], 64);
	for (unsigned k = 1; g->write == GEN_FULL && k < lines; k++) {
		for (unsigned i = 0; i < 8; i++) {
			uint64_t v = seq * GEN_PATTERN_FACTOR + k;

			memcpy(frame + 64 * k + 8 * i, &v, 8);
		}
	}
	memcpy(frame + GEN_OFF_SEQ, &seq, 8);
	memcpy(frame + GEN_OFF_TIME, &g->now, 8);
}

void gen_forget_sequences(struct gen *g)
{
	for (unsigned i = 0; g->opt.verify && i < g->n; i++)
		memset(g->guest[i].expect, 0, 2 * g->n * sizeof(struct gen_expect));
}

// A sequence number lower than expected: it fills a gap, or it came before.
static void late_or_doubled(struct gen_guest *w, struct gen_expect *e, uint64_t seq)
{
	for (unsigned i = 0; i < e->n_gaps; i++) {
		uint64_t from = e->gap[i].from, to = e->gap[i].to;

		if (seq < from || seq >= to)
			continue;
		w->st.late++;
		w->st.lost--;
		e->gap[i].to = seq;
		if (seq + 1 < to && e->n_gaps < GEN_GAPS) {
			e->gap[e->n_gaps].from = seq + 1;
			e->gap[e->n_gaps++].to = to;
		}
		if (e->gap[i].from == e->gap[i].to)
			e->gap[i] = e->gap[--e->n_gaps];
		return;
	}
	w->st.doubled++;
}

static void check_sequence(struct gen_guest *w, struct gen_expect *e, uint64_t seq)
{
	if (seq == e->next) {
		e->next++;
		return;
	}
	if (seq < e->next) {
		late_or_doubled(w, e, seq);
		return;
	}
	w->st.lost += seq - e->next;
	if (e->n_gaps == GEN_GAPS) // the oldest is forgotten
		memmove(&e->gap[0], &e->gap[1], sizeof(e->gap[0]) * --e->n_gaps);
	e->gap[e->n_gaps].from = e->next;
	e->gap[e->n_gaps++].to = seq;
	e->next = seq + 1;
}

// Whether the bytes are those that `src` wrote, but for its addresses, number and time.
static bool is_unaltered(const struct gen *g, const uint8_t *frame, uint32_t len, unsigned src,
	unsigned flow, uint64_t seq)
{
	uint8_t want[64], got[64];
	unsigned size = 0;

	while (size < g->n_sizes && g->size[size] != len)
		size++;
	if (size == g->n_sizes)
		return false;
	memcpy(want, &g->guest[src].flow[flow].first[size], 64);
	memcpy(got, frame, 64);
	if (flow != g->n)
		memset(got + GEN_OFF_DST_ADDRESS, 0, 2);
	memset(got + GEN_OFF_SRC_ADDRESS, 0, 2);
	if (!g->base)
		memset(got + GEN_OFF_SEQ, 0, 16);
	if (memcmp(want, got, 64))
		return false;
	if (g->write != GEN_FULL)
		return true;
	for (unsigned at = g->base ? 128 : 64; at < len; at++) {
		uint64_t v = seq * GEN_PATTERN_FACTOR + at / 64;

		if (at + 8 <= len && !(at & 7)) {
			if (memcmp(frame + at, &v, 8))
				return false;
			at += 7;
		} else if (frame[at] != (uint8_t)(v >> (at & 7) * 8)) {
			return false;
		}
	}
	return true;
}

void gen_verify(struct gen *g, struct gen_guest *w, const uint8_t *frame, uint32_t len)
{
	const uint8_t *base = frame + g->base;
	uint16_t field[3];
	uint64_t seq, time;
	bool to_all;

	if (len < g->base + 64) {
		w->st.rx_other++;
		return;
	}
	memcpy(field, base + GEN_OFF_MAGIC, sizeof(field));
	memcpy(&seq, base + GEN_OFF_SEQ, 8);
	memcpy(&time, base + GEN_OFF_TIME, 8);
	if (field[0] != GEN_MAGIC || field[1] >= g->n) {
		w->st.rx_other++;
		return;
	}
	to_all = field[2] == GEN_EVERYBODY;
	if (!to_all && field[2] != w->me) {
		w->st.flooded++;
		return;
	}
	if (!is_unaltered(g, frame, len, field[1], to_all ? g->n : w->me, seq)) {
		w->st.altered++;
		return;
	}
	check_sequence(w, &w->expect[field[1] + (to_all ? g->n : 0)], seq);
	if (g->latency && g->now > time)
		histogram_add(&g->hist, g->now - time);
	w->st.rx_frames++;
	w->st.rx_bytes += len;
}

void gen_verify_header(struct gen *g, struct gen_guest *w, const uint8_t *header)
{
	struct virtio_net_hdr h;

	memcpy(&h, header, sizeof(h));
	if (g->opt.tso ? h.gso_type != VIRTIO_NET_HDR_GSO_TCPV4 || h.gso_size != TCP_MSS ||
				 !(h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		       : h.gso_type || h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		w->st.bad_header++;
}
