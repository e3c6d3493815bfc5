// SPDX-License-Identifier: BSD-2-Clause
// UDP segments (USO) between guests, over real rings and a running switch: whole to a guest that takes
// them, cut for one that takes them of the other IP version alone, or no work at all. No VMM of today's distributions offers USO, so that no test with
// real guests does this.
#include "dataplane/port/vhost_features.h"

#include "tests/lib/craft.h"
#include "tests/unit/guest_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define GSO_SIZE 1000
#define PAYLOAD  20500 // 20 parts and a half

static const uint64_t BASE = FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_NET_F_MRG_RXBUF);
static const uint64_t USO = FEATURE(VIRTIO_NET_F_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_CSUM) |
			    FEATURE(VIRTIO_NET_F_HOST_USO) | FEATURE(VIRTIO_NET_F_GUEST_USO4) |
			    FEATURE(VIRTIO_NET_F_GUEST_USO6);

static struct guest_bed bed;
#define N_GUESTS 5
static struct front_guest guests[N_GUESTS]; // station i + 1
static const uint64_t features[N_GUESTS] = {
	BASE | USO,
	BASE | USO,
	BASE,
	BASE | (USO & ~FEATURE(VIRTIO_NET_F_GUEST_USO6)),
	BASE | (USO & ~FEATURE(VIRTIO_NET_F_GUEST_USO4)),
};

static int open_all(void **state)
{
	guest_bed_open(&bed);
	for (unsigned i = 0; i < N_GUESTS; i++)
		guest_bed_add(&bed, i, &guests[i],
			(struct front_guest_config){
				.features = features[i], .ring_size = 256, .tx_buf = 32768});
	return 0;
}

static int close_all(void **state)
{
	for (unsigned i = 0; i < N_GUESTS; i++)
		front_guest_fini(&guests[i]);
	return guest_bed_close(&bed);
}

static void make_segment(struct craft *c, uint8_t to, bool ipv6)
{
	craft_eth(c, 1, to);
	if (ipv6)
		craft_ipv6(c, 1, to);
	else
		craft_ipv4(c, 1, to, 0);
	craft_udp(c, 1000, 2000);
	craft_payload(c, PAYLOAD, to);
	craft_finish(c, true);
}

// The next frame for that station. (Those for others come too: nobody has sent, so nobody is known.)
static int64_t receive(uint8_t station, struct virtio_net_hdr_mrg_rxbuf *hdr, uint8_t *frame)
{
	int64_t len;

	do
		len = front_guest_recv(
			&guests[station - 1], 0, hdr, frame, CRAFT_MAX, ECHO_WAIT_MS);
	while (len > 0 && frame[5] != station);
	return len;
}

static void bits_reach_the_port(void **state)
{
	for (unsigned i = 0; i < N_GUESTS; i++)
		assert_int_equal(guests[i].features & USO, features[i] & USO);
}

// Receivers, and whether each takes the segments of that IP version.
static const struct {
	uint8_t station;
	bool ipv6, whole;
} receivers[] = {{2, false, true}, {2, true, true}, {3, false, false}, {3, true, false},
	{4, false, true}, {4, true, false}, {5, false, false}, {5, true, true}};
#define N_RECEIVERS (sizeof(receivers) / sizeof(receivers[0]))

static void segments_pass_whole_to_who_takes_them(void **state)
{
	static struct craft c;
	static uint8_t frame[CRAFT_MAX];

	for (unsigned k = 0; k < N_RECEIVERS; k++) {
		struct virtio_net_hdr_mrg_rxbuf got;
		if (!receivers[k].whole)
			continue;
		make_segment(&c, receivers[k].station, receivers[k].ipv6);
		const struct virtio_net_hdr claim =
			craft_claim(&c, VIRTIO_NET_HDR_GSO_UDP_L4, GSO_SIZE);

		assert_int_equal(
			front_guest_send(&guests[0], 0, &claim, c.b, c.len, ECHO_WAIT_MS), 0);
		assert_int_equal(receive(receivers[k].station, &got, frame), c.len);
		assert_memory_equal(frame, c.b, c.len);
		assert_memory_equal(&got.hdr, &claim, sizeof(claim));
	}
}

// The same parts as the segmenter's, which test_offload_linux holds against a kernel's: complete, or each
// with a checksum that is begun for who takes such.
static void segments_are_cut_for_who_does_not(void **state)
{
	static struct craft c;
	static uint8_t frame[CRAFT_MAX], want[CRAFT_MAX];
	static struct frame whole, parts[FRAME_BURST];
	static struct frame_seg segs[CRAFT_SEGS], views[CRAFT_SEGS];

	for (unsigned k = 0; k < N_RECEIVERS; k++) {
		const uint8_t to = receivers[k].station;
		const uint32_t offloads = vhost_features_offloads(features[to - 1]);
		struct offload_segmenter s;

		if (receivers[k].whole)
			continue;
		make_segment(&c, to, receivers[k].ipv6);
		const struct virtio_net_hdr claim =
			craft_claim(&c, VIRTIO_NET_HDR_GSO_UDP_L4, GSO_SIZE);

		craft_lend(&whole, c.b, c.len, 4096, segs, &claim);
		assert_int_equal(offload_check(&whole), 0);
		offload_segmenter_init(&s, &whole, offloads);
		int n = offload_segment_next(&s, parts, FRAME_BURST, views, CRAFT_SEGS);
		assert_int_equal(n, PAYLOAD / GSO_SIZE + 1);

		assert_int_equal(
			front_guest_send(&guests[0], 0, &claim, c.b, c.len, ECHO_WAIT_MS), 0);
		for (int i = 0; i < n; i++) {
			const struct virtio_net_hdr hdr = offload_header(&parts[i], offloads);
			struct virtio_net_hdr_mrg_rxbuf got;

			frame_copy(&parts[i], 0, want, parts[i].len);
			assert_int_equal(receive(to, &got, frame), parts[i].len);
			assert_memory_equal(frame, want, parts[i].len);
			assert_memory_equal(&got.hdr, &hdr, sizeof(hdr));
			assert_int_equal(hdr.flags, to == 3 ? 0 : VIRTIO_NET_HDR_F_NEEDS_CSUM);
			assert_int_equal(hdr.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		}
	}
}

// A guest that never agreed to send them cannot.
static void segments_of_who_did_not_agree_are_dropped(void **state)
{
	static struct craft c;
	struct switch_port p;

	make_segment(&c, 2, false);
	const struct virtio_net_hdr claim = craft_claim(&c, VIRTIO_NET_HDR_GSO_UDP_L4, GSO_SIZE);
	assert_int_equal(front_guest_send(&guests[2], 0, &claim, c.b, c.len, ECHO_WAIT_MS), 0);
	assert_int_equal(front_guest_flush(&guests[2], 0, ECHO_WAIT_MS), 0);
	assert_int_equal(switch_port_find(bed.sw, "g2", &p), 0);
	// Without CSUM its header says nothing: a plain frame, longer than any MTU.
	assert_int_equal(p.stats.rx_frames, 1);
	assert_int_equal(switch_port_find(bed.sw, "g1", &p), 0);
	assert_int_equal(p.stats.drop[DROP_too_long], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bits_reach_the_port),
		cmocka_unit_test(segments_pass_whole_to_who_takes_them),
		cmocka_unit_test(segments_are_cut_for_who_does_not),
		cmocka_unit_test(segments_of_who_did_not_agree_are_dropped),
	};
	void *none = NULL;

	if (echo_start_eal(&none))
		return 1;
	return cmocka_run_group_tests(tests, open_all, close_all);
}
