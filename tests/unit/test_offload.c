// SPDX-License-Identifier: BSD-2-Clause
// What a sender may claim, what is left of it, and segments in batches, pieces and odd places.
// That the bytes are right is test_offload_linux' concern.
#include "dataplane/frame/offload.h"
#include "dataplane/frame/eth.h"
#include "tests/lib/craft.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define TCPV4 VIRTIO_NET_HDR_GSO_TCPV4
#define TCPV6 VIRTIO_NET_HDR_GSO_TCPV6
#define UFO   VIRTIO_NET_HDR_GSO_UDP
#define USO   VIRTIO_NET_HDR_GSO_UDP_L4
#define ECN   VIRTIO_NET_HDR_GSO_ECN
#define NEEDS VIRTIO_NET_HDR_F_NEEDS_CSUM
#define VALID VIRTIO_NET_HDR_F_DATA_VALID

static struct craft c;
static struct frame f;
static struct frame_seg segs[CRAFT_SEGS], views[CRAFT_SEGS];

static void craft(bool v6, bool udp, uint32_t payload)
{
	craft_eth(&c, 1, 2);
	if (v6)
		craft_ipv6(&c, 1, 2);
	else
		craft_ipv4(&c, 1, 2, 0);
	if (udp)
		craft_udp(&c, 1, 2);
	else
		craft_tcp(&c, 1, 2, 0x10, 0);
	craft_payload(&c, payload, 1);
	craft_finish(&c, true);
}

static int check(struct virtio_net_hdr claim)
{
	craft_lend(&f, c.b, c.len, 500, segs, &claim);
	int rc = offload_check(&f);
	if (rc != 0) {
		assert_false(f.flags & FRAME_OFFLOAD);
		assert_memory_equal(&f.offload, &claim, sizeof(claim));
	}
	return rc;
}

static void no_claim_is_no_work(void **state)
{
	craft(false, false, 100);
	struct virtio_net_hdr claim = {
		.flags = VALID | 4 | 0x80, .hdr_len = 9, .gso_size = 9, .csum_start = 9};
	craft_lend(&f, c.b, c.len, 500, segs, &claim);
	f.flags = FRAME_OFFLOAD | FRAME_TAGGED;
	assert_int_equal(offload_check(&f), 0);
	assert_int_equal(f.flags, FRAME_TAGGED | FRAME_VALID);
	const struct virtio_net_hdr valid = {.flags = VALID}, none = {0};
	for (unsigned i = 0; i < 2; i++) {
		struct virtio_net_hdr got = offload_header(&f, OFFLOAD_CSUM | OFFLOAD_TSO4);
		assert_memory_equal(&got, &valid, sizeof(valid));
		got = offload_header(&f, 0);
		assert_memory_equal(&got, &none, sizeof(none));
		assert_false(offload_is_segment(&f));
		assert_int_equal(offload_needs(&f), 0);
		assert_int_equal(offload_parts(&f), 1);
		assert_int_equal(offload_wire_len(&f), c.len);
		offload_complete_csum(&f);
	}
	// What the sender has not checked is not said to be.
	claim.flags = 0;
	craft_lend(&f, c.b, c.len, 500, segs, &claim);
	f.flags = FRAME_VALID;
	assert_int_equal(offload_check(&f), 0);
	assert_int_equal(f.flags, 0);
	const struct virtio_net_hdr got = offload_header(&f, OFFLOAD_CSUM);
	assert_memory_equal(&got, &none, sizeof(none));
}

