// SPDX-License-Identifier: BSD-2-Clause
// Frames that wait in their sender's ring for room at their destination: which do, for how long, and
// that nobody can make others wait longer.
#include "dataplane/switch/deliver.h"

#include "dataplane/frame/offload.h"
#include "dataplane/switch/patience.h"
#include "tests/lib/craft.h"
#include "tests/lib/switch_rig.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#define LIMIT 1000u // ticks, of a nanosecond each

static int setup(void **state)
{
	int rc = rig_setup(state);
	struct rig *r = *state;

	r->common.patience = LIMIT;
	rig_replan(r);
	rig_learn_all(r);
	r->fw.cycles = 1000000;
	return rc;
}

static void send_many(struct rig *r, unsigned from, unsigned to, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		rig_send_len(r, from, from, to, 60, (uint8_t)i);
}

// The receiver takes nothing, then 100 at a time: all arrive, in order.
static void nothing_is_lost_while_the_receiver_is_away(void **state)
{
	struct rig *r = *state;

	send_many(r, 0, 1, 1); // says where the next will go
	rig_pass(r);
	fake_set_room(r->port[1], 0, 0);
	send_many(r, 0, 1, 250);
	for (unsigned i = 0; i < 10; i++, r->fw.cycles += LIMIT / 20)
		rig_pass(r);
	assert_int_equal(fake_backlog(r->port[0]), 250);
	assert_int_equal(r->port[0]->stats[0]->waited_ns, 9 * LIMIT / 20);
	for (unsigned i = 0; i < 3; i++, r->fw.cycles += LIMIT / 20) {
		fake_set_room(r->port[1], 0, 100);
		rig_pass(r);
	}
	assert_int_equal(rig_dropped_at_all(r), 0);
	assert_int_equal(fake_n_received(r->port[1]), 251);
	for (unsigned i = 0; i < 250; i++)
		assert_int_equal(fake_received(r->port[1], 1 + i).bytes[59], i);
	// The wait is over: time without one is not counted.
	uint64_t waited = r->port[0]->stats[0]->waited_ns;
	r->fw.cycles += LIMIT;
	fake_set_room(r->port[1], 0, 1000);
	send_many(r, 0, 1, 10);
	rig_pass(r);
	assert_int_equal(r->port[0]->stats[0]->waited_ns, waited);
}

static void patience_has_an_end(void **state)
{
	struct rig *r = *state;

	send_many(r, 0, 1, 1);
	rig_pass(r);
	fake_set_room(r->port[1], 0, 0);
	send_many(r, 0, 1, 200);
	for (unsigned i = 0; i <= 10; i++, r->fw.cycles += LIMIT / 10)
		rig_pass(r);
	assert_int_equal(fake_backlog(r->port[0]), 200);
	rig_pass(r); // a tenth beyond the limit
	assert_int_equal(fake_backlog(r->port[0]), 200 - FRAME_BURST);
	assert_int_equal(rig_dropped(r, 1, DROP_ring_full), FRAME_BURST);
	rig_pass(r);
	assert_int_equal(fake_backlog(r->port[0]), 0);
}

// Whatever ends a wait, the next one has all of the limit: room for a burst, room for more than there is,
// or nothing left to send.
static void each_wait_is_one_of_its_own(void **state)
{
	struct rig *r = *state;
	static const struct {
		unsigned n, room;
	} ends[] = {{10, 1000}, {10, 20}, {10, 10}};

	for (unsigned k = 0; k < sizeof(ends) / sizeof(ends[0]); k++) {
		fake_set_room(r->port[1], 0, 1000);
		send_many(r, 0, 1, 1);
		rig_pass(r);
		for (unsigned round = 0; round < 3; round++) {
			fake_set_room(r->port[1], 0, 0);
			send_many(r, 0, 1, ends[k].n);
			for (unsigned i = 0; i < 8; i++, r->fw.cycles += LIMIT / 10)
				rig_pass(r);
			assert_int_equal(fake_backlog(r->port[0]), ends[k].n);
			fake_set_room(r->port[1], 0, ends[k].room);
			rig_pass(r);
			assert_int_equal(fake_backlog(r->port[0]), 0);
			fake_set_room(r->port[1], 0, ends[k].room - ends[k].n);
			if (ends[k].room == ends[k].n)
				rig_pass(r); // and finds nothing
		}
	}
	assert_int_equal(rig_dropped_at_all(r), 0);
}

