// SPDX-License-Identifier: BSD-2-Clause
// Dissects Ethernet frames: where the headers are, who sent it, which flow it belongs to.
#include "dataplane/frame/eth.h"

#include <errno.h>
#include <netinet/in.h>

#define IPV4_HDR_LEN 20u
#define IPV6_HDR_LEN 40u
#define ARP_LEN      28u // IPv4 over Ethernet

// Neighbour discovery, RFC 4861: types of messages, length of their fixed parts, options.
#define ND_FIRST       133u
#define ND_ROUTER_ADV  134u
#define ND_ADVERT      136u
#define ND_REDIRECT    137u
#define ND_OPT_SOURCE  1u
#define ND_OPT_TARGET  2u
#define ND_OPT_MAC_LEN 8u

static const uint8_t nd_len[] = {8, 16, 24, 24, 40};

static bool is_tag(uint16_t type)
{
	return type == ETH_TYPE_VLAN || type == ETH_TYPE_QINQ;
}

// frame_pull, with the two ways in which it fails told apart.
static int pull(struct frame *f, unsigned want)
{
	if (frame_pull(f, want))
		return 0;
	return want > f->len ? -EBADMSG : -E2BIG;
}

static int dissect_tags(struct frame *f, struct eth_layers *l)
{
	l->l3 = ETH_HDR_LEN;
	l->type = eth_type(f);
	while (is_tag(l->type)) {
		if (l->n_tags == ETH_TAGS_MAX)
			return -EBADMSG;
		int rc = pull(f, l->l3 + ETH_TAG_LEN);
		if (rc < 0)
			return rc;
		l->type = eth_be16(frame_head(f) + l->l3 + 2);
		l->l3 += ETH_TAG_LEN;
		l->n_tags++;
	}
	return 0;
}

static int dissect_ipv4(struct frame *f, struct eth_layers *l)
{
	int rc = pull(f, l->l3 + IPV4_HDR_LEN);
	if (rc < 0)
		return rc;
	const uint8_t *ip = frame_head(f) + l->l3;
	unsigned len = (ip[0] & 0xf) * 4u;
	if (ip[0] >> 4 != 4 || len < IPV4_HDR_LEN)
		return -EBADMSG;
	l->fragment = (eth_be16(ip + 6) & 0x3fff) != 0; // more fragments, or an offset
	l->proto = ip[9];
	l->l4 = l->l3 + len;
	return pull(f, l->l4);
}

static int dissect_ipv6(struct frame *f, struct eth_layers *l)
{
	int rc = pull(f, l->l3 + IPV6_HDR_LEN);
	if (rc < 0)
		return rc;
	const uint8_t *ip = frame_head(f) + l->l3;
	if (ip[0] >> 4 != 6)
		return -EBADMSG;
	l->proto = ip[6];
	l->l4 = l->l3 + IPV6_HDR_LEN;
	while (!l->later) {
		bool fragment = l->proto == IPPROTO_FRAGMENT;
		if (!fragment && l->proto != IPPROTO_HOPOPTS && l->proto != IPPROTO_ROUTING &&
			l->proto != IPPROTO_DSTOPTS)
			break;
		if ((rc = pull(f, l->l4 + 8)) < 0)
			return rc;
		const uint8_t *ext = frame_head(f) + l->l4;
		l->proto = ext[0];
		l->fragment |= fragment;
		l->later = fragment && (eth_be16(ext + 2) & 0xfff8);
		l->l4 += fragment ? 8 : 8 + ext[1] * 8;
		if ((rc = pull(f, l->l4)) < 0)
			return rc;
	}
	return 0;
}

int eth_dissect(struct frame *f, struct eth_layers *to)
{
	struct eth_layers l = {0};
	int rc = pull(f, ETH_HDR_LEN);
	if (rc == 0)
		rc = dissect_tags(f, &l);
	if (rc == 0 && l.type == ETH_TYPE_IPV4)
		rc = dissect_ipv4(f, &l);
	if (rc == 0 && l.type == ETH_TYPE_IPV6)
		rc = dissect_ipv6(f, &l);
	if (rc == 0)
		*to = l;
	return rc;
}

