// SPDX-License-Identifier: BSD-2-Clause
// Tags on the head, and dissection of frames that are honest, cut short, or made to mislead.
#include "dataplane/frame/eth.h"
#include "tests/lib/craft.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

static struct craft c;
static struct frame f;
static struct frame_seg segs[CRAFT_SEGS];
static struct eth_layers l;
static struct eth_sender s;

static struct frame *lend(void)
{
	craft_lend(&f, c.b, c.len, 13, segs, NULL);
	return &f;
}

// The first `len` bytes alone, in memory that ends there.
static int cut(uint32_t len, int (*check)(struct frame *))
{
	uint8_t *bytes = malloc(len);
	memcpy(bytes, c.b, len);
	craft_lend(&f, bytes, len, 13, segs, NULL);
	int rc = check(&f);
	free(bytes);
	return rc;
}

static int dissect(struct frame *frame)
{
	return eth_dissect(frame, &l);
}

static int sender(struct frame *frame)
{
	return eth_get_sender(frame, &s);
}

static void addresses(void **state)
{
	craft_eth(&c, 1, 2);
	craft_type(&c, ETH_TYPE_ARP, NULL, 0);
	lend();
	assert_memory_equal(eth_dst(&f), "\2\0\0\0\0\2", 6);
	assert_memory_equal(eth_src(&f), "\2\0\0\0\0\1", 6);
	assert_int_equal(eth_type(&f), ETH_TYPE_ARP);
	assert_true(eth_is_station((const uint8_t *)"\2\0\0\0\0\1"));
	assert_false(eth_is_station((const uint8_t *)"\0\0\0\0\0\0"));
	assert_false(eth_is_station((const uint8_t *)"\1\0\0\0\0\1"));
	assert_true(eth_is_multicast((const uint8_t *)"\xff\xff\xff\xff\xff\xff"));
	assert_true(eth_is_reserved((const uint8_t *)"\1\x80\xc2\0\0\xf"));
	assert_false(eth_is_reserved((const uint8_t *)"\1\x80\xc2\0\0\x10"));
	assert_false(eth_is_reserved((const uint8_t *)"\1\x80\xc2\0\1\0"));
	assert_true(eth_addr((const uint8_t *)"\2\0\0\0\0\1\xff") ==
		    eth_addr((const uint8_t *)"\2\0\0\0\0\1\0"));
}

static void a_tag_is_parsed_whole_or_not_at_all(void **state)
{
	uint16_t tci = 1;
	craft_eth(&c, 1, 2);
	craft_tag(&c, ETH_TYPE_VLAN, 0xe123);
	assert_true(eth_parse_tag(lend(), &tci));
	assert_int_equal(tci, 0xe123);
	assert_true(f.flags & FRAME_TAGGED);
	c.len = 17;
	lend()->flags = FRAME_TAGGED;
	assert_false(eth_parse_tag(&f, &tci));
	assert_false(f.flags & FRAME_TAGGED);
	craft_eth(&c, 1, 2);
	craft_tag(&c, ETH_TYPE_QINQ, 5); // a service tag is not ours
	assert_false(eth_parse_tag(lend(), &tci));
}

static void tags_are_pushed_popped_and_set(void **state)
{
	static uint8_t got[CRAFT_MAX];
	static struct craft want;
	craft_eth(&c, 1, 2);
	craft_type(&c, 0x88b5, NULL, 0);
	craft_payload(&c, 300, 1);
	craft_eth(&want, 1, 2);
	craft_tag(&want, ETH_TYPE_VLAN, 2);
	craft_tag(&want, ETH_TYPE_VLAN, 0x6001);
	craft_type(&want, 0x88b5, NULL, 0);
	craft_payload(&want, 300, 1);
	eth_push_tag(lend(), 1);
	eth_set_tag(&f, 0x6001);
	eth_push_tag(&f, 2);
	assert_int_equal(f.len, want.len);
	frame_copy(&f, 0, got, f.len);
	assert_memory_equal(got, want.b, want.len);
	eth_pop_tag(&f);
	assert_false(f.flags & FRAME_TAGGED);
	uint16_t tci;
	assert_true(eth_parse_tag(&f, &tci));
	assert_int_equal(tci, 0x6001);
	eth_pop_tag(&f);
	assert_int_equal(f.len, c.len);
	frame_copy(&f, 0, got, f.len);
	assert_memory_equal(got, c.b, c.len);
}