// A new plan is no new patience, nor does it forget where frames go.
static void a_wait_outlives_a_plan(void **state)
{
	struct rig *r = *state;
	unsigned passes;

	send_many(r, 0, 1, 1);
	rig_pass(r);
	fake_set_room(r->port[1], 0, 0);
	send_many(r, 0, 1, 10);
	for (passes = 0; fake_backlog(r->port[0]) && passes < 100; passes++) {
		rig_replan(r);
		rig_pass(r);
		r->fw.cycles += LIMIT / 10;
	}
	assert_int_equal(passes, 12);
	rig_pass(r); // nothing waits any more
	rig_replan(r);
	send_many(r, 0, 2, 1); // and waits, as the last that went from here found no room
	rig_pass(r);
	assert_int_equal(fake_backlog(r->port[0]), 1);
}

// However often plan or table change meanwhile, the account is kept.
static void news_are_no_new_patience(void **state)
{
	struct rig *r = *state;
	const uint64_t from = r->fw.cycles, credit = PATIENCE_CREDIT * LIMIT;

	send_many(r, 0, 1, 1);
	rig_pass(r);
	fake_set_room(r->port[1], 0, 0);
	for (unsigned i = 0; i < 1000; i++, r->fw.cycles += LIMIT / 4) {
		if (!fake_backlog(r->port[0])) {
			rig_replan(r);
			rig_pass(r);
			send_many(r, 0, 1, 1);
		}
		rig_pass(r);
	}
	assert_in_range(r->port[0]->stats[0]->waited_ns, credit,
		credit + (r->fw.cycles - from) / PATIENCE_SHARE + LIMIT);
}

// A receiver that frees one buffer at a time makes its sender wait no longer than one that frees none.
static void trickles_are_waits(void **state)
{
	struct rig *r = *state;
	unsigned passes;

	send_many(r, 0, 1, 1);
	rig_pass(r);
	send_many(r, 0, 1, 1000);
	for (passes = 0; !rig_dropped(r, 1, DROP_ring_full) && passes < 100; passes++) {
		fake_set_room(r->port[1], 0, 1);
		rig_pass(r);
		r->fw.cycles += LIMIT / 10;
	}
	assert_in_range(passes, 11, 13);
}

// One that catches up is waited for as long as it does, and as the account allows.
static void who_catches_up_is_waited_for(void **state)
{
	const unsigned per_pass = FRAME_BURST / 4, passes = 3 * PATIENCE_CREDIT;
	struct rig *r = *state;

	send_many(r, 0, 1, 1);
	rig_pass(r);
	for (unsigned i = 0; i < passes; i++, r->fw.cycles += LIMIT / 5) {
		while (fake_backlog(r->port[0]) < 2 * FRAME_BURST)
			send_many(r, 0, 1, 1);
		fake_set_room(r->port[1], 0, per_pass);
		rig_pass(r);
	}
	assert_int_equal(rig_dropped_at_all(r), 0);
	assert_int_equal(rig_got(r, 1), 1 + passes * per_pass);
	assert_int_equal(r->port[0]->stats[0]->waited_ns, (passes - 1) * LIMIT / 5);
	// But not for ever.
	for (unsigned i = 0; i < 2 * passes; i++, r->fw.cycles += LIMIT / 5) {
		while (fake_backlog(r->port[0]) < 2 * FRAME_BURST)
			send_many(r, 0, 1, 1);
		fake_set_room(r->port[1], 0, per_pass);
		rig_pass(r);
	}
	assert_int_not_equal(rig_dropped(r, 1, DROP_ring_full), 0);
	assert_in_range(r->port[0]->stats[0]->waited_ns, PATIENCE_CREDIT * LIMIT - LIMIT / 5,
		PATIENCE_CREDIT * LIMIT * 11 / 10);
}

// One pass each `ticks`, in which the receiver takes n frames; senders always have some for it.
static void receive_slowly(
	struct rig *r, unsigned passes, uint64_t ticks, unsigned n, unsigned n_senders)
{
	static const unsigned sender[] = {0, 2, 3};

	for (unsigned i = 0; i < passes; i++, r->fw.cycles += ticks) {
		for (unsigned k = 0; k < n_senders; k++)
			while (fake_backlog(r->port[sender[k]]) < 2 * FRAME_BURST)
				send_many(r, sender[k], 1, 1);
		fake_set_room(r->port[1], 0, n);
		rig_pass(r);
		fake_forget(r->port[1]);
	}
}

