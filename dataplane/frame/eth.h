// SPDX-License-Identifier: BSD-2-Clause
// Ethernet: addresses, VLAN tags on the head, and bounds-checked dissection of what is behind them.
#pragma once

#include "dataplane/frame/frame.h"

#include <assert.h>
#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ETH_ADDR_LEN 6u
#define ETH_HDR_LEN  14u
#define ETH_TAG_LEN  4u
// Tags that dissection looks behind; a frame with more is refused there.
#define ETH_TAGS_MAX 4u

enum eth_type {
	ETH_TYPE_IPV4 = 0x0800,
	ETH_TYPE_ARP = 0x0806,
	ETH_TYPE_RARP = 0x8035,
	ETH_TYPE_VLAN = 0x8100, // 802.1Q, C-tag
	ETH_TYPE_IPV6 = 0x86dd,
	ETH_TYPE_QINQ = 0x88a8, // 802.1ad, S-tag
};

static inline uint16_t eth_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void eth_put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

// The addresses and the type of a frame of at least FRAME_LEN_MIN bytes (whose head has these).
static inline const uint8_t *eth_dst(const struct frame *f)
{
	return frame_head_const(f);
}

static inline const uint8_t *eth_src(const struct frame *f)
{
	return frame_head_const(f) + ETH_ADDR_LEN;
}

// What follows the addresses: a type, a tag's TPID or (below 0x600) an 802.3 length. Host order.
static inline uint16_t eth_type(const struct frame *f)
{
	return eth_be16(frame_head_const(f) + 2 * ETH_ADDR_LEN);
}

// An address as a number, for tables: its 48 bits in memory order, the rest 0.
static inline uint64_t eth_addr(const uint8_t *mac)
{
	uint64_t a = 0;
	memcpy(&a, mac, ETH_ADDR_LEN);
	return a;
}

// The same of eight bytes that may all be read, in one load: in pieces, what was just written as a part of something
// larger could not be read without waiting for that.
static inline uint64_t eth_addr_in8(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v & htole64(0xffffffffffff);
}

static inline bool eth_is_multicast(const uint8_t *mac)
{
	return mac[0] & 1;
}

// True for what a station may have: not a group address, not all zero.
static inline bool eth_is_station(const uint8_t *mac)
{
	return !eth_is_multicast(mac) && eth_addr(mac) != 0;
}

// Link-local addresses that a bridge must not forward (802.1Q, 8.6.3): 01:80:c2:00:00:00 to :0f.
static inline bool eth_is_reserved(const uint8_t *mac)
{
	static const uint8_t prefix[5] = {0x01, 0x80, 0xc2, 0x00, 0x00};
	return memcmp(mac, prefix, sizeof(prefix)) == 0 && mac[5] < 0x10;
}

// True if the frame starts with an 802.1Q tag; *tci is then its tag control information (3 bits of
// priority, 1 of drop eligibility, 12 of VLAN, where 0 means priority only). A frame that ends
// within its tag has none. Sets or clears FRAME_TAGGED.
static inline bool eth_parse_tag(struct frame *f, uint16_t *tci)
{
	if (eth_type(f) != ETH_TYPE_VLAN || f->head_len < ETH_HDR_LEN + ETH_TAG_LEN) {
		f->flags &= ~FRAME_TAGGED;
		return false;
	}
	*tci = eth_be16(frame_head_const(f) + ETH_HDR_LEN);
	f->flags |= FRAME_TAGGED;
	return true;
}