static void offsets_of_claims_move_with_tags(void **state)
{
	craft_eth(&c, 1, 2);
	craft_payload(&c, 100, 1);
	lend()->offload = (struct virtio_net_hdr){.csum_start = 34, .hdr_len = 54, .gso_type = 1};
	f.flags = FRAME_OFFLOAD;
	eth_push_tag(&f, 1);
	assert_int_equal(f.offload.csum_start, 38);
	assert_int_equal(f.offload.hdr_len, 58);
	eth_pop_tag(&f);
	assert_int_equal(f.offload.csum_start, 34);
	assert_int_equal(f.offload.hdr_len, 54);
	f.offload.gso_type = 0;
	f.offload.hdr_len = 0;
	eth_push_tag(&f, 1);
	assert_int_equal(f.offload.csum_start, 38);
	assert_int_equal(f.offload.hdr_len, 0);
	lend();
	eth_push_tag(&f, 1);
	assert_int_equal(f.offload.csum_start, 0);
}

static void layers_behind_tags(void **state)
{
	for (unsigned tags = 0; tags <= ETH_TAGS_MAX; tags++) {
		craft_eth(&c, 1, 2);
		for (unsigned i = 0; i < tags; i++)
			craft_tag(&c, i & 1 ? ETH_TYPE_QINQ : ETH_TYPE_VLAN, 7);
		craft_ipv4(&c, 1, 2, 8);
		craft_udp(&c, 1, 2);
		craft_payload(&c, 30, 1);
		assert_int_equal(dissect(lend()), 0);
		assert_int_equal(l.n_tags, tags);
		assert_int_equal(l.type, ETH_TYPE_IPV4);
		assert_int_equal(l.l3, c.l3);
		assert_int_equal(l.l4, c.l4);
		assert_int_equal(l.proto, IPPROTO_UDP);
		assert_false(l.fragment);
		assert_true(f.head_len >= l.l4);
		for (uint32_t len = 14; len < c.l4; len++)
			assert_int_equal(cut(len, dissect), -EBADMSG);
		assert_int_equal(cut(c.l4, dissect), 0);
	}
	craft_eth(&c, 1, 2);
	for (unsigned i = 0; i <= ETH_TAGS_MAX; i++)
		craft_tag(&c, ETH_TYPE_VLAN, 7);
	craft_payload(&c, 100, 1);
	assert_int_equal(dissect(lend()), -EBADMSG);
}

static void ipv4_that_contradicts_itself(void **state)
{
	craft_eth(&c, 1, 2);
	craft_ipv4(&c, 1, 2, 0);
	craft_tcp(&c, 1, 2, 0, 0);
	c.b[14] = 0x65;
	assert_int_equal(dissect(lend()), -EBADMSG);
	c.b[14] = 0x44;
	assert_int_equal(dissect(lend()), -EBADMSG);
	c.b[14] = 0x4f; // options up to the last byte but 20
	assert_int_equal(dissect(lend()), -EBADMSG);
	craft_payload(&c, 20, 1);
	assert_int_equal(dissect(lend()), 0);
	assert_int_equal(l.l4, 74);
}

static void ipv4_fragments(void **state)
{
	static const struct {
		uint16_t field;
		bool fragment;
	} table[] = {{0x4000, 0}, {0x8000, 0}, {0x2000, 1}, {0x0001, 1}, {0x1fff, 1}};
	for (unsigned i = 0; i < 5; i++) {
		craft_eth(&c, 1, 2);
		craft_ipv4(&c, 1, 2, 0);
		craft_tcp(&c, 1, 2, 0, 0);
		eth_put_be16(c.b + 20, table[i].field);
		assert_int_equal(dissect(lend()), 0);
		assert_int_equal(l.fragment, table[i].fragment);
	}
}

