// SPDX-License-Identifier: BSD-2-Clause
// Crafts frames byte by byte for tests, and lends them in pieces of any size.
#include "tests/lib/craft.h"

#include <assert.h>
#include <netinet/in.h>
#include <string.h>

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint8_t *append(struct craft *c, uint32_t n)
{
	assert(c->len + n <= CRAFT_MAX);
	uint8_t *p = c->b + c->len;
	memset(p, 0, n);
	c->len += n;
	c->hdr_len = c->len;
	return p;
}

void craft_eth(struct craft *c, uint8_t from, uint8_t to)
{
	memset(c, 0, sizeof(*c) - sizeof(c->b));
	uint8_t *p = append(c, 14);
	p[0] = p[6] = 2;
	p[5] = to;
	p[11] = from;
	c->l3 = 14;
}

void craft_type(struct craft *c, uint16_t type, const void *bytes, uint32_t n)
{
	put16(c->b + c->len - 2, type);
	c->l3 = c->len;
	uint8_t *p = append(c, n);
	if (bytes)
		memcpy(p, bytes, n);
}

void craft_tag(struct craft *c, uint16_t tpid, uint16_t tci)
{
	uint8_t tag[4] = {(uint8_t)(tci >> 8), (uint8_t)tci};
	craft_type(c, tpid, tag, 4);
	c->l3 = c->len;
}

void craft_ipv4(struct craft *c, uint8_t from, uint8_t to, unsigned opt_len)
{
	craft_type(c, 0x0800, NULL, 20 + opt_len);
	uint8_t *p = c->b + c->l3;
	p[0] = 0x40 | (20 + opt_len) / 4;
	put16(p + 4, 0xfffe); // so that a few segments wrap it
	p[6] = 0x40;          // don't fragment
	p[8] = 64;
	p[12] = p[16] = 10;
	p[15] = from;
	p[19] = to;
	memset(p + 20, 1, opt_len); // no operation
	c->next = c->l3 + 9;
	c->l4 = c->len;
	c->ipv6 = false;
}

void craft_ipv6(struct craft *c, uint8_t from, uint8_t to)
{
	craft_type(c, 0x86dd, NULL, 40);
	uint8_t *p = c->b + c->l3;
	p[0] = 0x60;
	p[7] = 64;
	p[8] = p[24] = 0xfd;
	p[23] = from;
	p[39] = to;
	p[6] = IPPROTO_NONE;
	c->next = c->l3 + 6;
	c->l4 = c->len;
	c->ipv6 = true;
}

static uint8_t *layer(struct craft *c, uint8_t proto, uint32_t n)
{
	c->b[c->next] = proto;
	c->proto = proto;
	c->l4 = c->len;
	return append(c, n);
}

void craft_ext(struct craft *c, uint8_t type, unsigned len)
{
	uint8_t *p = layer(c, type, len);
	p[0] = IPPROTO_NONE;
	p[1] = (uint8_t)(len / 8 - 1);
	if (type == IPPROTO_ROUTING) {
		p[2] = 4; // segment routing, no segments left
	} else {
		p[2] = 1; // PadN over all of it
		p[3] = (uint8_t)(len - 4);
	}
	c->next = c->l4;
	c->l4 = c->len;
}

void craft_fragment(struct craft *c, unsigned offset8, bool more)
{
	uint8_t *p = layer(c, IPPROTO_FRAGMENT, 8);
	p[0] = IPPROTO_NONE;
	put16(p + 2, (uint16_t)(offset8 << 3 | more));
	c->next = c->l4;
	c->l4 = c->len;
}

void craft_tcp(struct craft *c, uint16_t sport, uint16_t dport, uint8_t flags, unsigned opt_len)
{
	uint8_t *p = layer(c, IPPROTO_TCP, 20 + opt_len);
	put16(p, sport);
	put16(p + 2, dport);
	memset(p + 4, 0xff, 4); // a sequence number that wraps
	p[7] = 0x10;
	p[11] = 7;
	p[12] = (uint8_t)((20 + opt_len) / 4 << 4);
	p[13] = flags;
	put16(p + 14, 8192);
	memset(p + 20, 1, opt_len); // no operation
}

