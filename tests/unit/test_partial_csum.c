// SPDX-License-Identifier: BSD-2-Clause
// Checksums that a sender only began are found, and nothing else is taken for one.
#include "dataplane/port/partial_csum.h"
#include "dataplane/frame/eth.h"
#include "dataplane/frame/offload.h"
#include "tests/lib/craft.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct craft c;
static struct frame_seg segs[CRAFT_SEGS];
static struct frame f;

static void make(bool v6, bool tcp, unsigned tags, uint32_t payload, bool partial)
{
	memset(&c, 0, sizeof(c));
	craft_eth(&c, 1, 2);
	for (unsigned i = 0; i < tags; i++)
		craft_tag(&c, i + 1 < tags ? ETH_TYPE_QINQ : ETH_TYPE_VLAN, (uint16_t)(10 + i));
	if (v6)
		craft_ipv6(&c, 1, 2);
	else
		craft_ipv4(&c, 1, 2, 0);
	if (tcp)
		craft_tcp(&c, 80, 5000, 0x10, 12);
	else
		craft_udp(&c, 53, 5000);
	craft_payload(&c, payload, 7);
	craft_finish(&c, partial);
}

static void claim(void)
{
	craft_lend(&f, c.b, c.len, 400, segs, NULL);
	partial_csum_claim(&f, 1500);
}