static void ipv6_extension_headers(void **state)
{
	craft_eth(&c, 1, 2);
	craft_ipv6(&c, 1, 2);
	craft_ext(&c, IPPROTO_HOPOPTS, 8);
	craft_ext(&c, IPPROTO_DSTOPTS, 16);
	craft_ext(&c, IPPROTO_ROUTING, 8);
	craft_fragment(&c, 0, true);
	craft_ext(&c, IPPROTO_DSTOPTS, 8);
	craft_tcp(&c, 1, 2, 0, 0);
	assert_int_equal(dissect(lend()), 0);
	assert_int_equal(l.l4, c.l4);
	assert_int_equal(l.proto, IPPROTO_TCP);
	assert_true(l.fragment);
	for (uint32_t len = 14; len < c.l4; len++)
		assert_int_equal(cut(len, dissect), -EBADMSG);
	c.b[14] = 0x40;
	assert_int_equal(dissect(lend()), -EBADMSG);
}

static void a_later_fragment_has_no_headers(void **state)
{
	craft_eth(&c, 1, 2);
	craft_ipv6(&c, 1, 2);
	craft_fragment(&c, 1, false);
	craft_ext(&c, IPPROTO_DSTOPTS, 8); // is payload that only looks like it
	craft_tcp(&c, 1, 2, 0, 0);
	assert_int_equal(dissect(lend()), 0);
	assert_int_equal(l.l4, 62);
	assert_int_equal(l.proto, IPPROTO_DSTOPTS);
	assert_true(l.fragment);
}

static void headers_beyond_the_head(void **state)
{
	craft_eth(&c, 1, 2);
	craft_ipv6(&c, 1, 2);
	craft_ext(&c, IPPROTO_HOPOPTS, 136);
	craft_tcp(&c, 1, 2, 0, 0);
	assert_int_equal(dissect(lend()), 0); // l4 is at 190
	craft_eth(&c, 1, 2);
	craft_ipv6(&c, 1, 2);
	craft_ext(&c, IPPROTO_HOPOPTS, 144);
	craft_tcp(&c, 1, 2, 0, 0);
	assert_int_equal(dissect(lend()), -E2BIG);
	c.b[55] = 255; // now it ends beyond the frame
	assert_int_equal(dissect(lend()), -EBADMSG);
}

static void what_is_not_ip_has_no_layer_four(void **state)
{
	craft_eth(&c, 1, 2);
	craft_type(&c, 0x88cc, NULL, 10);
	assert_int_equal(dissect(lend()), 0);
	assert_int_equal(l.type, 0x88cc);
	assert_int_equal(l.l3, 14);
	assert_int_equal(l.l4, 0);
	assert_int_equal(sender(&f), 0);
	assert_int_equal(s.kind, ETH_SENDER_NONE);
}

static void craft_arp(void)
{
	static const uint8_t arp[28] = {0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 9, 10, 0, 0, 9};
	craft_eth(&c, 1, 2);
	craft_tag(&c, ETH_TYPE_VLAN, 3);
	craft_type(&c, ETH_TYPE_ARP, arp, sizeof(arp));
}

static void senders_of_arp(void **state)
{
	craft_arp();
	assert_int_equal(sender(lend()), 0);
	assert_int_equal(s.kind, ETH_SENDER_ARP);
	assert_true(s.has_mac);
	assert_memory_equal(s.mac, "\2\0\0\0\0\x9", 6);
	assert_memory_equal(s.ip, "\n\0\0\x9", 4);
	for (uint32_t len = 18; len < c.len; len++)
		assert_int_equal(cut(len, sender), -EBADMSG);
	c.b[c.l3 + 4] = 8;
	assert_int_equal(sender(lend()), -EBADMSG);
	c.b[c.l3 + 4] = 6;
	c.b[c.l3 + 5] = 16;
	assert_int_equal(sender(lend()), -EBADMSG);
}