static void a_checksum_is_normalised(void **state)
{
	craft(false, true, 100);
	struct virtio_net_hdr claim = craft_claim(&c, 0, 0), want = claim;
	claim.flags |= VALID | 4 | 0x40;
	want.flags |= VALID;
	claim.hdr_len = 3;
	claim.gso_size = 77;
	assert_int_equal(check(claim), 0);
	assert_memory_equal(&f.offload, &want, sizeof(want));
	assert_int_equal(f.flags, FRAME_OFFLOAD);
	assert_int_equal(offload_needs(&f), OFFLOAD_CSUM);
	offload_complete_csum(&f);
	assert_int_equal(f.flags, 0);
	want = (struct virtio_net_hdr){0};
	const struct virtio_net_hdr got = offload_header(&f, OFFLOAD_CSUM);
	assert_memory_equal(&got, &want, sizeof(want));
	assert_int_equal(offload_needs(&f), 0);
}

static void a_segment_is_normalised(void **state)
{
	static const struct {
		bool v6, udp;
		uint8_t type;
		uint32_t needs;
	} table[] = {
		{0, 0, TCPV4, OFFLOAD_CSUM | OFFLOAD_TSO4},
		{0, 0, TCPV4 | ECN, OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_ECN},
		{1, 0, TCPV6, OFFLOAD_CSUM | OFFLOAD_TSO6},
		{1, 0, TCPV6 | ECN, OFFLOAD_CSUM | OFFLOAD_TSO6 | OFFLOAD_ECN},
		{0, 1, USO, OFFLOAD_CSUM | OFFLOAD_USO4},
		{1, 1, USO, OFFLOAD_CSUM | OFFLOAD_USO6},
	};
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		craft(table[i].v6, table[i].udp, 3000);
		struct virtio_net_hdr claim = craft_claim(&c, table[i].type, 1000), want = claim;
		claim.hdr_len = i & 1 ? 0xffff : 0; // never believed
		assert_int_equal(check(claim), 0);
		assert_memory_equal(&f.offload, &want, sizeof(want));
		assert_true(offload_is_segment(&f));
		assert_int_equal(offload_needs(&f), table[i].needs);
		assert_int_equal(offload_wire_len(&f), c.hdr_len + 1000);
		eth_push_tag(&f, 5);
		assert_int_equal(offload_needs(&f), table[i].needs);
		assert_int_equal(offload_wire_len(&f), c.hdr_len + 1004);
	}
}

static void a_segment_that_fits_is_none(void **state)
{
	craft(false, false, 1000);
	assert_int_equal(check(craft_claim(&c, TCPV4 | ECN, 1000)), 0);
	struct virtio_net_hdr want = craft_claim(&c, 0, 0);
	assert_memory_equal(&f.offload, &want, sizeof(want));
	assert_int_equal(check(craft_claim(&c, TCPV4, 999)), 0);
	assert_true(offload_is_segment(&f));
	craft(false, true, 0);
	assert_int_equal(check(craft_claim(&c, USO, 1)), 0);
	assert_false(offload_is_segment(&f));
}

static void segments_that_contradict_the_frame(void **state)
{
	static const struct {
		const char *why;
		bool v6, udp;
		uint8_t type;
		int rc;
	} table[] = {
		{"TCP over IPv4", 0, 0, TCPV4, 0},
		{"TCP over IPv6", 1, 0, TCPV6, 0},
		{"the other IP", 0, 0, TCPV6, -EBADMSG},
		{"the other IP", 1, 0, TCPV4, -EBADMSG},
		{"UDP is not TCP", 0, 1, TCPV4, -EBADMSG},
		{"UDP is not TCP", 1, 1, TCPV6, -EBADMSG},
		{"TCP is not UDP", 0, 0, USO, -EBADMSG},
		{"UFO", 0, 1, UFO, -EBADMSG},
		{"unknown", 0, 0, 2, -EBADMSG},
		{"unknown", 0, 0, 0x41, -EBADMSG},
		{"ECN alone", 0, 0, ECN, -EBADMSG},
		{"ECN with UDP", 0, 1, USO | ECN, -EBADMSG},
	};
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		craft(table[i].v6, table[i].udp, 3000);
		c.b[c.l4 + 12] = 0x50; // could be a TCP header if it is not
		if (check(craft_claim(&c, table[i].type, 1000)) != table[i].rc)
			fail_msg("%s, %x", table[i].why, table[i].type);
	}
	// However much of the frame is in the head.
	craft(true, true, 3000);
	c.b[c.l4 + 12] = 0x50;
	struct virtio_net_hdr claim = craft_claim(&c, TCPV6, 1000);
	craft_lend(&f, c.b, c.len, 500, segs, &claim);
	assert_true(frame_pull(&f, 100));
	assert_int_equal(offload_check(&f), -EBADMSG);
	craft(false, false, 3000);
	claim = craft_claim(&c, TCPV4, 0);
	assert_int_equal(check(claim), -EBADMSG);
	claim = craft_claim(&c, TCPV4, 1000);
	claim.flags = 0;
	assert_int_equal(check(claim), -EBADMSG);
	// Not IP at all, though all offsets would do.
	c.b[12] = 0x88;
	assert_int_equal(check(craft_claim(&c, TCPV4, 1000)), -EBADMSG);
	assert_int_equal(check(craft_claim(&c, USO, 1000)), -EBADMSG);
}

