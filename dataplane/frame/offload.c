// SPDX-License-Identifier: BSD-2-Clause
// Checks a sender's claims about checksums and segments, and does the work it left undone.
#include "dataplane/frame/offload.h"

#include "dataplane/frame/checksum.h"
#include "dataplane/frame/eth.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>

#define IPV6_HDR_LEN 40u
#define TCP_HDR_LEN  20u
#define UDP_HDR_LEN  8u
#define TCP_SEQ      4u
#define TCP_FLAGS    13u
#define TCP_CSUM     16u
#define UDP_LEN      4u
#define UDP_CSUM     6u
#define ICMP_CSUM    2u

#define TCP_FIN 0x01u
#define TCP_PSH 0x08u
#define TCP_CWR 0x80u

static uint16_t load16(const uint8_t *p)
{
	uint16_t v;
	memcpy(&v, p, 2);
	return v;
}

static void store16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
}

// Where a checksum may be begun and where its field may be. Behind the IP headers, always; in the
// header of a protocol that we know, only where that has it: what completes the checksum writes
// there, after addresses were checked.
static bool csum_is_placed(const struct eth_layers *l, unsigned start, unsigned offset)
{
	if (l->type == ETH_TYPE_ARP || l->type == ETH_TYPE_RARP)
		return false;
	if (l->l4 == 0)
		return start >= l->l3;
	if (l->fragment || start < l->l4)
		return false;
	switch (l->proto) {
	case IPPROTO_TCP:
		return start == l->l4 && offset == TCP_CSUM;
	case IPPROTO_UDP: // its own, or that of something inside a tunnel
		return start == l->l4 ? offset == UDP_CSUM : start >= l->l4 + UDP_HDR_LEN;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return start == l->l4 && offset == ICMP_CSUM;
	default:
		return true;
	}
}

// Does the frame carry what its gso_type (without the ECN bit) says?
static bool segment_is_typed(const struct eth_layers *l, unsigned gso_type)
{
	switch (gso_type) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return l->type == ETH_TYPE_IPV4 && l->proto == IPPROTO_TCP;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return l->type == ETH_TYPE_IPV6 && l->proto == IPPROTO_TCP;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return l->l4 != 0 && l->proto == IPPROTO_UDP;
	default: // UFO among them: not offered
		return false;
	}
}

// Checks what is claimed of a segment whose checksum is claimed rightly and is in the head; fills
// the exact length of its headers.
static int check_segment(struct frame *f, const struct eth_layers *l, struct virtio_net_hdr *claim)
{
	unsigned type = claim->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
	bool udp = type == VIRTIO_NET_HDR_GSO_UDP_L4;
	if (!segment_is_typed(l, type) || claim->csum_start != l->l4)
		return -EBADMSG;
	if ((udp && claim->gso_type != type) || claim->gso_size == 0)
		return -EBADMSG;
	unsigned hdr_len = l->l4 + UDP_HDR_LEN;
	if (!udp) { // the checksum's place was checked, so byte 12 is in the head
		unsigned tcp_len = (frame_head(f)[l->l4 + 12] >> 4) * 4u;
		if (tcp_len < TCP_HDR_LEN)
			return -EBADMSG;
		hdr_len = l->l4 + tcp_len;
	}
	if (!frame_pull(f, hdr_len))
		return hdr_len > f->len ? -EBADMSG : -E2BIG;
	uint32_t payload = f->len - hdr_len;
	uint32_t parts = (payload + claim->gso_size - 1) / claim->gso_size;
	if (parts > (udp ? OFFLOAD_UDP_PARTS_MAX : OFFLOAD_PARTS_MAX))
		return -EBADMSG;
	claim->hdr_len = (uint16_t)hdr_len;
	if (parts <= 1)
		claim->gso_type = VIRTIO_NET_HDR_GSO_NONE;
	return 0;
}