static void senders_of_ip(void **state)
{
	craft_eth(&c, 1, 2);
	craft_ipv4(&c, 33, 2, 0);
	assert_int_equal(sender(lend()), 0);
	assert_int_equal(s.kind, ETH_SENDER_IPV4);
	assert_memory_equal(s.ip, "\n\0\0\x21", 4);
	assert_false(s.has_mac);
	craft_eth(&c, 1, 2);
	craft_ipv6(&c, 34, 2);
	craft_udp(&c, 1, 2);
	assert_int_equal(sender(lend()), 0);
	assert_int_equal(s.kind, ETH_SENDER_IPV6);
	assert_int_equal(s.ip[0], 0xfd);
	assert_int_equal(s.ip[15], 34);
	// Other ICMPv6 than neighbour discovery, and one without a type.
	for (unsigned type = 0; type < 256; type += type == 132 || type == 137 ? 6 : 1) {
		craft_eth(&c, 1, 2);
		craft_ipv6(&c, 34, 2);
		craft_icmpv6(&c, (uint8_t)type, NULL, 4);
		if (type < 133 || type > 137) {
			assert_int_equal(sender(lend()), 0);
			assert_int_equal(s.kind, ETH_SENDER_IPV6);
		}
	}
	assert_int_equal(cut(c.l4, sender), -EBADMSG);
	assert_int_equal(cut(c.l4 + 1, sender), 0);
	// Another protocol, whose first byte happens to be a type of neighbour discovery.
	for (unsigned type = 133; type <= 137; type++) {
		craft_eth(&c, 1, 2);
		craft_ipv6(&c, 34, 2);
		craft_udp(&c, (uint16_t)(type << 8), 2);
		assert_int_equal(sender(lend()), 0);
		assert_int_equal(s.kind, ETH_SENDER_IPV6);
	}
}

// A message of neighbour discovery with the given options behind its fixed part.
static void craft_nd(uint8_t type, bool ext, const void *options, uint32_t n)
{
	static const uint8_t len[] = {8, 16, 24, 24, 40};
	uint8_t body[200] = {0};
	memset(body + 4, 0xab, 16);
	if (n)
		memcpy(body + len[type - 133] - 4, options, n);
	craft_eth(&c, 1, 2);
	craft_ipv6(&c, 1, 2);
	if (ext)
		craft_ext(&c, IPPROTO_HOPOPTS, 8);
	craft_icmpv6(&c, type, body, len[type - 133] - 4 + n);
	craft_finish(&c, false);
}

#define SOURCE "\1\1\2\0\0\0\0\x31"
#define TARGET "\2\1\2\0\0\0\0\x32"
#define NONCE  "\16\1abcdef"

static void senders_of_neighbour_discovery(void **state)
{
	for (uint8_t type = 133; type <= 137; type++) {
		for (unsigned ext = 0; ext < 2; ext++) {
			craft_nd(type, ext, NONCE SOURCE TARGET, 24);
			assert_int_equal(sender(lend()), 0);
			assert_int_equal(s.kind, ETH_SENDER_ND);
			assert_int_equal(s.nd_type, type);
			assert_int_equal(s.ip[15], 1);
			assert_int_equal(s.has_mac, type != 137);
			if (s.has_mac)
				assert_int_equal(s.mac[5], type == 136 ? 0x32 : 0x31);
			assert_int_equal(s.has_target, type == 136);
			if (s.has_target)
				assert_int_equal(s.target[15], 0xab);
			for (uint32_t len = c.l4; len < c.len; len++)
				assert_int_equal(cut(len, sender), -EBADMSG);
			// The IPv6 header says less than the fixed part.
			eth_put_be16(c.b + c.l3 + 4, (uint16_t)(c.l4 - c.l3 - 40 + 7));
			assert_int_equal(sender(lend()), -EBADMSG);
		}
	}
	craft_nd(135, false, NULL, 0);
	assert_int_equal(sender(lend()), 0);
	assert_false(s.has_mac);
}