static void transport_headers_are_in_the_frame(void **state)
{
	craft(false, false, 0);
	// A tunnel's UDP header cannot be taken for the segment's: a deeper checksum.
	craft(false, true, 3000);
	struct virtio_net_hdr claim = craft_claim(&c, USO, 1000);
	claim.csum_start += 8;
	assert_int_equal(check(claim), -EBADMSG);
	craft(false, false, 3000);
	claim = craft_claim(&c, TCPV4, 10);
	c.b[c.l4 + 12] = 0x40;
	assert_int_equal(check(claim), -EBADMSG);
	c.b[c.l4 + 12] = 0xf0;
	c.len = c.l4 + 59;
	assert_int_equal(check(claim), -EBADMSG);
	c.len = c.l4 + 60;
	assert_int_equal(check(claim), 0);
	c.len = c.l4 + 19; // checksum field inside, header not
	assert_int_equal(check(claim), -EBADMSG);
}

static void parts_are_bounded(void **state)
{
	craft(false, false, OFFLOAD_PARTS_MAX);
	assert_int_equal(check(craft_claim(&c, TCPV4, 1)), 0);
	craft(false, false, OFFLOAD_PARTS_MAX + 1);
	assert_int_equal(check(craft_claim(&c, TCPV4, 1)), -EBADMSG);
	craft(true, true, OFFLOAD_UDP_PARTS_MAX * 3);
	assert_int_equal(check(craft_claim(&c, USO, 3)), 0);
	craft(true, true, OFFLOAD_UDP_PARTS_MAX * 3 + 1);
	assert_int_equal(check(craft_claim(&c, USO, 3)), -EBADMSG);
	craft(false, false, 65400); // what the smallest MSS of an honest stack makes
	assert_int_equal(check(craft_claim(&c, TCPV4, 48)), 0);
}

static int check_at(unsigned start, unsigned offset)
{
	return check((struct virtio_net_hdr){
		.flags = NEEDS, .csum_start = (uint16_t)start, .csum_offset = (uint16_t)offset});
}

static void checksum_fields_end_in_the_frame(void **state)
{
	craft_eth(&c, 1, 2);
	craft_type(&c, 0x88b5, NULL, 50);
	assert_int_equal(check_at(14, 0), 0);
	assert_int_equal(check_at(14, 48), 0);
	assert_int_equal(check_at(14, 49), -EBADMSG);
	assert_int_equal(check_at(62, 0), 0);
	assert_int_equal(check_at(63, 0), -EBADMSG);
	assert_int_equal(check_at(65535, 65535), -EBADMSG);
	assert_int_equal(check_at(14, 65535), -EBADMSG);
	assert_int_equal(check_at(13, 1), -EBADMSG); // over the Ethernet header
	craft_payload(&c, 300, 1);
	assert_int_equal(check_at(14, 192 - 16), 0);
	assert_int_equal(f.head_len, 192);
	assert_int_equal(check_at(14, 192 - 15), -E2BIG);
}

