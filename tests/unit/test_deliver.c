// SPDX-License-Identifier: BSD-2-Clause
// Delivery: full rings, ports that are down, lengths, offloads, queues, notification, capture.
#include "dataplane/switch/deliver.h"

#include "dataplane/frame/eth.h"
#include "dataplane/frame/offload.h"
#include "dataplane/switch/tape.h"
#include "tests/lib/craft.h"
#include "tests/lib/switch_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

// --- Destinations that cannot take it ---

static void a_full_ring_drops_only_its_own(void **state)
{
	struct rig *r = *state;

	rig_learn_all(r);
	fake_set_room(r->port[1], 0, 3);
	for (uint8_t i = 0; i < 10; i++)
		rig_send_len(r, 0, 0, 1 + i % 2, 60, i);
	rig_pass(r);
	assert_int_equal(rig_dropped(r, 1, DROP_ring_full), 2);
	assert_int_equal(rig_dropped(r, 0, DROP_ring_full), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fake_received(r->port[1], i).bytes[59], 2 * i);
	assert_int_equal(rig_got(r, 1), 3);
	assert_int_equal(rig_got(r, 2), 5);
}

static void what_did_not_fit_is_offered_again(void **state)
{
	struct rig *r = *state;

	rig_learn_all(r);
	for (unsigned same = 0; same < 2; same++) { // to one destination only, and to two
		fake_set_room(r->port[1], 0, 3);
		fake_set_late_room(r->port[1], 0, 4);
		for (uint8_t i = 0; i < 20; i++)
			rig_send_len(r, 0, 0, same ? 1 : 1 + i % 2, 60, i);
		rig_pass(r);
		assert_int_equal(fake_n_received(r->port[1]), 7);
		for (unsigned i = 0; i < 7; i++)
			assert_int_equal(fake_received(r->port[1], i).bytes[59], same ? i : 2 * i);
		assert_int_equal(rig_dropped(r, 1, DROP_ring_full), same ? 3 + 13 : 3);
		fake_forget(r->port[1]);
	}
}

// More lists than can wait for their second chance: the rest is dropped at once, all are counted.
static void more_full_rings_than_can_wait(void **state)
{
	struct rig *r = *state;
	static struct craft c;
	uint64_t sum = 0;

	for (unsigned i = 1; i < N_PORTS; i++) {
		fake_set_queues(r->port[i], PORT_QUEUES_MAX);
		for (unsigned q = 0; q < PORT_QUEUES_MAX; q++)
			fake_set_room(r->port[i], q, 0);
	}
	for (uint16_t flow = 0; flow < FRAME_BURST; flow++) {
		craft_eth(&c, 1, 99);
		craft_ipv4(&c, 1, 2, 0);
		craft_udp(&c, 1000 + flow, 53);
		craft_payload(&c, 20, flow);
		craft_finish(&c, false);
		fake_send(r->port[0], 0, c.b, c.len);
	}
	rig_pass(r);
	for (unsigned i = 1; i < N_PORTS; i++)
		sum += rig_dropped(r, i, DROP_ring_full);
	assert_int_equal(sum, FRAME_BURST * (N_PORTS - 1));
	assert_int_equal(r->fw.n_ports, 0);
}

// A flooded frame that waits for its second chance has been retagged for others meanwhile.
static void the_second_offer_has_the_right_tag(void **state)
{
	struct rig *r = *state;

	rig_trunk(r, 2, 0, 1, 1);
	rig_trunk(r, 3, 0, 1, 1);
	rig_replan(r);
	fake_set_room(r->port[1], 0, 0);
	fake_set_late_room(r->port[1], 0, 10);
	fake_set_room(r->port[3], 0, 0);
	fake_set_late_room(r->port[3], 0, 10);
	rig_send(r, 0, 0, ALL);
	rig_pass(r);
	assert_int_equal(fake_received(r->port[1], 0).len, 60);
	assert_int_equal(fake_received(r->port[2], 0).len, 64);
	assert_int_equal(fake_received(r->port[3], 0).len, 64);
	assert_int_equal(fake_received(r->port[4], 0).len, 60);
	assert_int_equal(rig_dropped_at_all(r), 0);
}

static void a_port_that_is_down(void **state)
{
	struct rig *r = *state;

	rig_learn_all(r);
	fake_set_link(r->port[1], PORT_LINK_DOWN, "test");
	rig_send(r, 0, 0, 1);
	rig_send(r, 0, 0, ALL); // floods pass it over in silence
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 0);
	assert_int_equal(rig_got(r, 2), 1);
	assert_int_equal(rig_dropped(r, 1, DROP_port_down), 1);
}