// Bug: what a later fragment of any ICMPv6 message began with was taken for the type of one, and for an
// address. Of a long echo with a usual pattern some MTUs make such a fragment.
static void fragments_and_neighbour_discovery(void **state)
{
	for (uint8_t type = 133; type <= 137; type++)
		for (unsigned first = 0; first < 2; first++) {
			craft_eth(&c, 1, 2);
			craft_ipv6(&c, 1, 2);
			craft_fragment(&c, !first, first);
			craft_icmpv6(&c, type, NULL, 0);
			craft_payload(&c, 60, type);
			craft_finish(&c, false);
			// The message itself none may believe when it is in fragments (RFC 6980).
			assert_int_equal(sender(lend()), first ? -EBADMSG : 0);
			if (!first)
				assert_int_equal(s.kind, ETH_SENDER_IPV6);
		}
	// Other messages may be in fragments.
	craft_eth(&c, 1, 2);
	craft_ipv6(&c, 1, 2);
	craft_fragment(&c, 0, true);
	craft_icmpv6(&c, 128, NULL, 0);
	craft_finish(&c, false);
	assert_int_equal(sender(lend()), 0);
	assert_int_equal(s.kind, ETH_SENDER_IPV6);
}

static void options_that_mislead(void **state)
{
	static const struct {
		const char *options;
		unsigned n;
		int rc;
	} table[] = {
		{SOURCE SOURCE, 16, 0},
		{SOURCE "\1\1\2\0\0\0\0\x33", 16, -EBADMSG}, // another address
		{NONCE NONCE SOURCE, 24, 0},
		{"\16\0abcdef" SOURCE, 16, -EBADMSG},       // of no length
		{"\16\3abcdef" SOURCE, 16, -EBADMSG},       // longer than the message
		{"\1\2\2\0\0\0\0\x31" NONCE, 16, -EBADMSG}, // an address of 14 bytes
		{SOURCE "\1", 9, -EBADMSG},
	};
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		craft_nd(135, false, table[i].options, table[i].n);
		assert_int_equal(sender(lend()), table[i].rc);
	}
	// What lies behind the end of the packet does not count.
	craft_nd(135, false, SOURCE, 8);
	craft_payload(&c, 8, 0);
	assert_int_equal(sender(lend()), 0);
	// Options that would not all fit into the head.
	uint8_t many[120];
	for (unsigned i = 0; i < sizeof(many); i += 8)
		memcpy(many + i, NONCE, 8);
	craft_nd(135, false, many, sizeof(many));
	assert_int_equal(sender(lend()), -E2BIG);
	// A redirect, of which no option is looked at, whose fixed part does not fit behind others.
	for (unsigned ext = 88; ext <= 104; ext += 8) {
		craft_eth(&c, 1, 2);
		craft_ipv6(&c, 1, 2);
		craft_ext(&c, IPPROTO_HOPOPTS, ext);
		craft_icmpv6(&c, 137, many, 36);
		craft_finish(&c, false);
		assert_int_equal(sender(lend()), c.l4 + 40 > FRAME_HEAD_MAX ? -E2BIG : 0);
	}
	assert_true(c.l4 + 40 > FRAME_HEAD_MAX);
}

static uint32_t flow(unsigned tags, bool v6, bool back, bool udp, uint16_t sport, uint16_t dport)
{
	craft_eth(&c, back ? 2 : 1, back ? 1 : 2);
	for (unsigned i = 0; i < tags; i++)
		craft_tag(&c, ETH_TYPE_VLAN, (uint16_t)i);
	if (v6)
		craft_ipv6(&c, back ? 2 : 1, back ? 1 : 2);
	else
		craft_ipv4(&c, back ? 2 : 1, back ? 1 : 2, 0);
	if (udp)
		craft_udp(&c, back ? dport : sport, back ? sport : dport);
	else
		craft_tcp(&c, back ? dport : sport, back ? sport : dport, 0, 0);
	craft_payload(&c, 50, sport + back);
	return eth_flow_hash(lend());
}