// Completing a checksum writes into headers that were checked before: it must not be possible to
// have an address written.
static void checksums_cannot_forge_addresses(void **state)
{
	craft(false, false, 100);
	assert_int_equal(check_at(14, 12), -EBADMSG); // source of IPv4
	assert_int_equal(check_at(33, 17), -EBADMSG);
	assert_int_equal(check_at(34, 0), -EBADMSG); // source port
	assert_int_equal(check_at(34, 16), 0);
	assert_int_equal(check_at(35, 15), -EBADMSG); // right field, wrong start
	assert_int_equal(check_at(35, 16), -EBADMSG); // the urgent pointer
	craft(true, true, 100);
	assert_int_equal(check_at(14, 8), -EBADMSG); // source of IPv6
	assert_int_equal(check_at(54, 0), -EBADMSG);
	assert_int_equal(check_at(54, 6), 0);
	assert_int_equal(check_at(58, 2), -EBADMSG); // in the UDP header, from its middle
	assert_int_equal(check_at(62, 0), 0);        // in a tunnel

	craft_eth(&c, 1, 2);
	craft_type(&c, ETH_TYPE_ARP, NULL, 46);
	assert_int_equal(check_at(14, 14), -EBADMSG);
	assert_int_equal(check_at(50, 2), -EBADMSG);
	craft_eth(&c, 1, 2);
	craft_type(&c, ETH_TYPE_RARP, NULL, 46);
	assert_int_equal(check_at(14, 14), -EBADMSG);

	craft_eth(&c, 1, 2);
	craft_ipv6(&c, 1, 2);
	craft_icmpv6(&c, 136, NULL, 28);
	assert_int_equal(check_at(54, 2), 0);
	assert_int_equal(check_at(54, 8), -EBADMSG); // the target
	assert_int_equal(check_at(62, 0), -EBADMSG);
	assert_int_equal(check_at(60, 2), -EBADMSG);
	craft_eth(&c, 1, 2);
	craft_ipv4(&c, 1, 2, 0);
	craft_payload(&c, 50, 1);
	c.b[c.next] = IPPROTO_ICMP;
	assert_int_equal(check_at(34, 2), 0);
	assert_int_equal(check_at(34, 4), -EBADMSG);
	c.b[c.next] = IPPROTO_GRE;
	assert_int_equal(check_at(40, 9), 0);
	assert_int_equal(check_at(30, 9), -EBADMSG);
}

static void fragments_have_no_partial_checksum(void **state)
{
	craft(false, true, 100);
	eth_put_be16(c.b + 20, 0x2000);
	assert_int_equal(check(craft_claim(&c, 0, 0)), -EBADMSG);
	craft_eth(&c, 1, 2);
	craft_ipv6(&c, 1, 2);
	craft_fragment(&c, 0, true);
	craft_tcp(&c, 1, 2, 0, 0);
	craft_payload(&c, 3000, 1);
	assert_int_equal(check(craft_claim(&c, TCPV6, 1000)), -EBADMSG);
}

static void headers_beyond_the_head(void **state)
{
	for (unsigned ext = 96; ext <= 144; ext += 8) {
		craft_eth(&c, 1, 2);
		craft_ipv6(&c, 1, 2);
		craft_ext(&c, IPPROTO_HOPOPTS, ext);
		craft_tcp(&c, 1, 2, 0x10, 20);
		craft_payload(&c, 3000, 1);
		craft_finish(&c, true);
		bool fits = c.hdr_len <= FRAME_HEAD_MAX;
		assert_int_equal(check(craft_claim(&c, TCPV6, 1000)), fits ? 0 : -E2BIG);
	}
}