static void test_begun_checksums_are_claimed_and_can_be_completed(void **state)
{
	static const uint32_t payloads[] = {0, 1, 2, 100, 1399, 1400};
	for (unsigned i = 0; i < 2 * 2 * 3 * 6; i++) {
		bool v6 = i & 1, tcp = i & 2;
		unsigned tags = (i / 4) % 3;
		static struct craft whole;
		static uint8_t got[2048];
		make(v6, tcp, tags, payloads[i / 12], false);
		whole = c;
		make(v6, tcp, tags, payloads[i / 12], true);
		claim();
		assert_true(f.flags & FRAME_OFFLOAD);
		assert_int_equal(f.offload.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(f.offload.csum_start, c.l4);
		assert_int_equal(f.offload.csum_offset, tcp ? 16 : 6);
		assert_int_equal(offload_check(&f), 0);
		offload_complete_csum(&f);
		frame_copy(&f, 0, got, f.len);
		assert_memory_equal(got, whole.b, whole.len);
	}
}

static void test_complete_checksums_are_left_alone(void **state)
{
	for (unsigned i = 0; i < 2 * 2 * 3; i++) {
		make(i & 1, i & 2, i / 4, 100 + i, false);
		claim();
		assert_int_equal(f.flags & FRAME_OFFLOAD, 0);
		assert_int_equal(f.offload.flags, 0);
	}
}

static void expect_none(void)
{
	claim();
	assert_int_equal(f.flags & FRAME_OFFLOAD, 0);
}

// What GRO or a local peer made too long for any wire.
static void test_tcp_beyond_the_mtu_is_claimed_as_a_segment(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		bool v6 = i & 1;
		unsigned tags = i / 2;
		uint32_t headers = (v6 ? 40 : 20) + 32;
		make(v6, true, tags, 1500 - headers, true); // just fits
		claim();
		assert_true(f.flags & FRAME_OFFLOAD);
		assert_int_equal(f.offload.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		make(v6, true, tags, 1501 - headers, true);
		claim();
		assert_int_equal(f.offload.gso_type,
			v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4);
		make(v6, true, tags, 60000, true);
		claim();
		assert_int_equal(f.offload.gso_size, 1500 - headers);
		assert_int_equal(f.offload.hdr_len, 14 + 4 * tags + headers);
		assert_int_equal(offload_wire_len(&f), 14 + 4 * tags + 1500);
		assert_true(f.head_len >= f.offload.hdr_len);
		assert_int_equal(offload_check(&f), 0); // as it was already left
	}
	make(false, true, 0, 3000, false); // complete: not ours to guess at
	claim();
	assert_int_equal(f.offload.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	make(false, false, 0, 3000, true); // UDP: who knows how long its datagrams were
	claim();
	assert_true(f.flags & FRAME_OFFLOAD);
	assert_int_equal(f.offload.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	make(false, true, 0, 3000, true);
	c.b[c.l4 + 12] = 0x10; // a header shorter than TCP's
	claim();
	assert_int_equal(f.flags & FRAME_OFFLOAD, 0);
	assert_false(offload_is_segment(&f));
}

// Headers that leave no room in the MTU, and those of a frame that fits, are not looked into.
static void test_what_cannot_be_a_segment_is_a_checksum(void **state)
{
	for (uint32_t mtu = 51; mtu <= 53; mtu++) { // IPv4 and TCP take 52
		make(false, true, 0, 100, true);
		craft_lend(&f, c.b, c.len, 400, segs, NULL);
		partial_csum_claim(&f, mtu);
		assert_true(f.flags & FRAME_OFFLOAD);
		assert_int_equal(f.offload.gso_type,
			mtu > 52 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_NONE);
		assert_int_equal(f.offload.gso_size, mtu > 52 ? 1 : 0);
	}
	make(false, true, 0, 1448, true);
	c.b[c.l4 + 12] = 0x10; // a header shorter than TCP's
	claim();
	assert_true(f.flags & FRAME_OFFLOAD);
	assert_int_equal(f.offload.gso_type, VIRTIO_NET_HDR_GSO_NONE);
}

// Each would be claimed but for the one thing that is different.
static void test_what_only_looks_like_it_is_not_claimed(void **state)
{
	make(false, true, 0, 100, true);
	c.b[c.len++] = 0; // padding
	expect_none();
	make(false, true, 0, 100, true);
	c.len -= 1; // cut
	expect_none();
	make(false, true, 0, 100, true);
	c.b[c.l3 + 6] = 0x20; // first fragment
	expect_none();
	make(false, false, 0, 100, true);
	c.b[c.l3 + 9] = IPPROTO_SCTP;
	expect_none();
	make(false, true, 0, 100, true);
	c.b[13] = 0x06; // ARP
	expect_none();
	make(true, true, 0, 100, true);
	c.b[c.l3 + 4] = 0xff; // says that it is longer than it is
	expect_none();
	make(false, true, 0, 100, true);
	c.len = c.l4 + 10; // ends in its TCP header
	expect_none();
}

// One complete checksum in 65,536 equals the sum of its pseudo header: completing does no harm.
static void test_a_complete_checksum_that_looks_begun_stays_right(void **state)
{
	unsigned found = 0;
	static uint8_t got[2048];
	for (unsigned n = 0; n < 0x20000 && !found; n++) {
		make(false, false, 0, 2, false);
		// Two bytes of payload sweep the checksum over all values.
		c.b[c.l4 + 8] = (uint8_t)(n >> 8);
		c.b[c.l4 + 9] = (uint8_t)n;
		memset(c.b + c.l4 + 6, 0, 2);
		uint16_t sum = craft_checksum(c.b + c.l4, c.len - c.l4, craft_pseudo(&c));
		c.b[c.l4 + 6] = (uint8_t)(sum >> 8);
		c.b[c.l4 + 7] = (uint8_t)sum;
		claim();
		if (!(f.flags & FRAME_OFFLOAD))
			continue;
		found++;
		assert_int_equal(offload_check(&f), 0);
		offload_complete_csum(&f);
		frame_copy(&f, 0, got, f.len);
		assert_memory_equal(got, c.b, c.len);
	}
	assert_int_equal(found, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_begun_checksums_are_claimed_and_can_be_completed),
		cmocka_unit_test(test_complete_checksums_are_left_alone),
		cmocka_unit_test(test_tcp_beyond_the_mtu_is_claimed_as_a_segment),
		cmocka_unit_test(test_what_cannot_be_a_segment_is_a_checksum),
		cmocka_unit_test(test_what_only_looks_like_it_is_not_claimed),
		cmocka_unit_test(test_a_complete_checksum_that_looks_begun_stays_right),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