// Those that send to port 1 have sent to nobody else for long enough.
static void only_to_one(struct rig *r)
{
	receive_slowly(r, 1, (PATIENCE_CREDIT + 1) * LIMIT, 1000, 3);
	fake_set_room(r->port[1], 0, 1000);
	for (unsigned i = 0; i < 3; i++)
		rig_pass(r);
	fake_forget(r->port[1]);
}

// A sender goes as fast as the only one it sends to, for as long as it likes.
static void who_is_slow_slows_its_sender(void **state)
{
	struct rig *r = *state;

	only_to_one(r);
	receive_slowly(r, 10000, LIMIT / 40, FRAME_BURST / 2, 1);
	assert_int_equal(rig_dropped_at_all(r), 0);
	assert_in_range(r->port[0]->stats[0]->waited_ns, 9900 * LIMIT / 40, 10000 * LIMIT / 40);
	// With somebody else to send to now and then, whatever the plan, for its share of the time.
	const uint64_t waited = r->port[0]->stats[0]->waited_ns, from = r->fw.cycles;
	for (unsigned i = 0; i < 100; i++) {
		rig_send(r, 0, 0, 2);
		receive_slowly(r, 100, LIMIT / 40, FRAME_BURST / 2, 1);
		rig_replan(r);
	}
	assert_in_range(r->port[0]->stats[0]->waited_ns - waited, PATIENCE_CREDIT * LIMIT,
		PATIENCE_CREDIT * LIMIT + (r->fw.cycles - from) / PATIENCE_SHARE + LIMIT);
	assert_int_equal(rig_dropped(r, 2, DROP_ring_full), 0);
	uint64_t dropped = rig_dropped(r, 1, DROP_ring_full);
	// Some time after the last such frame, it is alone again.
	receive_slowly(r, PATIENCE_CREDIT * 40 + 40, LIMIT / 40, FRAME_BURST / 2, 1);
	dropped = rig_dropped(r, 1, DROP_ring_full);
	receive_slowly(r, 1000, LIMIT / 40, FRAME_BURST / 2, 1);
	assert_int_equal(rig_dropped(r, 1, DROP_ring_full), dropped);
}

// Frames to two in turns, a burst each: nobody is alone, though each burst is.
static void who_sends_to_two_is_not_alone(void **state)
{
	struct rig *r = *state;
	const uint64_t from = r->fw.cycles;
	unsigned to = 1;

	for (unsigned i = 0; i < 10000; i++, r->fw.cycles += LIMIT / 40) {
		if (!fake_backlog(r->port[0])) {
			to = 3 - to;
			send_many(r, 0, to, 4 * FRAME_BURST);
		}
		fake_set_room(r->port[1], 0, FRAME_BURST / 2 - 1);
		rig_pass(r);
		fake_forget(r->port[1]);
		fake_forget(r->port[2]);
	}
	assert_in_range(r->port[0]->stats[0]->waited_ns, PATIENCE_CREDIT * LIMIT,
		PATIENCE_CREDIT * LIMIT + (r->fw.cycles - from) / PATIENCE_SHARE + LIMIT);
}

// One that was away for too long is waited for again when it is back, though its ring is never empty.
static void who_comes_back_is_waited_for(void **state)
{
	struct rig *r = *state;

	only_to_one(r);
	receive_slowly(r, 100, LIMIT / 40, FRAME_BURST / 2, 1);
	receive_slowly(r, 50, LIMIT / 40, 0, 1);
	assert_int_not_equal(rig_dropped(r, 1, DROP_ring_full), 0);
	receive_slowly(r, 10, LIMIT / 40, FRAME_BURST / 2, 1);
	uint64_t dropped = rig_dropped(r, 1, DROP_ring_full);
	receive_slowly(r, 10000, LIMIT / 40, FRAME_BURST / 2, 1);
	assert_int_equal(rig_dropped(r, 1, DROP_ring_full), dropped);
}

// Of several that wait for one receiver, each gets its share of what it takes.
static void who_waits_for_the_same_takes_turns(void **state)
{
	static const unsigned sender[] = {0, 2, 3};
	struct rig *r = *state;

	only_to_one(r);
	for (unsigned k = 0; k < 3; k++)
		r->port[sender[k]]->stats[0]->rx_frames = 0;
	receive_slowly(r, 900, LIMIT / 80, FRAME_BURST / 2, 3);
	assert_int_equal(rig_dropped_at_all(r), 0);
	for (unsigned k = 0; k < 3; k++)
		assert_in_range(r->port[sender[k]]->stats[0]->rx_frames, 290 * FRAME_BURST / 2,
			310 * FRAME_BURST / 2);
	// A place that the next plan does not have is no place to begin.
	r->fw.first = 1000;
	receive_slowly(r, 1, LIMIT / 80, FRAME_BURST / 2, 1);
	assert_int_equal(rig_dropped_at_all(r), 0);
	assert_in_range(
		r->port[0]->stats[0]->rx_frames, 290 * FRAME_BURST / 2 + 1, 311 * FRAME_BURST / 2);
}