// Cuts the frame at hand in batches; the payloads together must be the frame's. Returns how many.
static unsigned cut(uint32_t max_frames, uint32_t max_segs, uint32_t offloads)
{
	static struct frame part[64];
	static uint8_t got[CRAFT_MAX];
	struct offload_segmenter s;
	uint32_t at = f.offload.hdr_len, extra = f.len - c.len;
	unsigned n = 0;
	int rc;
	offload_segmenter_init(&s, &f, offloads);
	while ((rc = offload_segment_next(&s, part, max_frames, views, max_segs)) > 0) {
		assert_true((uint32_t)rc <= max_frames);
		for (int i = 0; i < rc; i++, n++) {
			uint32_t sum = part[i].head_len;
			for (unsigned k = 0; k < part[i].n_segs; k++)
				sum += frame_segs(&part[i])[k].len;
			assert_int_equal(part[i].len, sum);
			assert_int_equal(part[i].head_off, f.head_off);
			assert_int_equal(part[i].tci, f.tci);
			assert_int_equal(part[i].flags & ~FRAME_OFFLOAD, f.flags & ~FRAME_OFFLOAD);
			frame_copy(&part[i], 0, got, part[i].len);
			assert_memory_equal(got + f.offload.hdr_len, c.b + at - extra,
				part[i].len - f.offload.hdr_len);
			at += part[i].len - f.offload.hdr_len;
		}
	}
	assert_int_equal(rc, 0);
	assert_int_equal(at, f.len);
	assert_int_equal(offload_segment_next(&s, part, max_frames, views, max_segs), 0);
	return n;
}

static void batches_and_pieces_of_every_size(void **state)
{
	craft(false, false, 5003);
	struct virtio_net_hdr claim = craft_claim(&c, TCPV4, 700);
	for (uint32_t seg_len = 1; seg_len < 6000; seg_len += seg_len < 100 ? 1 : 501) {
		for (uint32_t batch = 1; batch < 10; batch++) {
			craft_lend(&f, c.b, c.len, seg_len, segs, &claim);
			assert_int_equal(offload_check(&f), 0);
			f.tci = 77;
			f.flags |= FRAME_FLOOD;
			assert_int_equal(cut(batch, f.n_segs, 0), 8);
			assert_int_equal(cut(batch, f.n_segs, OFFLOAD_CSUM), 8);
			eth_push_tag(&f, 6);
			assert_int_equal(cut(batch, CRAFT_SEGS, 0), 8);
		}
	}
}

static void payload_in_the_head_comes_first(void **state)
{
	craft(false, false, 130);
	struct virtio_net_hdr claim = craft_claim(&c, TCPV4, 3);
	craft_lend(&f, c.b, c.len, 100, segs, &claim);
	assert_true(frame_pull(&f, 180)); // several frames' worth and all but 4 bytes
	assert_int_equal(offload_check(&f), 0);
	assert_int_equal(cut(5, 1, 0), 44);
	craft_lend(&f, c.b, c.len, 100, segs, &claim);
	assert_true(frame_pull(&f, 184));
	assert_int_equal(offload_check(&f), 0);
	assert_int_equal(f.n_segs, 0);
	assert_int_equal(cut(5, 0, 0), 44);
}

static void too_few_views_are_told(void **state)
{
	static struct frame part[4];
	struct offload_segmenter s;
	craft(false, false, 3000);
	struct virtio_net_hdr claim = craft_claim(&c, TCPV4, 1000);
	craft_lend(&f, c.b, c.len, 100, segs, &claim);
	assert_int_equal(offload_check(&f), 0);
	offload_segmenter_init(&s, &f, 0);
	for (uint32_t few = 0; few < 10; few++)
		assert_int_equal(offload_segment_next(&s, part, 4, views, few), -ENOBUFS);
	// Enough for one, then for the other two: nothing was lost on the way.
	assert_int_equal(offload_segment_next(&s, part, 4, views, 15), 1);
	assert_int_equal(offload_segment_next(&s, part, 4, views, 30), 2);
	assert_int_equal(offload_segment_next(&s, part, 4, views, 30), 0);
}