static void a_flow_is_the_same_in_both_directions(void **state)
{
	for (unsigned k = 0; k < 4; k++) {
		bool v6 = k & 1, udp = k & 2;
		uint32_t h = flow(0, v6, false, udp, 1000, 80);
		for (unsigned tags = 0; tags <= ETH_TAGS_MAX; tags++) {
			assert_int_equal(h, flow(tags, v6, false, udp, 1000, 80));
			assert_int_equal(h, flow(tags, v6, true, udp, 1000, 80));
			// However much of it was pulled.
			flow(tags, v6, true, udp, 1000, 80);
			frame_pull(&f, 100);
			assert_int_equal(h, eth_flow_hash(&f));
		}
		assert_int_not_equal(h, flow(0, v6, false, udp, 1001, 80));
		assert_int_not_equal(h, flow(0, v6, false, udp, 1000, 81));
		assert_int_not_equal(h, flow(0, v6, false, !udp, 1000, 80));
		assert_int_not_equal(h, flow(0, !v6, false, udp, 1000, 80));
	}
}

// One piece behind the head, as most are, in memory that ends there; and with a tag less or more.
static void a_flow_is_the_same_in_one_piece(void **state)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *mem =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(mem, MAP_FAILED);
	assert_int_equal(mprotect(mem + page, page, PROT_NONE), 0);
	for (unsigned k = 0; k < 4; k++)
		for (unsigned tags = 0; tags <= ETH_TAGS_MAX; tags++) {
			const uint32_t h = flow(tags, k & 1, false, k & 2, 1000, 80);
			const uint32_t ports = c.l4 + 4;
			uint16_t tci;

			for (uint32_t len = ports; len <= c.len; len++) {
				uint8_t *bytes = mem + page - len;
				memcpy(bytes, c.b, len);
				craft_lend(&f, bytes, len, len, segs, NULL);
				assert_int_equal(h, eth_flow_hash(&f));
				if (tags && eth_parse_tag(&f, &tci)) {
					eth_pop_tag(&f);
					assert_int_equal(h, eth_flow_hash(&f));
				} else {
					eth_push_tag(&f, 7);
					assert_int_equal(h, eth_flow_hash(&f));
				}
			}
		}
	munmap(mem, 2 * page);
}

// Of what is in pieces, the first has ports and the others something else in their place.
static uint32_t fragment(unsigned tags, bool v6, bool back, bool first, uint16_t sport)
{
	const uint8_t from = back ? 2 : 1, to = back ? 1 : 2;

	craft_eth(&c, from, to);
	for (unsigned i = 0; i < tags; i++)
		craft_tag(&c, ETH_TYPE_VLAN, (uint16_t)(10 + i));
	if (v6) {
		craft_ipv6(&c, from, to);
		craft_fragment(&c, first ? 0 : 1, first);
	} else {
		craft_ipv4(&c, from, to, 0);
		eth_put_be16(c.b + c.l3 + 6, first ? 0x2000 : 0x0010);
	}
	craft_udp(&c, sport, 6);
	craft_payload(&c, 60, sport);
	return eth_flow_hash(lend());
}

static void fragments_hash_without_ports(void **state)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		uint32_t h = fragment(0, v6, false, true, 5);
		for (unsigned k = 0; k < 8; k++)
			for (unsigned tags = 0; tags <= ETH_TAGS_MAX; tags++)
				assert_int_equal(
					h, fragment(tags, v6, k & 1, k & 2, k & 4 ? 5 : 99));
	}
}

// Ports are behind the options of IPv4. Behind extension headers nobody looks for them, for any
// frame of a flow alike.
static void options_do_not_move_a_flow(void **state)
{
	const uint32_t plain = flow(0, false, false, false, 1000, 80);
	uint32_t h[2];

	for (unsigned len = 4; len <= 40; len += 4)
		for (unsigned back = 0; back < 2; back++) {
			craft_eth(&c, back ? 2 : 1, back ? 1 : 2);
			craft_ipv4(&c, back ? 2 : 1, back ? 1 : 2, len);
			craft_tcp(&c, back ? 80 : 1000, back ? 1000 : 80, 0, 0);
			assert_int_equal(plain, eth_flow_hash(lend()));
		}
	for (unsigned i = 0; i < 2; i++) {
		craft_eth(&c, i ? 2 : 1, i ? 1 : 2);
		craft_ipv6(&c, i ? 2 : 1, i ? 1 : 2);
		craft_ext(&c, IPPROTO_HOPOPTS, 8 + 8 * i);
		craft_tcp(&c, i ? 80 : 1000, i ? 1000 : 80, 0, 0);
		h[i] = eth_flow_hash(lend());
	}
	assert_int_equal(h[0], h[1]);
}