void craft_udp(struct craft *c, uint16_t sport, uint16_t dport)
{
	uint8_t *p = layer(c, IPPROTO_UDP, 8);
	put16(p, sport);
	put16(p + 2, dport);
}

void craft_icmpv6(struct craft *c, uint8_t type, const void *body, uint32_t n)
{
	uint8_t *p = layer(c, IPPROTO_ICMPV6, 4 + n);
	p[0] = type;
	if (body)
		memcpy(p + 4, body, n);
}

void craft_payload(struct craft *c, uint32_t n, uint32_t seed)
{
	uint32_t hdr_len = c->hdr_len;
	uint8_t *p = append(c, n);
	uint32_t x = seed * 2654435761u + 1;
	for (uint32_t i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (uint8_t)(x >> 24);
	}
	c->hdr_len = hdr_len;
}

uint16_t craft_checksum(const uint8_t *bytes, uint32_t len, uint32_t sum)
{
	uint64_t s = sum;
	for (uint32_t i = 0; i < len; i++)
		s += i & 1 ? bytes[i] : bytes[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

uint32_t craft_pseudo(const struct craft *c)
{
	const uint8_t *a = c->b + c->l3 + (c->ipv6 ? 8 : 12);
	uint32_t sum = c->proto + c->len - c->l4;
	for (unsigned i = 0; i < (c->ipv6 ? 32 : 8); i += 2)
		sum += a[i] << 8 | a[i + 1];
	return sum;
}

static uint32_t csum_offset(const struct craft *c)
{
	return c->proto == IPPROTO_TCP ? 16 : c->proto == IPPROTO_UDP ? 6 : 2;
}

void craft_finish(struct craft *c, bool partial)
{
	uint8_t *ip = c->b + c->l3, *l4 = c->b + c->l4;
	if (c->ipv6) {
		put16(ip + 4, (uint16_t)(c->len - c->l3 - 40));
	} else {
		put16(ip + 2, (uint16_t)(c->len - c->l3));
		put16(ip + 10, 0);
		put16(ip + 10, craft_checksum(ip, (ip[0] & 15) * 4, 0));
	}
	if (c->proto == IPPROTO_UDP)
		put16(l4 + 4, (uint16_t)(c->len - c->l4));
	if (c->proto != IPPROTO_TCP && c->proto != IPPROTO_UDP && c->proto != IPPROTO_ICMPV6)
		return;
	uint8_t *field = l4 + csum_offset(c);
	put16(field, 0);
	uint16_t sum = partial ? (uint16_t)~craft_checksum(NULL, 0, craft_pseudo(c))
			       : craft_checksum(l4, c->len - c->l4, craft_pseudo(c));
	if (!partial && sum == 0 && c->proto == IPPROTO_UDP)
		sum = 0xffff;
	put16(field, sum);
}

struct virtio_net_hdr craft_claim(const struct craft *c, uint8_t gso_type, uint16_t gso_size)
{
	return (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = gso_type,
		.gso_size = gso_size,
		.hdr_len = gso_type ? (uint16_t)c->hdr_len : 0,
		.csum_start = (uint16_t)c->l4,
		.csum_offset = (uint16_t)csum_offset(c),
	};
}

void craft_lend(struct frame *f, const uint8_t *bytes, uint32_t len, uint32_t seg_len,
	struct frame_seg *segs, const struct virtio_net_hdr *claim)
{
	memset(f, 0, sizeof(*f));
	f->len = len;
	f->head_len = len < FRAME_HEAD ? (uint16_t)len : FRAME_HEAD;
	f->head_off = FRAME_HEAD_OFF;
	memcpy(frame_head(f), bytes, f->head_len);
	if (claim)
		f->offload = *claim;
	uint32_t n_segs = 0;
	for (uint32_t at = f->head_len; at < len;) {
		uint32_t n = len - at < seg_len ? len - at : seg_len;
		if (n_segs == CRAFT_SEGS - 1)
			n = len - at;
		segs[n_segs++] = (struct frame_seg){n, bytes + at};
		at += n;
	}
	frame_set_segs(f, segs, n_segs);
}