static void a_queue_without_frames_does_not_wait(void **state)
{
	struct rig *r = *state;

	send_many(r, 0, 1, 1);
	rig_pass(r);
	fake_set_room(r->port[1], 0, 0);
	for (unsigned i = 0; i < 100; i++, r->fw.cycles += LIMIT)
		rig_pass(r);
	assert_int_equal(r->port[0]->stats[0]->waited_ns, 0);
	// So there is all of the patience for the first that comes.
	send_many(r, 0, 1, 1);
	for (unsigned i = 0; i < 5; i++, r->fw.cycles += LIMIT / 10)
		rig_pass(r);
	assert_int_equal(fake_backlog(r->port[0]), 1);
}

static void what_others_would_lose_does_not_wait(void **state)
{
	struct rig *r = *state;

	send_many(r, 0, 1, 1);
	rig_pass(r);
	fake_set_room(r->port[1], 0, 0);
	fake_set_spills(r->port[0], true);
	send_many(r, 0, 1, 10);
	rig_pass(r);
	assert_int_equal(fake_backlog(r->port[0]), 0);
	assert_int_equal(rig_dropped(r, 1, DROP_ring_full), 10);
}

static void without_patience_nothing_waits(void **state)
{
	struct rig *r = *state;

	r->common.patience = 0;
	rig_replan(r);
	send_many(r, 0, 1, 1);
	rig_pass(r);
	fake_set_room(r->port[1], 0, 0);
	send_many(r, 0, 1, 10);
	rig_pass(r);
	assert_int_equal(rig_dropped(r, 1, DROP_ring_full), 10);
}

// A port that lost its link, or is gone, is no reason to wait.
static void a_dead_destination_is_not_waited_for(void **state)
{
	struct rig *r = *state;

	send_many(r, 0, 1, 1);
	rig_pass(r);
	fake_set_room(r->port[1], 0, 0);
	fake_set_link(r->port[1], PORT_LINK_DOWN, "test");
	send_many(r, 0, 1, 10);
	rig_pass(r);
	assert_int_equal(rig_dropped(r, 1, DROP_port_down), 10);

	send_many(r, 2, 3, 1);
	rig_pass(r);
	r->plan->port[3].port = NULL;
	send_many(r, 2, 0, 10);
	rig_pass(r);
	assert_int_equal(rig_got(r, 0), 10);
}

// Broadcasts reach a guest whatever it does with them: they wait for nobody.
static void floods_wait_for_nobody(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 1; i < N_PORTS; i++)
		fake_set_room(r->port[i], 0, 0);
	for (unsigned i = 0; i < 5; i++) {
		send_many(r, 0, ALL, 1);
		rig_pass(r);
		assert_int_equal(fake_backlog(r->port[0]), 0);
	}
	assert_int_equal(rig_dropped(r, 1, DROP_ring_full), 5);
}

// Frames to others go on as soon as the patience with one is used up, and none of theirs is lost.
static void others_lose_nothing(void **state)
{
	struct rig *r = *state;

	fake_set_room(r->port[1], 0, 0);
	for (unsigned i = 0; i < 1000; i++)
		rig_send(r, 0, 0, 1 + i % 2);
	for (unsigned i = 0; fake_backlog(r->port[0]) && i < 1000; i++, r->fw.cycles += LIMIT / 10)
		rig_pass(r);
	assert_int_equal(rig_got(r, 2), 500);
	assert_int_equal(rig_dropped(r, 1, DROP_ring_full), 500);
}

// Of several queues that a burst went to, one that had no room is looked at, whatever came after it.
static void the_queue_that_was_full(void **state)
{
	struct rig *r = *state;
	const struct outlet *to = &r->lanes[0][0].to;

	fake_set_queues(r->port[1], 2);
	fake_set_room(r->port[1], 0, 0);
	for (unsigned i = 0; i < 64; i++) // flows of both queues, by their addresses
		rig_send(r, 0, 100 + i, 1);
	rig_send(r, 0, 0, 2);
	rig_pass(r);
	assert_in_range(rig_got(r, 1), 10, 54);
	assert_true(to->is_known);
	assert_int_equal(to->port, 1);
	assert_int_equal(to->q, 0);
	rig_send(r, 0, 0, 1);
	rig_pass(r);
	assert_int_equal(fake_backlog(r->port[0]), 1);
}