static void other_flows(void **state)
{
	// Not IP: addresses alone, symmetric.
	craft_eth(&c, 1, 2);
	craft_type(&c, 0x88b5, NULL, 20);
	uint32_t h = eth_flow_hash(lend());
	craft_eth(&c, 2, 1);
	craft_type(&c, 0x88b6, "x", 1);
	assert_int_equal(h, eth_flow_hash(lend()));
	craft_eth(&c, 3, 1);
	craft_type(&c, 0x88b6, "x", 1);
	assert_int_not_equal(h, eth_flow_hash(lend()));
	// What it carries does not count, whatever it looks like.
	uint32_t others[2];
	for (unsigned i = 0; i < 2; i++) {
		flow(0, true, false, true, (uint16_t)(1000 + i), 80);
		eth_put_be16(c.b + 12, 0x88b5);
		others[i] = eth_flow_hash(lend());
	}
	assert_int_equal(others[0], others[1]);
	// Behind more tags than are looked at nothing counts.
	for (unsigned i = 0; i < 2; i++)
		others[i] = flow(ETH_TAGS_MAX + 1, true, false, true, (uint16_t)(1000 + i), 80);
	assert_int_equal(others[0], others[1]);
	// Ports that end the frame, in memory of the sender's, count.
	for (unsigned i = 0; i < 2; i++) {
		flow(2, true, false, true, 1000, (uint16_t)(80 + i));
		c.len = c.l4 + 4;
		others[i] = eth_flow_hash(lend());
		assert_true(f.head_len < c.len);
	}
	assert_int_not_equal(others[0], others[1]);
	// Cut anywhere, in memory that ends there.
	flow(2, true, false, false, 1, 2);
	for (uint32_t len = 14; len < c.len; len++) {
		uint8_t *bytes = malloc(len);
		memcpy(bytes, c.b, len);
		craft_lend(&f, bytes, len, 5, segs, NULL);
		eth_flow_hash(&f);
		free(bytes);
	}
}

// Neighbouring flows spread: over 16 queues, no queue has twice or less than half its share, by
// low bits and by high bits.
static void flows_spread(void **state)
{
	for (unsigned k = 0; k < 4; k++) {
		unsigned low[16] = {0}, high[16] = {0};
		for (unsigned i = 0; i < 4096; i++) {
			uint32_t h = k & 1 ? flow(0, k & 2, false, false, (uint16_t)i, 80)
					   : flow(0, k & 2, false, false, 7, (uint16_t)(i * 4));
			low[h & 15]++;
			high[h >> 28]++;
		}
		for (unsigned i = 0; i < 16; i++) {
			assert_in_range(low[i], 128, 512);
			assert_in_range(high[i], 128, 512);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(a_tag_is_parsed_whole_or_not_at_all),
		cmocka_unit_test(tags_are_pushed_popped_and_set),
		cmocka_unit_test(offsets_of_claims_move_with_tags),
		cmocka_unit_test(layers_behind_tags),
		cmocka_unit_test(ipv4_that_contradicts_itself),
		cmocka_unit_test(ipv4_fragments),
		cmocka_unit_test(ipv6_extension_headers),
		cmocka_unit_test(a_later_fragment_has_no_headers),
		cmocka_unit_test(headers_beyond_the_head),
		cmocka_unit_test(what_is_not_ip_has_no_layer_four),
		cmocka_unit_test(senders_of_arp),
		cmocka_unit_test(senders_of_ip),
		cmocka_unit_test(senders_of_neighbour_discovery),
		cmocka_unit_test(fragments_and_neighbour_discovery),
		cmocka_unit_test(options_that_mislead),
		cmocka_unit_test(a_flow_is_the_same_in_both_directions),
		cmocka_unit_test(a_flow_is_the_same_in_one_piece),
		cmocka_unit_test(fragments_hash_without_ports),
		cmocka_unit_test(options_do_not_move_a_flow),
		cmocka_unit_test(other_flows),
		cmocka_unit_test(flows_spread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