static void empty_pieces_are_passed_over(void **state)
{
	craft(false, false, 300);
	struct virtio_net_hdr claim = craft_claim(&c, TCPV4, 100);
	const uint8_t *rest = c.b + FRAME_HEAD;
	struct frame_seg some[] = {{0, rest}, {122, rest}, {0, rest + 122}, {0, rest + 122},
		{200, rest + 122}, {0, rest + 322}};
	craft_lend(&f, c.b, c.len, 100, segs, &claim);
	frame_set_segs(&f, some, 6);
	assert_int_equal(offload_check(&f), 0);
	assert_int_equal(cut(2, 2, 0), 3);
}

// With a receiver that takes partial checksums, completing them gives what cutting without does.
static void partial_parts_complete_to_the_same(void **state)
{
	static struct frame whole[8], part[8];
	static struct frame_seg views2[64];
	static uint8_t a[CRAFT_MAX], b[CRAFT_MAX];
	struct offload_segmenter s;
	for (unsigned k = 0; k < 4; k++) {
		craft(k & 1, k & 2, 4001);
		uint8_t type = k & 2 ? USO : k & 1 ? TCPV6 : TCPV4;
		assert_int_equal(check(craft_claim(&c, type, 1000)), 0);
		offload_segmenter_init(&s, &f, 0);
		assert_int_equal(offload_segment_next(&s, whole, 8, views, 64), 5);
		offload_segmenter_init(&s, &f, OFFLOAD_CSUM);
		assert_int_equal(offload_segment_next(&s, part, 8, views2, 64), 5);
		for (unsigned i = 0; i < 5; i++) {
			assert_false(whole[i].flags & FRAME_OFFLOAD);
			assert_int_equal(offload_needs(&whole[i]), 0);
			assert_int_equal(whole[i].offload.flags, 0);
			assert_true(part[i].flags & FRAME_OFFLOAD);
			assert_int_equal(offload_needs(&part[i]), OFFLOAD_CSUM);
			assert_int_equal(offload_check(&part[i]), 0);
			offload_complete_csum(&part[i]);
			assert_int_equal(part[i].len, whole[i].len);
			frame_copy(&part[i], 0, a, part[i].len);
			frame_copy(&whole[i], 0, b, whole[i].len);
			assert_memory_equal(a, b, part[i].len);
		}
	}
}

static void the_header_a_receiver_gets(void **state)
{
	craft(false, false, 100);
	struct virtio_net_hdr claim = craft_claim(&c, 0, 0), none = {0};
	assert_int_equal(check(claim), 0);
	struct virtio_net_hdr got = offload_header(&f, OFFLOAD_CSUM);
	assert_memory_equal(&got, &claim, sizeof(got));
	// Without the feature not even "valid" may be said.
	claim = (struct virtio_net_hdr){.flags = VALID};
	assert_int_equal(check(claim), 0);
	got = offload_header(&f, 0);
	assert_memory_equal(&got, &none, sizeof(got));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_claim_is_no_work),
		cmocka_unit_test(a_checksum_is_normalised),
		cmocka_unit_test(a_segment_is_normalised),
		cmocka_unit_test(a_segment_that_fits_is_none),
		cmocka_unit_test(segments_that_contradict_the_frame),
		cmocka_unit_test(transport_headers_are_in_the_frame),
		cmocka_unit_test(parts_are_bounded),
		cmocka_unit_test(checksum_fields_end_in_the_frame),
		cmocka_unit_test(checksums_cannot_forge_addresses),
		cmocka_unit_test(fragments_have_no_partial_checksum),
		cmocka_unit_test(headers_beyond_the_head),
		cmocka_unit_test(batches_and_pieces_of_every_size),
		cmocka_unit_test(payload_in_the_head_comes_first),
		cmocka_unit_test(too_few_views_are_told),
		cmocka_unit_test(empty_pieces_are_passed_over),
		cmocka_unit_test(partial_parts_complete_to_the_same),
		cmocka_unit_test(the_header_a_receiver_gets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