static void frames_longer_than_the_mtu(void **state)
{
	struct rig *r = *state;

	rig_learn_all(r);
	rig_send_len(r, 0, 0, 1, 1514, 0);
	rig_send_len(r, 0, 0, 1, 1515, 0);
	rig_send_len(r, 0, 0, 1, 60, 0);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 2);
	assert_int_equal(rig_dropped(r, 1, DROP_too_long), 1);
	// A tag does not count.
	rig_trunk(r, 1, 0, 1, 1);
	rig_replan(r);
	rig_send_len(r, 0, 0, 1, 1514, 0);
	rig_send_len(r, 0, 0, 1, 1515, 0);
	rig_pass(r);
	assert_int_equal(fake_received(r->port[1], 0).len, 1518);
	assert_int_equal(rig_got(r, 1), 1);
	assert_int_equal(rig_dropped(r, 1, DROP_too_long), 2);
}

static void removed_ports_are_not_touched(void **state)
{
	struct rig *r = *state;

	rig_learn_all(r);
	rig_send(r, 0, 0, 1);
	rig_pass(r);
	rig_got(r, 1);
	// Port 1 leaves; its addresses are still there.
	struct plan_input in[N_PORTS - 1] = {r->in[0], r->in[2], r->in[3], r->in[4]};
	plan_free(r->plan);
	r->fw.plan = r->plan = plan_new(++r->seq, &r->common, in, N_PORTS - 1);
	rig_send(r, 0, 0, 1);
	rig_send(r, 0, 0, ALL);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 0);
	assert_int_equal(rig_got(r, 2), 1);
	assert_int_equal(rig_dropped(r, 0, DROP_port_down), 1);
}

// --- Offloads ---

// A TCP segment of `payload` bytes from station 1 to 2, as a guest leaves it: from port 1 to 2.
static void send_segment(struct rig *r, uint32_t payload, uint16_t gso_size)
{
	static struct craft c;

	memset(&c, 0, sizeof(c));
	craft_eth(&c, 1, 2);
	craft_ipv4(&c, 1, 2, 0);
	craft_tcp(&c, 1000, 2000, 0x10, 0);
	craft_payload(&c, payload, 1);
	craft_finish(&c, true);
	struct virtio_net_hdr claim =
		craft_claim(&c, gso_size ? VIRTIO_NET_HDR_GSO_TCPV4 : 0, gso_size);
	fake_send_offload(r->port[1], 0, c.b, c.len, &claim);
}

static void learn_crafted(struct rig *r)
{
	static struct craft c;

	memset(&c, 0, sizeof(c));
	craft_eth(&c, 2, 1);
	craft_ipv4(&c, 2, 1, 0);
	craft_payload(&c, 64, 1);
	craft_finish(&c, false);
	fake_send(r->port[2], 0, c.b, c.len);
	rig_pass(r);
	for (unsigned i = 0; i < N_PORTS; i++)
		fake_forget(r->port[i]);
}