// A frame of one flow among many between the same two stations.
static void send_udp(struct rig *r, uint16_t sport, uint32_t payload, uint16_t gso_size)
{
	static struct craft c;
	struct virtio_net_hdr claim = {0};

	memset(&c, 0, sizeof(c));
	craft_eth(&c, 0, 1);
	craft_ipv4(&c, 1, 2, 0);
	craft_udp(&c, sport, 2000);
	craft_payload(&c, payload, 1);
	craft_finish(&c, gso_size > 0);
	if (gso_size)
		claim = craft_claim(&c, VIRTIO_NET_HDR_GSO_UDP_L4, gso_size);
	fake_send_offload(r->port[0], 0, c.b, c.len, &claim);
}

static void the_queue_of_the_flow(void **state)
{
	struct rig *r = *state;
	const struct outlet *to = &r->lanes[0][0].to;
	unsigned seen = 0;

	fake_set_queues(r->port[1], 2);
	for (uint16_t i = 0; i < 32; i++) {
		send_udp(r, 1000 + i, 20, 0);
		rig_pass(r);
		assert_int_equal(to->q, fake_received(r->port[1], 0).q);
		seen |= 1u << to->q;
		fake_forget(r->port[1]);
		if (i > 16 && to->q)
			break;
	}
	assert_int_equal(seen, 3);
	// Of those the guest gave up.
	fake_set_queues(r->port[1], 1);
	send_udp(r, 1000, 20, 0);
	rig_pass(r);
	assert_int_equal(to->q, 0);
}

// The same destination, but another part of the burst, or frames that are cut.
static void how_much_goes_there(void **state)
{
	struct rig *r = *state;
	const struct outlet *to = &r->lanes[0][0].to;

	for (unsigned round = 0; round < 3; round++) {
		send_udp(r, 1000, 20, 0);
		rig_pass(r);
		assert_int_equal(to->port, 1);
		assert_int_equal(to->part, FRAME_BURST);
		assert_int_equal(to->each, 1);
		send_udp(r, 1000, 5000, 1000);
		rig_pass(r);
		assert_int_equal(to->part, FRAME_BURST);
		assert_int_equal(to->each, 5);
		send_udp(r, 1000, 20, 0);
		rig_pass(r);
		assert_int_equal(to->each, 1);
		rig_send(r, 0, 0, 2);
		send_udp(r, 1000, 20, 0);
		rig_pass(r);
		assert_int_equal(to->port, 1);
		assert_int_equal(to->part, 1);
	}
}

// One frame for a guest that takes nothing is no reason to wait with all that follow for others.
static void what_goes_elsewhere_waits_once(void **state)
{
	struct rig *r = *state;

	fake_set_room(r->port[1], 0, 0);
	rig_send(r, 0, 0, 1);
	rig_pass(r);
	for (unsigned i = 0; i < 100; i++, r->fw.cycles += LIMIT / 10) {
		rig_send(r, 0, 0, 2);
		rig_pass(r);
		if (!fake_backlog(r->port[0]))
			rig_pass(r); // and finds nothing
	}
	assert_int_equal(rig_got(r, 2), 100);
	assert_in_range(r->port[0]->stats[0]->waited_ns, LIMIT, LIMIT + LIMIT / 5);
}

// In a burst that goes to many, a queue with room for its part is no reason to lend less.
static void room_for_a_part_is_enough(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 40; i++)
		rig_send(r, 0, 0, 1 + i % 4);
	rig_pass(r);
	fake_set_room(r->port[4], 0, 10);
	for (unsigned i = 0; i < 40; i++)
		rig_send(r, 0, 0, 1 + i % 4);
	rig_pass(r);
	assert_int_equal(fake_backlog(r->port[0]), 0);
	fake_set_room(r->port[4], 0, 5);
	for (unsigned i = 0; i < 100; i++)
		rig_send(r, 0, 0, 1 + i % 4);
	rig_pass(r);
	assert_int_equal(fake_backlog(r->port[0]), 100 - 100 * 5 / 8); // for 8 of 100 probably
}