// Offsets that a claim makes move with the bytes they count.
static inline void eth_move_offload(struct frame *f, int by)
{
	if (!(f->flags & FRAME_OFFLOAD))
		return;
	f->offload.csum_start += by;
	if (f->offload.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		f->offload.hdr_len += by;
}

// Puts an 802.1Q tag behind the addresses, keeping the offsets in a checked f->offload right. There
// is room for two more than the frame came with. The payload does not move.
static inline void eth_push_tag(struct frame *f, uint16_t tci)
{
	assert(f->head_off >= ETH_TAG_LEN);
	uint8_t *head = frame_head(f);
	uint64_t dst8;
	uint32_t src4;
	memcpy(&dst8, head, 8);
	memcpy(&src4, head + 8, 4);
	head -= ETH_TAG_LEN;
	memcpy(head, &dst8, 8);
	memcpy(head + 8, &src4, 4);
	eth_put_be16(head + 12, ETH_TYPE_VLAN);
	eth_put_be16(head + 14, tci);
	f->head_off -= ETH_TAG_LEN;
	f->head_len += ETH_TAG_LEN;
	f->len += ETH_TAG_LEN;
	f->flags |= FRAME_TAGGED;
	eth_move_offload(f, ETH_TAG_LEN);
}

// Takes the tag away from a frame that has one (FRAME_TAGGED, after eth_parse_tag). FRAME_TAGGED is
// cleared even if another tag follows: that one is payload to us.
static inline void eth_pop_tag(struct frame *f)
{
	assert(f->flags & FRAME_TAGGED && f->head_len >= ETH_HDR_LEN + ETH_TAG_LEN);
	uint8_t *head = frame_head(f);
	uint64_t dst8;
	uint32_t src4;
	memcpy(&dst8, head, 8);
	memcpy(&src4, head + 8, 4);
	head += ETH_TAG_LEN;
	memcpy(head, &dst8, 8);
	memcpy(head + 8, &src4, 4);
	f->head_off += ETH_TAG_LEN;
	f->head_len -= ETH_TAG_LEN;
	f->len -= ETH_TAG_LEN;
	f->flags &= ~FRAME_TAGGED;
	eth_move_offload(f, -(int)ETH_TAG_LEN);
}

// Rewrites the tag of a frame that has one.
static inline void eth_set_tag(struct frame *f, uint16_t tci)
{
	assert(f->flags & FRAME_TAGGED);
	eth_put_be16(frame_head(f) + ETH_HDR_LEN, tci);
}

// Where the headers of a frame are. Offsets count from the frame's first byte.
struct eth_layers {
	uint16_t type;  // behind all tags: enum eth_type or another, or an 802.3 length. Host order
	uint16_t l3;    // offset of what `type` names
	uint16_t l4;    // behind IPv4 options and IPv6 extension headers; 0 where there is no IP
	uint8_t n_tags; // 802.1Q and 802.1ad
	uint8_t proto;  // IPPROTO_* of what is at l4; in a fragment, of what was cut up
	bool fragment;  // of IPv4 or IPv6; l4 is that header in the first one only
	bool later;     // of IPv6, and not the first
};

// Finds the headers, pulling what it looks at: all up to l4 is then in the head. Walks the hop-by-hop,
// routing, destination options and fragment headers of IPv6; AH counts as a transport header, as it
// does in IPv4. Worker thread.
// 0, or with *to untouched:
//   -EBADMSG   a header is cut short or contradicts itself, or there are too many tags
//   -E2BIG     headers go beyond FRAME_HEAD_MAX
int eth_dissect(struct frame *f, struct eth_layers *to);

// Who a frame says it is from, above its source address: what a policy against spoofing checks.
struct eth_sender {
	enum {
		ETH_SENDER_NONE, // neither IP nor ARP
		ETH_SENDER_ARP,  // ip[0..4) and mac are the ARP message's sender
		ETH_SENDER_IPV4, // ip[0..4) is the source
		ETH_SENDER_IPV6, // ip is the source
		ETH_SENDER_ND,   // IPv6 with a neighbour discovery message, RFC 4861
	} kind;
	uint8_t nd_type; // ICMPv6 type of such a message: 133 (router solicitation) to 137
			 // (redirect)
	bool has_mac;    // mac is set: ARP, or neighbour discovery that says it
	bool has_target; // target is set: a neighbour advertisement, which claims that address
	uint8_t ip[16];
	uint8_t target[16];
	uint8_t mac[6];
};

// Fills *to from the frame; pulls. Options of neighbour discovery are all looked at; a second
// link-layer address that differs from the first is refused, as receivers differ in which they
// believe; so is a message with a fragment header, which none may believe (RFC 6980). What a later fragment
// begins with is no message. Errors as eth_dissect (a message cut short is malformed); *to is then untouched. Worker
// thread.
int eth_get_sender(struct frame *f, struct eth_sender *to);

// Symmetric hash of the flow a frame belongs to: the same for both directions. Over addresses and
// ports of IPv4 and IPv6 TCP and UDP; over addresses and protocol of other IP and all fragments;
// else over the MAC addresses. Tags do not count. Never fails: what is cut short counts as the
// layer below. Well mixed in all bits. Worker thread.
uint32_t eth_flow_hash(const struct frame *f);