static bool tcp_checksum_ok(const uint8_t *f, uint32_t len)
{
	uint32_t sum = 6 + len - 34;

	for (unsigned i = 26; i < 34; i += 2)
		sum += eth_be16(f + i);
	for (uint32_t i = 34; i < len; i += 2)
		sum += (uint32_t)f[i] << 8 | (i + 1 < len ? f[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

static void offloads_pass_untouched_to_who_has_them(void **state)
{
	struct rig *r = *state;

	learn_crafted(r);
	fake_set_offloads(r->port[2], PORT_OFFLOAD_CSUM | PORT_OFFLOAD_TSO4);
	send_segment(r, 60000, 1448);
	send_segment(r, 100, 0);
	rig_pass(r);
	assert_int_equal(fake_n_received(r->port[2]), 2);
	struct fake_frame out = fake_received(r->port[2], 0);
	assert_int_equal(out.len, 60054);
	assert_int_equal(out.offload.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(out.offload.gso_size, 1448);
	assert_false(tcp_checksum_ok(out.bytes, out.len));
	out = fake_received(r->port[2], 1);
	assert_int_equal(out.offload.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(rig_dropped_at_all(r), 0);
}

static void checksums_are_completed_for_who_has_not(void **state)
{
	struct rig *r = *state;

	learn_crafted(r);
	send_segment(r, 101, 0);
	rig_pass(r);
	struct fake_frame out = fake_received(r->port[2], 0);
	assert_int_equal(out.offload.flags, 0);
	assert_true(tcp_checksum_ok(out.bytes, out.len));
	assert_int_equal(rig_dropped_at_all(r), 0);
}

static void segments_are_cut_for_who_has_not(void **state)
{
	struct rig *r = *state;

	learn_crafted(r);
	for (unsigned with_csum = 0; with_csum < 2; with_csum++) {
		fake_set_offloads(r->port[2], with_csum ? PORT_OFFLOAD_CSUM : 0);
		send_segment(r, 100, 0);
		send_segment(r, 64000, 400); // 160 parts: more than one burst of them
		send_segment(r, 102, 0);
		rig_pass(r);
		assert_int_equal(fake_n_received(r->port[2]), 162);
		uint32_t bytes = 0;
		for (uint32_t i = 0; i < 162; i++) {
			struct fake_frame out = fake_received(r->port[2], i);
			assert_int_equal(tcp_checksum_ok(out.bytes, out.len), !with_csum);
			if (i && i < 161)
				bytes += out.len - 54;
		}
		assert_int_equal(bytes, 64000);
		assert_int_equal(fake_received(r->port[2], 0).len, 154); // in its place
		assert_int_equal(fake_received(r->port[2], 161).len, 156);
		fake_forget(r->port[2]);
	}
	assert_int_equal(rig_dropped_at_all(r), 0);
}

static void a_full_ring_drops_the_rest_of_a_segment(void **state)
{
	struct rig *r = *state;

	learn_crafted(r);
	fake_set_room(r->port[2], 0, 10);
	send_segment(r, 64000, 1000); // one burst of 64 parts
	rig_pass(r);
	assert_int_equal(rig_got(r, 2), 10);
	assert_int_equal(rig_dropped(r, 2, DROP_ring_full), 54);
	// Those that were not even made count too: each part is received or dropped.
	send_segment(r, 64000, 100);
	rig_pass(r);
	assert_int_equal(rig_got(r, 2) + rig_dropped(r, 2, DROP_ring_full), 54 + 640);
}

// What goes to all ports waits for none of them, whatever became of its parts.
static void flooded_segments_wait_for_no_ring(void **state)
{
	struct rig *r = *state;

	fake_set_room(r->port[2], 0, 10);
	send_segment(r, 64000, 1000);
	rig_pass(r);
	assert_int_equal(rig_got(r, 2), 10);
	assert_int_equal(rig_got(r, 3), 64);
	assert_false(r->lanes[1][0].to.is_known);
}

// A burst of large frames for a full ring costs others no more time than it must.
static void segments_for_a_full_ring_are_not_cut(void **state)
{
	struct rig *r = *state;

	learn_crafted(r);
	fake_set_room(r->port[2], 0, 0);
	send_segment(r, 64000, 1000);
	send_segment(r, 64000, 500);
	rig_pass(r);
	assert_int_equal(rig_dropped(r, 2, DROP_ring_full), 64 + 128);
	assert_int_equal(r->fw.parts.f[0].len, 554);
	assert_int_equal(r->fw.parts.f[1].len, 1054); // as the first frame left it
	// One for which there is room again goes whole.
	fake_set_late_room(r->port[2], 0, 200);
	send_segment(r, 64000, 1000);
	send_segment(r, 64000, 500);
	rig_pass(r);
	assert_int_equal(rig_got(r, 2), 64 + 128);
	assert_int_equal(rig_dropped(r, 2, DROP_ring_full), 64 + 128);
}

static void a_segment_in_too_many_views_is_dropped(void **state)
{
	struct rig *r = *state;

	learn_crafted(r);
	__atomic_store_n(&r->port[2]->mtu, 9000, __ATOMIC_RELAXED);
	fake_set_view_len(r->port[1], 1);
	send_segment(r, 10000, 1000);
	rig_pass(r);
	assert_int_equal(rig_got(r, 2), 10);
	send_segment(r, 10000, SEGMENT_VIEWS + 100);
	rig_pass(r);
	assert_int_equal(rig_got(r, 2), 0);
	assert_int_equal(
		rig_dropped(r, 2, DROP_no_offload), offload_cut(10000, SEGMENT_VIEWS + 100));
}

static void segments_too_long_for_the_mtu(void **state)
{
	struct rig *r = *state;

	learn_crafted(r);
	fake_set_offloads(r->port[2], PORT_OFFLOAD_CSUM | PORT_OFFLOAD_TSO4);
	send_segment(r, 20000, 1460); // makes 1,514
	send_segment(r, 20000, 1461);
	rig_pass(r);
	assert_int_equal(rig_got(r, 2), 1);
	assert_int_equal(rig_dropped(r, 2, DROP_too_long), 1);
}

// One large broadcast frame, three kinds of receivers and a trunk: each gets its own form of it.
static void a_flooded_segment_serves_all_kinds(void **state)
{
	struct rig *r = *state;

	rig_trunk(r, 0, 0, 1, 1);
	rig_trunk(r, 4, 0, 1, 1);
	rig_replan(r);
	fake_set_offloads(r->port[3], PORT_OFFLOAD_CSUM | PORT_OFFLOAD_TSO4);
	fake_set_offloads(r->port[4], PORT_OFFLOAD_CSUM | PORT_OFFLOAD_TSO4);
	send_segment(r, 4000, 1000); // 2 is not known
	rig_pass(r);
	assert_int_equal(fake_received(r->port[0], 0).len, 54 + 4 + 1000);
	assert_memory_equal(fake_received(r->port[0], 3).bytes + 12, "\x81\x00\x00\x01\x08\x00", 6);
	assert_int_equal(rig_got(r, 0), 4);
	assert_int_equal(fake_received(r->port[2], 3).len, 54 + 1000);
	assert_true(tcp_checksum_ok(fake_received(r->port[2], 3).bytes, 1054));
	assert_int_equal(rig_got(r, 2), 4);
	assert_int_equal(fake_received(r->port[3], 0).offload.csum_start, 34);
	assert_int_equal(fake_received(r->port[3], 0).offload.hdr_len, 54);
	assert_int_equal(rig_got(r, 3), 1);
	assert_int_equal(fake_received(r->port[4], 0).offload.csum_start, 38);
	assert_int_equal(fake_received(r->port[4], 0).offload.hdr_len, 58);
	assert_int_equal(fake_received(r->port[4], 0).len, 4058);
	assert_int_equal(rig_got(r, 4), 1);
	assert_int_equal(rig_dropped_at_all(r), 0);
}

// --- Queues, notification, capture ---

static void flows_stay_on_their_queue(void **state)
{
	struct rig *r = *state;
	static struct craft c;
	uint16_t queue_of[64];
	uint32_t used = 0;

	learn_crafted(r);
	fake_set_queues(r->port[2], 4);
	for (unsigned round = 0; round < 3; round++) {
		for (uint16_t flow = 0; flow < 64; flow++) {
			memset(&c, 0, sizeof(c));
			craft_eth(&c, 1, 2);
			craft_ipv4(&c, 1, 2, 0);
			craft_udp(&c, 1000 + flow, 53);
			craft_payload(&c, 20, flow);
			craft_finish(&c, false);
			fake_send(r->port[1], 0, c.b, c.len);
		}
		rig_pass(r);
		assert_int_equal(fake_n_received(r->port[2]), 64);
		for (uint32_t i = 0; i < 64; i++) {
			struct fake_frame out = fake_received(r->port[2], i);
			unsigned flow = eth_be16(out.bytes + 34) - 1000;
			if (round)
				assert_int_equal(queue_of[flow], out.q);
			queue_of[flow] = out.q;
			used |= 1u << out.q;
		}
		fake_forget(r->port[2]);
	}
	assert_int_equal(used, 0xf);
}

// A flow's large segments, cut here, take the queue of its small ones, or they would overtake each other.
static void parts_stay_on_the_queue_of_their_flow(void **state)
{
	struct rig *r = *state;
	static struct craft c;
	uint32_t used = 0;

	learn_crafted(r);
	fake_set_queues(r->port[2], 4);
	fake_set_offloads(r->port[2], 0);
	for (uint16_t flow = 0; flow < 16; flow++) {
		for (unsigned i = 0; i < 3; i++) {
			const bool large = i == 1;

			memset(&c, 0, sizeof(c));
			craft_eth(&c, 1, 2);
			craft_ipv4(&c, 1, 2, 0);
			craft_tcp(&c, 1000 + flow, 80, 0x10, 0);
			craft_payload(&c, large ? 4000 : 100 + i, flow);
			craft_finish(&c, true);
			struct virtio_net_hdr claim = craft_claim(
				&c, large ? VIRTIO_NET_HDR_GSO_TCPV4 : 0, large ? 1000 : 0);
			fake_send_offload(r->port[1], 0, c.b, c.len, &claim);
		}
		rig_pass(r);
		assert_int_equal(fake_n_received(r->port[2]), 6);
		const uint16_t q = fake_received(r->port[2], 0).q;
		for (uint32_t i = 1; i < 6; i++)
			assert_int_equal(fake_received(r->port[2], i).q, q);
		used |= 1u << q;
		fake_forget(r->port[2]);
	}
	assert_int_equal(used, 0xf);
}

static void each_touched_queue_is_told_once_a_pass(void **state)
{
	struct rig *r = *state;

	rig_learn_all(r);
	struct fake_calls a0 = fake_calls(r->port[0], 0), b0 = fake_calls(r->port[1], 0),
			  c0 = fake_calls(r->port[3], 0);
	for (unsigned i = 0; i < 5; i++) {
		rig_send(r, 0, 0, 1);
		rig_send(r, 2, 2, 1);
		rig_send(r, 1, 1, 0);
	}
	rig_pass(r);
	struct fake_calls a = fake_calls(r->port[0], 0), b = fake_calls(r->port[1], 0),
			  c = fake_calls(r->port[3], 0);
	assert_int_equal(a.notify_rx - a0.notify_rx, 1);
	assert_int_equal(a.notify_tx - a0.notify_tx, 1);
	assert_int_equal(b.notify_rx - b0.notify_rx, 1);
	assert_int_equal(b.notify_tx - b0.notify_tx, 1);
	assert_int_equal(c.notify_rx + c.notify_tx, c0.notify_rx + c0.notify_tx);
	rig_pass(r); // nothing to do, nobody to tell
	assert_int_equal(fake_calls(r->port[0], 0).notify_rx, a.notify_rx);
}

static uint32_t n_seen;
static struct capture_frame last_seen;
static uint8_t last_bytes[256];

static void see(void *ctx, const struct capture_frame *f)
{
	n_seen++;
	last_seen = *f;
	assert_true(f->caplen <= sizeof(last_bytes));
	memcpy(last_bytes, f->data, f->caplen);
}

static void captured_as_sent_and_as_delivered(void **state)
{
	struct rig *r = *state;

	rig_learn_all(r);
	rig_trunk(r, 1, 0, 1, 1);
	assert_int_equal(tape_new(CAPTURE_RX | CAPTURE_TX, 128, 1, &r->in[1].tape), 0);
	rig_replan(r);
	n_seen = 0;
	rig_send(r, 0, 0, 1);
	rig_pass(r);
	assert_int_equal(tape_read(r->in[1].tape, 10, see, NULL), 1);
	assert_int_equal(last_seen.dir, CAPTURE_TX);
	assert_int_equal(last_seen.len, 64);
	assert_memory_equal(last_bytes + 12, "\x81\x00\x00\x01", 4);
	rig_send_tagged(r, 1, 1, 0, 77); // dropped, but it was sent
	rig_send_tagged(r, 1, 1, 0, 1);
	rig_pass(r);
	assert_int_equal(tape_read(r->in[1].tape, 10, see, NULL), 2);
	assert_int_equal(last_seen.dir, CAPTURE_RX);
	assert_memory_equal(last_bytes + 12, "\x81\x00\x00\x01", 4);
	tape_free(r->in[1].tape);
}

static void captured_in_whole_bursts_too(void **state)
{
	struct rig *r = *state;

	rig_learn_all(r);
	assert_int_equal(tape_new(CAPTURE_RX, 128, 1, &r->in[0].tape), 0);
	rig_replan(r);
	for (unsigned round = 0; round < 3; round++) {
		rig_send(r, 0, 0, 1);
		rig_send(r, 0, 0, 1);
		rig_pass(r);
		assert_int_equal(tape_read(r->in[0].tape, 10, see, NULL), 2);
	}
	tape_free(r->in[0].tape);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_full_ring_drops_only_its_own),
		TEST(what_did_not_fit_is_offered_again),
		TEST(the_second_offer_has_the_right_tag),
		TEST(a_port_that_is_down),
		TEST(frames_longer_than_the_mtu),
		TEST(removed_ports_are_not_touched),
		TEST(offloads_pass_untouched_to_who_has_them),
		TEST(checksums_are_completed_for_who_has_not),
		TEST(segments_are_cut_for_who_has_not),
		TEST(a_full_ring_drops_the_rest_of_a_segment),
		TEST(segments_for_a_full_ring_are_not_cut),
		TEST(flooded_segments_wait_for_no_ring),
		TEST(a_segment_in_too_many_views_is_dropped),
		TEST(segments_too_long_for_the_mtu),
		TEST(more_full_rings_than_can_wait),
		TEST(captured_in_whole_bursts_too),
		TEST(a_flooded_segment_serves_all_kinds),
		TEST(flows_stay_on_their_queue),
		TEST(parts_stay_on_the_queue_of_their_flow),
		TEST(each_touched_queue_is_told_once_a_pass),
		TEST(captured_as_sent_and_as_delivered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