static int sender_arp(struct frame *f, const struct eth_layers *l, struct eth_sender *s)
{
	int rc = pull(f, l->l3 + ARP_LEN);
	if (rc < 0)
		return rc;
	const uint8_t *arp = frame_head(f) + l->l3;
	if (arp[4] != ETH_ADDR_LEN || arp[5] != 4)
		return -EBADMSG;
	s->kind = ETH_SENDER_ARP;
	s->has_mac = true;
	memcpy(s->mac, arp + 8, ETH_ADDR_LEN);
	memcpy(s->ip, arp + 14, 4);
	return 0;
}

// Looks for the link-layer address of the sender (type `wanted`) in the options of a message,
// which are at [off, end) of the frame.
static int nd_options(
	struct frame *f, unsigned off, unsigned end, unsigned wanted, struct eth_sender *s)
{
	int rc = pull(f, end);
	if (rc < 0)
		return rc;
	while (off < end) {
		const uint8_t *opt = frame_head(f) + off;
		unsigned len = end - off >= 2 ? opt[1] * 8u : 0;
		if (len == 0 || len > end - off)
			return -EBADMSG;
		off += len;
		if (opt[0] != wanted)
			continue;
		if (len != ND_OPT_MAC_LEN)
			return -EBADMSG;
		if (s->has_mac && memcmp(s->mac, opt + 2, ETH_ADDR_LEN) != 0)
			return -EBADMSG;
		s->has_mac = true;
		memcpy(s->mac, opt + 2, ETH_ADDR_LEN);
	}
	return 0;
}

static int sender_nd(struct frame *f, const struct eth_layers *l, struct eth_sender *s)
{
	unsigned type = frame_head(f)[l->l4];
	unsigned end = l->l3 + IPV6_HDR_LEN + eth_be16(frame_head(f) + l->l3 + 4);
	unsigned fixed = l->l4 + nd_len[type - ND_FIRST];
	if (l->fragment || end > f->len || end < fixed)
		return -EBADMSG;
	int rc = pull(f, fixed);
	if (rc < 0)
		return rc;
	s->kind = ETH_SENDER_ND;
	s->nd_type = (uint8_t)type;
	if (type == ND_ADVERT) {
		s->has_target = true;
		memcpy(s->target, frame_head(f) + l->l4 + 8, 16);
	}
	if (type == ND_REDIRECT)
		return 0; // its addresses are somebody else's
	return nd_options(f, fixed, end, type == ND_ADVERT ? ND_OPT_TARGET : ND_OPT_SOURCE, s);
}

static int sender_ipv6(struct frame *f, const struct eth_layers *l, struct eth_sender *s)
{
	s->kind = ETH_SENDER_IPV6;
	memcpy(s->ip, frame_head(f) + l->l3 + 8, 16);
	if (l->proto != IPPROTO_ICMPV6 || l->later)
		return 0;
	int rc = pull(f, l->l4 + 1);
	if (rc < 0)
		return rc;
	unsigned type = frame_head(f)[l->l4];
	return type >= ND_FIRST && type <= ND_REDIRECT ? sender_nd(f, l, s) : 0;
}

int eth_get_sender(struct frame *f, struct eth_sender *to)
{
	struct eth_sender s = {.kind = ETH_SENDER_NONE};
	struct eth_layers l;
	int rc = eth_dissect(f, &l);
	if (rc < 0)
		return rc;
	if (l.type == ETH_TYPE_ARP) {
		rc = sender_arp(f, &l, &s);
	} else if (l.type == ETH_TYPE_IPV6) {
		rc = sender_ipv6(f, &l, &s);
	} else if (l.type == ETH_TYPE_IPV4) {
		s.kind = ETH_SENDER_IPV4;
		memcpy(s.ip, frame_head(f) + l.l3 + 12, 4);
	}
	if (rc == 0)
		*to = s;
	return rc;
}