int offload_check_claims(struct frame *f)
{
	struct virtio_net_hdr claim = f->offload;
	if (!(claim.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return -EBADMSG; // a segment needs one
	uint32_t end = (uint32_t)claim.csum_start + claim.csum_offset + 2;
	if (end > f->len)
		return -EBADMSG;
	struct eth_layers l;
	int rc = eth_dissect(f, &l);
	if (rc < 0)
		return rc;
	if (!csum_is_placed(&l, claim.csum_start, claim.csum_offset))
		return -EBADMSG;
	if (!frame_pull(f, end))
		return -E2BIG;
	if (claim.gso_type != VIRTIO_NET_HDR_GSO_NONE && (rc = check_segment(f, &l, &claim)) < 0)
		return rc;
	claim.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
	if (claim.gso_type == VIRTIO_NET_HDR_GSO_NONE)
		claim.hdr_len = claim.gso_size = 0;
	f->offload = claim;
	f->flags |= FRAME_OFFLOAD;
	return 0;
}

// Where the type behind all tags is, in a checked frame: its headers are all in its head.
static const uint8_t *type_field(const struct frame *f)
{
	const uint8_t *type = frame_head_const(f) + 2 * ETH_ADDR_LEN;
	while (eth_be16(type) == ETH_TYPE_VLAN || eth_be16(type) == ETH_TYPE_QINQ)
		type += ETH_TAG_LEN;
	return type;
}

static bool is_ipv6(const struct frame *f)
{
	return eth_be16(type_field(f)) == ETH_TYPE_IPV6;
}

uint32_t offload_needs(const struct frame *f)
{
	if (!(f->flags & FRAME_OFFLOAD))
		return 0;
	uint32_t needs = OFFLOAD_CSUM;
	if (f->offload.gso_type & VIRTIO_NET_HDR_GSO_ECN)
		needs |= OFFLOAD_ECN;
	switch (f->offload.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return needs | OFFLOAD_TSO4;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return needs | OFFLOAD_TSO6;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return needs | (is_ipv6(f) ? OFFLOAD_USO6 : OFFLOAD_USO4);
	default:
		return needs;
	}
}

void offload_complete_csum(struct frame *f)
{
	if (!(f->flags & FRAME_OFFLOAD))
		return;
	assert(!offload_is_segment(f));
	uint16_t sum = ~checksum_fold(checksum_frame(f, f->offload.csum_start));
	// A UDP field of 0 would say that there is none; Linux does this for every protocol.
	store16(frame_head(f) + f->offload.csum_start + f->offload.csum_offset, sum ? sum : 0xffff);
	f->flags &= ~FRAME_OFFLOAD;
}

void offload_segmenter_init(struct offload_segmenter *s, const struct frame *f, uint32_t offloads)
{
	assert(f->flags & FRAME_OFFLOAD && offload_is_segment(f));
	const struct virtio_net_hdr *claim = &f->offload;
	const uint8_t *head = frame_head_const(f);
	*s = (struct offload_segmenter){
		.from = f,
		.left = f->len - claim->hdr_len,
		.in_head = f->head_len - claim->hdr_len,
		.l3 = (uint16_t)(type_field(f) + 2 - head),
		.l4 = claim->csum_start,
		.hdr_len = claim->hdr_len,
		.gso_size = claim->gso_size,
		.ipv6 = is_ipv6(f),
		.udp = claim->gso_type == VIRTIO_NET_HDR_GSO_UDP_L4,
		.partial = offloads & OFFLOAD_CSUM,
	};
	// The field holds the sum of the pseudo header, which may have an address that the headers
	// do not show (routing headers): take the length out of it rather than build it anew.
	const uint8_t *l4 = head + s->l4;
	if (s->udp)
		s->pseudo = load16(l4 + UDP_CSUM) + (uint16_t)~load16(l4 + UDP_LEN);
	else
		s->pseudo = load16(l4 + TCP_CSUM) + checksum_fold(~htonl(f->len - s->l4));
}

// Views of the next `len` bytes of borrowed payload. Returns how many entries of segs they take (a
// single one is in out->seg and takes none), or -ENOBUFS with *s unchanged.
static int take_views(struct offload_segmenter *s, struct frame *out, uint32_t len,
	struct frame_seg *segs, uint32_t max_segs)
{
	uint32_t view = s->view, offset = s->offset;
	out->n_segs = 0;
	while (len > 0) {
		const struct frame_seg *from = &frame_segs_const(s->from)[view];
		struct frame_seg rest = *from;
		rest.base += offset;
		rest.len -= offset;
		if (rest.len > len)
			rest.len = len;
		offset += rest.len;
		len -= rest.len;
		if (offset == from->len) {
			view++;
			offset = 0;
		}
		if (rest.len == 0)
			continue;
		if (out->n_segs > 0 && out->n_segs >= max_segs)
			return -ENOBUFS;
		if (out->n_segs == 1) // there are several: leave the frame's own
			segs[0] = out->seg;
		*(out->n_segs ? &segs[out->n_segs] : &out->seg) = rest;
		out->n_segs++;
	}
	out->segs = segs;
	s->view = view;
	s->offset = offset;
	return out->n_segs > 1 ? out->n_segs : 0;
}

static void fix_ip(const struct offload_segmenter *s, struct frame *out)
{
	uint8_t *ip = frame_head(out) + s->l3;
	if (s->ipv6) {
		eth_put_be16(ip + 4, (uint16_t)(out->len - s->l3 - IPV6_HDR_LEN));
		return;
	}
	eth_put_be16(ip + 2, (uint16_t)(out->len - s->l3));
	eth_put_be16(ip + 4, (uint16_t)(eth_be16(ip + 4) + s->part));
	store16(ip + 10, 0);
	store16(ip + 10, ~checksum_fold(checksum_add(0, ip, (ip[0] & 0xf) * 4u)));
}

// Fixes the transport header; *field is where its checksum is, which gets the sum of the pseudo
// header.
static void fix_l4(const struct offload_segmenter *s, struct frame *out, bool last, unsigned *field)
{
	uint8_t *l4 = frame_head(out) + s->l4;
	uint32_t len = out->len - s->l4;
	uint64_t pseudo = s->pseudo;
	if (s->udp) {
		eth_put_be16(l4 + UDP_LEN, (uint16_t)len);
		*field = UDP_CSUM;
		pseudo += load16(l4 + UDP_LEN);
	} else {
		uint32_t seq;
		memcpy(&seq, l4 + TCP_SEQ, 4);
		seq = htonl(ntohl(seq) + s->part * s->gso_size);
		memcpy(l4 + TCP_SEQ, &seq, 4);
		if (!last)
			l4[TCP_FLAGS] &= ~(TCP_FIN | TCP_PSH);
		if (s->part > 0)
			l4[TCP_FLAGS] &= ~TCP_CWR;
		*field = TCP_CSUM;
		pseudo += htonl(len);
	}
	store16(l4 + *field, checksum_fold(pseudo));
}

// Makes one frame; returns how many entries of segs it took, or -ENOBUFS.
static int make_part(
	struct offload_segmenter *s, struct frame *out, struct frame_seg *segs, uint32_t max_segs)
{
	uint32_t len = s->left < s->gso_size ? s->left : s->gso_size;
	uint32_t in_head = s->in_head < len ? s->in_head : len;
	int n = take_views(s, out, len - in_head, segs, max_segs);
	if (n < 0)
		return n;
	out->len = s->hdr_len + len;
	out->head_len = (uint16_t)(s->hdr_len + in_head);
	out->head_off = s->from->head_off;
	out->flags = s->from->flags & ~FRAME_OFFLOAD;
	out->tci = s->from->tci;
	const uint8_t *head = frame_head_const(s->from);
	memcpy(frame_head(out), head, s->hdr_len);
	memcpy(frame_head(out) + s->hdr_len, head + s->from->head_len - s->in_head, in_head);

	unsigned field;
	fix_ip(s, out);
	fix_l4(s, out, len == s->left, &field);
	if (s->partial) {
		out->flags |= FRAME_OFFLOAD;
		out->offload = (struct virtio_net_hdr){
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.csum_start = s->l4,
			.csum_offset = (uint16_t)field,
		};
	} else {
		uint16_t sum = ~checksum_fold(checksum_frame(out, s->l4));
		store16(frame_head(out) + s->l4 + field, s->udp && sum == 0 ? 0xffff : sum);
	}
	s->left -= len;
	s->in_head -= in_head;
	s->part++;
	return n;
}

int offload_segment_next(struct offload_segmenter *s, struct frame *out, uint32_t max_frames,
	struct frame_seg *segs, uint32_t max_segs)
{
	uint32_t n = 0;
	while (n < max_frames && s->left > 0) {
		int used = make_part(s, &out[n], segs, max_segs);
		if (used < 0)
			return n > 0 ? (int)n : used;
		segs += used;
		max_segs -= used;
		n++;
	}
	return (int)n;
}