// A segment that weft cuts needs room for all its parts.
static void large_frames_wait_for_room_for_all_parts(void **state)
{
	static struct craft c;
	struct rig *r = *state;

	craft_eth(&c, 0, 1);
	craft_ipv4(&c, 1, 2, 0);
	craft_tcp(&c, 1000, 2000, 0x10, 0);
	craft_payload(&c, 20 * 1000, 1);
	craft_finish(&c, true);
	struct virtio_net_hdr claim = craft_claim(&c, VIRTIO_NET_HDR_GSO_TCPV4, 1000);
	fake_send_offload(r->port[0], 0, c.b, c.len, &claim);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 20);
	fake_set_room(r->port[1], 0, 19);
	fake_send_offload(r->port[0], 0, c.b, c.len, &claim);
	rig_pass(r);
	assert_int_equal(fake_backlog(r->port[0]), 1);
	fake_set_room(r->port[1], 0, 20);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 20);
	// Room for a whole burst of them.
	fake_set_room(r->port[1], 0, FRAME_BURST * 20);
	for (unsigned i = 0; i < 10; i++)
		fake_send_offload(r->port[0], 0, c.b, c.len, &claim);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 200);
	assert_int_equal(rig_dropped_at_all(r), 0);
	// One that found no room is remembered whatever came after it.
	rig_send(r, 0, 0, 2); // or it would wait
	rig_pass(r);
	fake_set_room(r->port[1], 0, 5);
	fake_send_offload(r->port[0], 0, c.b, c.len, &claim);
	rig_send(r, 0, 0, 2);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 5);
	assert_int_equal(rig_got(r, 2), 2);
	assert_int_equal(rig_dropped(r, 1, DROP_ring_full), 15);
	fake_set_room(r->port[1], 0, 19);
	rig_send(r, 0, 0, 2);
	rig_pass(r);
	assert_int_equal(fake_backlog(r->port[0]), 1);
	fake_set_room(r->port[1], 0, 20);
	rig_pass(r);
	assert_int_equal(fake_backlog(r->port[0]), 0);
}

static void *let_go(void *lock)
{
	nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	__atomic_store_n((uint32_t *)lock, 0, __ATOMIC_RELEASE);
	return NULL;
}

// Bug: while another worker was at the full queue, nothing was known of its room: the wait was over, and what
// had waited was taken and dropped.
static void another_worker_at_the_queue_ends_no_wait(void **state)
{
	struct rig *r = *state;
	uint32_t *lock = &r->port[1]->tx_locks[0];
	pthread_t thread;

	r->fw.shared = true;
	rig_send(r, 0, 0, 1);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 1);
	fake_set_room(r->port[1], 0, 0);
	for (unsigned i = 0; i < 10; i++)
		rig_send(r, 0, 0, 1);
	rig_pass(r);
	assert_int_equal(fake_backlog(r->port[0]), 10);
	r->fw.cycles += LIMIT / 2;
	__atomic_store_n(lock, 1, __ATOMIC_RELAXED);
	pthread_create(&thread, NULL, let_go, lock);
	rig_pass(r);
	pthread_join(thread, NULL);
	assert_int_equal(fake_backlog(r->port[0]), 10);
	assert_int_equal(rig_dropped_at_all(r), 0);
	// The wait is still the same one.
	r->fw.cycles += LIMIT / 2;
	rig_pass(r);
	assert_int_equal(fake_backlog(r->port[0]), 10);
	r->fw.cycles += 1;
	rig_pass(r);
	assert_int_equal(rig_dropped(r, 1, DROP_ring_full), 10);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(nothing_is_lost_while_the_receiver_is_away),
		T(patience_has_an_end),
		T(who_catches_up_is_waited_for),
		T(each_wait_is_one_of_its_own),
		T(a_wait_outlives_a_plan),
		T(another_worker_at_the_queue_ends_no_wait),
		T(news_are_no_new_patience),
		T(trickles_are_waits),
		T(who_is_slow_slows_its_sender),
		T(who_sends_to_two_is_not_alone),
		T(who_comes_back_is_waited_for),
		T(who_waits_for_the_same_takes_turns),
		T(a_queue_without_frames_does_not_wait),
		T(what_others_would_lose_does_not_wait),
		T(without_patience_nothing_waits),
		T(a_dead_destination_is_not_waited_for),
		T(floods_wait_for_nobody),
		T(others_lose_nothing),
		T(the_queue_that_was_full),
		T(the_queue_of_the_flow),
		T(how_much_goes_there),
		T(what_goes_elsewhere_waits_once),
		T(room_for_a_part_is_enough),
		T(large_frames_wait_for_room_for_all_parts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