// What a hash looks at: the first bytes of a frame in one piece, where they are or as a copy. Reading the sender's
// memory here is harmless: only a hash depends on it.
struct window {
	const struct frame *f;
	const uint8_t *start;
	uint32_t len;
	uint8_t copy[FRAME_WINDOW];
};

static void window_open(struct window *w, const struct frame *f)
{
	w->f = f;
	w->start = frame_head_const(f);
	w->len = f->head_len;
	if (f->head_len >= FRAME_WINDOW || !f->n_segs)
		return;
	w->start = w->copy;
	w->len = f->len < FRAME_WINDOW ? f->len : FRAME_WINDOW;
	if (f->n_segs == 1 && f->head_len == FRAME_HEAD && w->len == FRAME_WINDOW) {
		memcpy(w->copy, frame_head_const(f), FRAME_HEAD);
		memcpy(w->copy + FRAME_HEAD, f->seg.base, FRAME_WINDOW - FRAME_HEAD);
	} else {
		frame_copy(f, 0, w->copy, w->len);
	}
}

// Bytes [off, off + n) of the frame: where they are in the window, or copied to `to`; NULL if the frame is
// shorter.
static const uint8_t *peek(const struct window *w, unsigned off, unsigned n, uint8_t *to)
{
	if (off + n <= w->len)
		return w->start + off;
	if (off + n > w->f->len)
		return NULL;
	frame_copy(w->f, off, to, n);
	return to;
}

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return v;
}

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v;
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93u;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93u;
	return x ^ x >> 32;
}

// The two ends add up, so that it does not matter which of them sends.
static uint32_t mix_ends(uint64_t a, uint64_t b, unsigned proto)
{
	return (uint32_t)mix(mix(a) + mix(b) + proto);
}

// Ports of a flow as they are in the frame, {source, destination}; {0, 0} where there are none.
static void flow_ports(const struct window *w, unsigned l4, unsigned proto, uint16_t *ports)
{
	uint8_t buf[4];
	const uint8_t *p = NULL;
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP)
		p = peek(w, l4, 4, buf);
	ports[0] = p ? eth_be16(p) : 0;
	ports[1] = p ? eth_be16(p + 2) : 0;
}

static uint64_t end_ipv6(const uint8_t *ip, uint16_t port)
{
	return mix(load64(ip) + port) + load64(ip + 8);
}

uint32_t eth_flow_hash(const struct frame *f)
{
	uint8_t buf[IPV6_HDR_LEN];
	uint16_t ports[2], type = eth_type(f);
	unsigned l3 = ETH_HDR_LEN;
	const uint8_t *p;
	struct window w;
	window_open(&w, f);
	for (unsigned n = 0; n < ETH_TAGS_MAX && is_tag(type); n++) {
		if (!(p = peek(&w, l3, ETH_TAG_LEN, buf)))
			break;
		type = eth_be16(p + 2);
		l3 += ETH_TAG_LEN;
	}
	if (type == ETH_TYPE_IPV4 && (p = peek(&w, l3, IPV4_HDR_LEN, buf))) {
		bool fragment = (eth_be16(p + 6) & 0x3fff) != 0;
		flow_ports(&w, l3 + (p[0] & 0xf) * 4u, fragment ? 0 : p[9], ports);
		return mix_ends((uint64_t)load32(p + 12) << 16 | ports[0],
			(uint64_t)load32(p + 16) << 16 | ports[1], p[9]);
	}
	if (type == ETH_TYPE_IPV6 && (p = peek(&w, l3, IPV6_HDR_LEN, buf))) {
		flow_ports(&w, l3 + IPV6_HDR_LEN, p[6], ports);
		return mix_ends(end_ipv6(p + 8, ports[0]), end_ipv6(p + 24, ports[1]), p[6]);
	}
	return mix_ends(eth_addr(eth_dst(f)), eth_addr(eth_src(f)), 0);
}
