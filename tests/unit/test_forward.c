// SPDX-License-Identifier: BSD-2-Clause
// Forwarding burst by burst: learning, look-up, VLANs, policy.
#include "dataplane/switch/forward.h"

#include "dataplane/frame/eth.h"
#include "dataplane/switch/policy.h"
#include "tests/lib/switch_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void unknown_goes_everywhere_known_to_one(void **state)
{
	struct rig *r = *state;

	rig_send(r, 0, 0, 3);
	rig_pass(r);
	assert_int_equal(rig_got(r, 0), 0);
	for (unsigned i = 1; i < N_PORTS; i++)
		assert_int_equal(rig_got(r, i), 1);
	rig_send(r, 3, 3, 0);
	rig_pass(r);
	assert_int_equal(rig_got(r, 0), 1);
	for (unsigned i = 1; i < N_PORTS; i++)
		assert_int_equal(rig_got(r, i), 0);
	assert_int_equal(rig_dropped_at_all(r), 0);
	assert_int_equal(fake_backlog(r->port[0]), 0); // given back
}

static void bytes_arrive_unchanged(void **state)
{
	struct rig *r = *state;
	static const uint32_t lens[] = {14, 15, 60, 63, 64, 65, 200, 1514};
	uint8_t f[2048];

	rig_learn_all(r);
	for (unsigned i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
		fake_send(r->port[0], 0, f, rig_frame(f, 0, 1, lens[i], (uint8_t)i));
		if (lens[i] == 14)
			f[13] = 0xb5;
		rig_pass(r);
		assert_int_equal(fake_n_received(r->port[1]), 1);
		struct fake_frame out = fake_received(r->port[1], 0);
		assert_int_equal(out.len, lens[i]);
		rig_frame(f, 0, 1, lens[i], (uint8_t)i);
		assert_memory_equal(out.bytes, f, lens[i]);
		fake_forget(r->port[1]);
	}
}

// Twice the same burst: the second goes the short way, and both look the same from outside.
static void whole_bursts_keep_their_order(void **state)
{
	struct rig *r = *state;

	rig_learn_all(r);
	for (unsigned round = 0; round < 3; round++) {
		for (uint8_t i = 0; i < FRAME_BURST; i++)
			rig_send_len(r, 0, 0, 1, 60, i);
		rig_pass(r);
		assert_int_equal(fake_n_received(r->port[1]), FRAME_BURST);
		for (uint8_t i = 0; i < FRAME_BURST; i++)
			assert_int_equal(fake_received(r->port[1], i).bytes[59], i);
		fake_forget(r->port[1]);
	}
	assert_int_equal(fake_calls(r->port[1], 0).tx, 3 + N_PORTS - 1);
	assert_int_equal(rig_dropped_at_all(r), 0);
}

// Destinations, unknown ones and broadcasts in turns: each port sees its own in order.
static void mixed_bursts_keep_their_order(void **state)
{
	struct rig *r = *state;
	static const unsigned to[] = {1, 2, ALL, 1, 77, 3, 1, 77, 2, 4, ALL, 4, 1, 1, 2, 0x123};
	const unsigned n = sizeof(to) / sizeof(*to);

	rig_learn_all(r);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < n; i++)
			rig_send_len(r, 0, 0, to[i], 60, (uint8_t)i);
		rig_pass(r);
		for (unsigned p = 1; p < N_PORTS; p++) {
			uint32_t at = 0;
			for (unsigned i = 0; i < n; i++) {
				if (to[i] != p && to[i] < N_PORTS)
					continue;
				assert_int_equal(fake_received(r->port[p], at++).bytes[59], i);
			}
			assert_int_equal(rig_got(r, p), at);
		}
	}
}

// A burst whose frames alternate between an unknown, a group and the unknown address again.
static void bug_the_unknown_is_looked_up_again_after_a_group(void **state)
{
	struct rig *r = *state;
	static const unsigned to[] = {77, ALL, 77, 1, 77, ALL, 1, 78, ALL, 77};

	rig_learn_all(r);
	for (unsigned i = 0; i < sizeof(to) / sizeof(*to); i++)
		rig_send(r, 0, 0, to[i]);
	rig_send(r, 4, 77, 0); // 77 is known from the second pass on
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 10);
	assert_int_equal(rig_got(r, 2), 8);
	assert_int_equal(rig_got(r, 4), 8);
	for (unsigned i = 0; i < sizeof(to) / sizeof(*to); i++)
		rig_send(r, 0, 0, to[i]);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 2 + 3 + 1);
	assert_int_equal(rig_got(r, 2), 3 + 1);
	assert_int_equal(rig_got(r, 4), 4 + 3 + 1);
}

static void many_sources_are_learnt(void **state)
{
	struct rig *r = *state;
	uint32_t where;

	for (unsigned round = 0; round < FRAME_BURST / LEARN_MAX; round++) {
		for (unsigned i = 0; i < FRAME_BURST; i++)
			rig_send(r, 2, 100 + i, 0);
		rig_pass(r);
		// A burst teaches LEARN_MAX addresses; its next ones the rest.
		assert_int_equal(fdb_count(r->fdb), (round + 1) * LEARN_MAX);
	}
	uint8_t m[6];
	for (unsigned i = 0; i < FRAME_BURST; i++) {
		rig_mac(m, 100 + i);
		fdb_find(r->fdb, fdb_key(eth_addr(m), 1), &where);
		assert_int_equal(where, 2);
	}
}

// Where station n of VLAN 1 is known; FDB_NONE if it is not.
static uint32_t where(struct rig *r, unsigned n)
{
	uint8_t m[6];
	uint32_t w;

	rig_mac(m, n);
	fdb_find(r->fdb, fdb_key(eth_addr(m), 1), &w);
	return w;
}

// Forty stations of port 2 have sent for long and nothing is new: large bursts are sampled then.
static void send_quietly(struct rig *r, unsigned bursts, unsigned stranger)
{
	for (unsigned b = 0; b < bursts; b++) {
		for (unsigned i = 0; i < 40; i++)
			rig_send(r, 2, i == 17 && stranger ? stranger : 100 + i, 0);
		r->fw.cycles += 12345;
		rig_pass(r);
		rig_got(r, 0);
	}
}

static void a_newcomer_among_many_is_learnt(void **state)
{
	struct rig *r = *state;
	unsigned bursts = 0;

	rig_learn_all(r);
	send_quietly(r, 100, 0);
	assert_int_equal(fdb_count(r->fdb), N_PORTS + 40);
	for (; where(r, 900) == FDB_NONE; bursts++)
		send_quietly(r, 1, 900);
	assert_in_range(bursts, 1, 100);
	// Where there was news all are looked at again; in a small burst they always are.
	send_quietly(r, 1, 902);
	assert_int_equal(where(r, 902), 2);
	for (unsigned i = 0; i < 6; i++) {
		send_quietly(r, 100 + i, 0);
		rig_send(r, 2, 910 + i, 0);
		rig_pass(r);
		assert_int_equal(where(r, 910 + i), 2);
	}
}

static void sampled_sources_are_all_renewed(void **state)
{
	struct rig *r = *state;
	uint8_t m[6];
	uint32_t w;

	rig_learn_all(r);
	send_quietly(r, 100, 0);
	r->fw.now++;
	send_quietly(r, 100, 0);
	for (unsigned i = 0; i < 40; i++) {
		rig_mac(m, 100 + i);
		uint32_t slot = fdb_find(r->fdb, fdb_key(eth_addr(m), 1), &w);
		assert_int_equal(*fdb_seen(r->fdb, slot), r->fw.now);
	}
}

static void an_address_moves(void **state)
{
	struct rig *r = *state;
	struct fdb_event ev;
	uint32_t n = 0;

	rig_learn_all(r);
	while (event_ring_pop(&r->events, &ev))
		assert_int_equal(ev.kind, EVENT_FDB_LEARNT);
	rig_send(r, 0, 0, 1);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 1);
	// 1 moves to port 2, back, and again: caches on both sides must not hold it anywhere.
	for (unsigned round = 0; round < 3; round++) {
		rig_send(r, 2, 1, 0);
		rig_pass(r);
		rig_send(r, 0, 0, 1);
		rig_pass(r);
		assert_int_equal(rig_got(r, 2), 1);
		assert_int_equal(rig_got(r, 1), 0);
		rig_send(r, 1, 1, 0);
		rig_pass(r);
		rig_send(r, 0, 0, 1);
		rig_pass(r);
		assert_int_equal(rig_got(r, 2), 0);
		assert_int_equal(rig_got(r, 1), 1);
	}
	while (event_ring_pop(&r->events, &ev)) {
		assert_int_equal(ev.kind, EVENT_FDB_MOVED);
		assert_int_equal(ev.port + ev.old_port, 3);
		n++;
	}
	assert_int_equal(n, 6);
}

static void a_forgotten_source_is_learnt_again_at_once(void **state)
{
	struct rig *r = *state;
	uint8_t m[6];
	uint32_t where;

	rig_learn_all(r);
	rig_send(r, 0, 0, 1);
	rig_pass(r);
	rig_mac(m, 0);
	assert_int_equal(fdb_del(r->fdb, fdb_key(eth_addr(m), 1)), 0);
	rig_send(r, 0, 0, 1);
	rig_pass(r);
	fdb_find(r->fdb, fdb_key(eth_addr(m), 1), &where);
	assert_int_equal(where, 0);
}

static void a_source_is_renewed_each_second(void **state)
{
	struct rig *r = *state;
	uint8_t m[6];
	uint32_t where;

	rig_learn_all(r);
	rig_mac(m, 0);
	for (r->fw.now = 1001; r->fw.now < 1004; r->fw.now++) {
		rig_send(r, 0, 0, 1);
		rig_pass(r);
		uint32_t slot = fdb_find(r->fdb, fdb_key(eth_addr(m), 1), &where);
		assert_int_equal(*fdb_seen(r->fdb, slot), r->fw.now);
	}
}

static void learning_is_tried_again_if_the_lock_was_taken(void **state)
{
	struct rig *r = *state;

	pthread_mutex_lock(&r->fdb->lock);
	rig_send(r, 0, 0, 1);
	rig_pass(r);
	assert_int_equal(fdb_count(r->fdb), 0);
	assert_int_equal(rig_got(r, 1), 1); // forwarded all the same
	pthread_mutex_unlock(&r->fdb->lock);
	rig_send(r, 0, 0, 1);
	rig_pass(r);
	assert_int_equal(fdb_count(r->fdb), 1);
}

static void an_address_that_had_to_go_is_told(void **state)
{
	struct rig *r = *state;
	struct fdb_event ev;
	uint32_t gone = 0;

	r->fdb->max = 16;
	for (unsigned i = 0; i < 40; i++) {
		rig_send(r, 0, 100 + i, 0);
		rig_pass(r);
	}
	while (event_ring_pop(&r->events, &ev))
		if (ev.kind == EVENT_FDB_AGED) {
			assert_int_equal(ev.port, 0);
			gone++;
		}
	assert_true(gone > 0);
	assert_int_equal(fdb_count(r->fdb), 16);
}

// Who makes up a source for each frame gets one search for room in a burst, not sixty-four.
static void a_flood_of_addresses_is_slowed_down(void **state)
{
	struct rig *r = *state;
	struct fdb_event ev;

	r->fdb->max = 8;
	for (unsigned i = 0; i < FRAME_BURST; i++)
		rig_send(r, 0, 100 + i, 0);
	rig_pass(r);
	while (event_ring_pop(&r->events, &ev))
		;
	assert_int_equal(fdb_count(r->fdb), 8);
	for (unsigned burst = 0; burst < 20; burst++) {
		uint32_t n = 0;
		for (unsigned i = 0; i < FRAME_BURST; i++)
			rig_send(r, 0, 1000 + FRAME_BURST * burst + i, 0);
		rig_pass(r);
		while (event_ring_pop(&r->events, &ev))
			n += ev.kind == EVENT_FDB_LEARNT;
		assert_in_range(n, 0, 1);
	}
}

static void impossible_sources_are_malformed(void **state)
{
	struct rig *r = *state;
	uint8_t f[64];

	rig_learn_all(r);
	fake_forget(r->port[1]);
	rig_frame(f, 0, 1, 60, 0);
	memset(f + 6, 0, 6);
	fake_send(r->port[0], 0, f, 60);
	rig_pass(r);
	memset(f + 6, 0xff, 6);
	fake_send(r->port[0], 0, f, 60);
	rig_frame(f, 0, 1, 60, 0);
	f[6] = 3; // a group
	fake_send(r->port[0], 0, f, 60);
	rig_pass(r);
	assert_int_equal(rig_dropped(r, 0, DROP_malformed), 3);
	assert_int_equal(rig_got(r, 1), 0);
	assert_int_equal(fdb_count(r->fdb), N_PORTS);
}

static void link_local_groups_end_here(void **state)
{
	struct rig *r = *state;
	uint8_t f[64];

	rig_frame(f, 0, 1, 60, 0);
	memcpy(f, "\x01\x80\xc2\x00\x00\x0e", 6);
	fake_send(r->port[0], 0, f, 60);
	f[5] = 0x10; // the first that is not
	fake_send(r->port[0], 0, f, 60);
	rig_pass(r);
	assert_int_equal(rig_dropped(r, 0, DROP_reserved), 1);
	assert_int_equal(rig_got(r, 1), 1);
}

static void a_frame_does_not_turn_back(void **state)
{
	struct rig *r = *state;

	rig_learn_all(r);
	rig_send(r, 0, 9, 1);
	rig_pass(r);
	rig_got(r, 1);
	rig_send(r, 0, 0, 9); // 9 is on port 0 too
	rig_pass(r);
	assert_int_equal(rig_dropped(r, 0, DROP_hairpin), 1);
	for (unsigned i = 0; i < N_PORTS; i++)
		assert_int_equal(rig_got(r, i), 0);
}

// Only what its frame reached alone may be remembered for the next burst.
static void what_was_refused_last_is_refused_again(void **state)
{
	struct rig *r = *state;

	rig_learn_all(r);
	rig_send(r, 0, 9, 1); // 9 is on port 0 too
	rig_pass(r);
	rig_got(r, 1);
	for (unsigned round = 0; round < 3; round++) {
		rig_send(r, 0, 0, 1);
		rig_send(r, 0, 0, 9);
		rig_pass(r);
		assert_int_equal(rig_got(r, 1), 1);
		rig_send(r, 0, 0, 9);
		rig_pass(r);
		assert_int_equal(rig_got(r, 1), 0);
	}
	assert_int_equal(rig_dropped(r, 0, DROP_hairpin), 6);
}

// In a VLAN of two ports what is unknown reaches but one port; it does not live there for that.
static void what_was_flooded_to_one_port_is_not_there(void **state)
{
	struct rig *r = *state;

	r->vlan[2].access = r->vlan[3].access = r->vlan[4].access = 2;
	rig_replan(r);
	rig_learn_all(r);
	rig_send(r, 0, 0, 9);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 1);
	rig_send(r, 0, 9, 0); // turns back, and teaches that 9 is here
	rig_pass(r);
	rig_send(r, 0, 0, 0); // turns back too: 0 is the last source again
	rig_pass(r);
	rig_send(r, 0, 0, 9);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 0);
}

static void isolated_ports_do_not_meet(void **state)
{
	struct rig *r = *state;

	rig_learn_all(r);
	r->in[0].isolated = r->in[1].isolated = true;
	rig_replan(r);
	rig_send(r, 0, 0, 1);
	rig_send(r, 0, 0, 2);
	rig_send(r, 0, 0, ALL);
	rig_send(r, 2, 2, 0);
	rig_pass(r);
	assert_int_equal(rig_dropped(r, 0, DROP_isolated), 1);
	assert_int_equal(rig_got(r, 1), 0);
	assert_int_equal(rig_got(r, 2), 2);
	assert_int_equal(rig_got(r, 0), 1);
}

// --- VLANs ---

static void the_next_destination_is_told_before_its_frames(void **state)
{
	struct rig *r = *state;

	rig_learn_all(r);
	const uint32_t before = fake_calls(r->port[2], 0).fetched;
	rig_send(r, 0, 0, 1);
	rig_send(r, 0, 0, 2);
	rig_send(r, 0, 0, 1);
	rig_send(r, 0, 0, 2);
	rig_send(r, 0, 0, 2);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 2);
	assert_int_equal(rig_got(r, 2), 3);
	assert_int_equal(fake_calls(r->port[2], 0).fetched, before + 3);
	// Which queue it will be is not known.
	fake_set_queues(r->port[2], 2);
	rig_send(r, 0, 0, 1);
	rig_send(r, 0, 0, 2);
	rig_pass(r);
	assert_int_equal(rig_got(r, 2), 1);
	assert_int_equal(fake_calls(r->port[2], 0).fetched, before + 3);
}

static void vlans_are_apart(void **state)
{
	struct rig *r = *state;

	r->vlan[2].access = r->vlan[3].access = 20;
	rig_replan(r);
	rig_send(r, 0, 0, ALL);
	rig_send(r, 2, 2, ALL);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 1);
	assert_int_equal(rig_got(r, 3), 1);
	assert_int_equal(rig_got(r, 4), 1);
	rig_send(r, 0, 0, 2); // lives in another VLAN: unknown in this one
	rig_pass(r);
	assert_int_equal(rig_got(r, 2), 0);
	assert_int_equal(rig_got(r, 3), 0);
	assert_int_equal(rig_got(r, 1), 1);
	// The same address in two VLANs is two stations.
	rig_send(r, 2, 0, ALL);
	rig_pass(r);
	rig_send(r, 1, 1, 0);
	rig_send(r, 3, 3, 0);
	rig_got(r, 0);
	rig_got(r, 2);
	rig_pass(r);
	assert_int_equal(rig_got(r, 0), 1);
	assert_int_equal(rig_got(r, 2), 1);
}

static void access_and_trunk(void **state)
{
	struct rig *r = *state;
	struct fake_frame out;

	r->vlan[0].access = 10;
	r->vlan[1].access = 20;
	rig_trunk(r, 2, 0, 10, 20);
	rig_trunk(r, 3, 10, 20, 20);
	r->vlan[4].access = 30;
	rig_replan(r);

	rig_send(r, 0, 0, ALL); // VLAN 10: tagged to trunk 2, native to trunk 3
	rig_pass(r);
	assert_int_equal(fake_n_received(r->port[2]), 1);
	out = fake_received(r->port[2], 0);
	assert_int_equal(out.len, 64);
	assert_memory_equal(out.bytes + 12, "\x81\x00\x00\x0a\x88\xb5", 6);
	assert_int_equal(fake_received(r->port[3], 0).len, 60);
	assert_int_equal(rig_got(r, 1) + rig_got(r, 4), 0);
	rig_got(r, 2);
	rig_got(r, 3);

	rig_send_tagged(
		r, 2, 2, ALL, 0xe000 | 20); // VLAN 20: untagged to port 1, as it is to trunk 3
	rig_pass(r);
	out = fake_received(r->port[1], 0);
	assert_int_equal(out.len, 60);
	assert_memory_equal(out.bytes + 12, "\x88\xb5", 2);
	out = fake_received(r->port[3], 0);
	assert_int_equal(out.len, 64);
	assert_memory_equal(out.bytes + 12, "\x81\x00\xe0\x14", 4);
	assert_int_equal(rig_got(r, 0) + rig_got(r, 4), 0);
	rig_got(r, 1);
	rig_got(r, 3);

	// Unicast both ways, several at once.
	for (unsigned i = 0; i < 3; i++) {
		rig_send_tagged(r, 2, 2, 0, 10);
		rig_send(r, 0, 0, 2);
	}
	rig_pass(r);
	rig_pass(r);
	assert_int_equal(fake_received(r->port[0], 2).len, 60);
	assert_int_equal(rig_got(r, 0), 3);
	rig_got(r, 2);
	assert_int_equal(rig_dropped_at_all(r), 0);
}

static void vlans_of_one_burst_are_apart(void **state)
{
	struct rig *r = *state;

	r->vlan[0].access = 10;
	r->vlan[1].access = 20;
	rig_trunk(r, 2, 0, 10, 20);
	rig_replan(r);
	for (unsigned i = 0; i < 10; i++)
		rig_send_tagged(r, 2, 2, ALL, i % 2 ? 10 : 20);
	rig_pass(r);
	assert_int_equal(rig_got(r, 0), 5);
	assert_int_equal(rig_got(r, 1), 5);
	assert_int_equal(rig_got(r, 3), 0);
}

static void vlans_that_a_port_has_not(void **state)
{
	struct rig *r = *state;

	r->vlan[0].access = 10;
	rig_trunk(r, 2, 0, 10, 20);
	rig_replan(r);
	rig_send_tagged(r, 0, 0, ALL, 20); // a tag on an access port
	rig_send_tagged(r, 2, 2, ALL, 30); // not carried
	rig_send(r, 2, 2, ALL);            // no native VLAN
	rig_pass(r);
	assert_int_equal(rig_dropped(r, 0, DROP_vlan), 1);
	assert_int_equal(rig_dropped(r, 2, DROP_vlan), 2);
	for (unsigned i = 0; i < N_PORTS; i++)
		assert_int_equal(rig_got(r, i), 0);
	assert_int_equal(fdb_count(r->fdb), 0); // nothing was learnt of them
}

// A station that is known on a port which does not carry the VLAN any more.
static void a_stale_entry_does_not_leak(void **state)
{
	struct rig *r = *state;

	rig_learn_all(r);
	rig_send(r, 0, 0, 1);
	rig_pass(r);
	rig_got(r, 1);
	r->vlan[1].access = 99;
	rig_replan(r);
	rig_send(r, 0, 0, 1);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 0);
	assert_int_equal(rig_dropped(r, 0, DROP_vlan), 1);
}

static void a_double_tag_does_not_hop(void **state)
{
	struct rig *r = *state;
	uint8_t f[68];

	rig_trunk(r, 0, 5, 20, 20);
	rig_trunk(r, 1, 5, 20, 20);
	rig_replan(r);
	rig_frame(f, 0, ALL, 68, 0);
	memcpy(f + 12, "\x81\x00\x00\x05\x81\x00\x00\x14\x88\xb5", 10);
	fake_send(r->port[0], 0, f, sizeof(f));
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 0);
	assert_int_equal(rig_dropped(r, 1, DROP_vlan), 1);
}

// --- Policy ---

static void storms_are_limited(void **state)
{
	struct rig *r = *state;
	const struct policy_config config = {.storm_pps = 1000};

	rig_learn_all(r);
	assert_int_equal(policy_new(&config, 1000000, &r->in[0].policy), 0);
	rig_replan(r);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < FRAME_BURST * 3 / 4; i++)
			rig_send(r, 0, 0, round ? ALL : 0x300 + i);
		for (unsigned i = 0; i < 10; i++)
			rig_send(r, 0, 0, 1);
		rig_pass(r);
	}
	// A burst at once, then no time has passed; known destinations do not count.
	assert_int_equal(rig_got(r, 1), FRAME_BURST + 20);
	assert_int_equal(rig_dropped(r, 0, DROP_storm), FRAME_BURST / 2);
	r->fw.cycles += 10000; // 10 ms
	for (unsigned i = 0; i < 50; i++)
		rig_send(r, 0, 0, ALL);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 10);
	policy_free(r->in[0].policy);
}

// The same burst again and again, which would go the short way without a policy.
static void policy_holds_for_whole_bursts_too(void **state)
{
	struct rig *r = *state;
	const struct policy_config config = {.rate_pps = 1000};

	rig_learn_all(r);
	assert_int_equal(policy_new(&config, 1000000, &r->in[0].policy), 0);
	rig_replan(r);
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < FRAME_BURST / 2; i++)
			rig_send(r, 0, 0, 1);
		rig_pass(r);
	}
	assert_int_equal(rig_got(r, 1), FRAME_BURST);
	assert_int_equal(rig_dropped(r, 0, DROP_rate), FRAME_BURST);
	policy_free(r->in[0].policy);
}

static void spoofed_sources_are_not_learnt(void **state)
{
	struct rig *r = *state;
	struct policy_config config = {.n_macs = 1};

	rig_learn_all(r);
	rig_mac(config.macs[0], 0);
	assert_int_equal(policy_new(&config, 1000000, &r->in[0].policy), 0);
	rig_replan(r);
	rig_send(r, 0, 0, 1);
	rig_send(r, 0, 4, 1); // says it is station 4
	rig_send(r, 0, 0, 1);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 2);
	assert_int_equal(rig_dropped(r, 0, DROP_spoofed), 1);
	rig_send(r, 1, 1, 4);
	rig_pass(r);
	assert_int_equal(rig_got(r, 4), 1);
	assert_int_equal(rig_got(r, 0), 0);
	policy_free(r->in[0].policy);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(unknown_goes_everywhere_known_to_one),
		TEST(bytes_arrive_unchanged),
		TEST(whole_bursts_keep_their_order),
		TEST(mixed_bursts_keep_their_order),
		TEST(bug_the_unknown_is_looked_up_again_after_a_group),
		TEST(many_sources_are_learnt),
		TEST(a_newcomer_among_many_is_learnt),
		TEST(sampled_sources_are_all_renewed),
		TEST(an_address_moves),
		TEST(a_forgotten_source_is_learnt_again_at_once),
		TEST(a_source_is_renewed_each_second),
		TEST(learning_is_tried_again_if_the_lock_was_taken),
		TEST(an_address_that_had_to_go_is_told),
		TEST(a_flood_of_addresses_is_slowed_down),
		TEST(impossible_sources_are_malformed),
		TEST(vlans_of_one_burst_are_apart),
		TEST(policy_holds_for_whole_bursts_too),
		TEST(link_local_groups_end_here),
		TEST(a_frame_does_not_turn_back),
		TEST(what_was_refused_last_is_refused_again),
		TEST(what_was_flooded_to_one_port_is_not_there),
		TEST(isolated_ports_do_not_meet),
		TEST(the_next_destination_is_told_before_its_frames),
		TEST(vlans_are_apart),
		TEST(access_and_trunk),
		TEST(vlans_that_a_port_has_not),
		TEST(a_stale_entry_does_not_leak),
		TEST(a_double_tag_does_not_hop),
		TEST(storms_are_limited),
		TEST(spoofed_sources_are_not_learnt),
	};
	const int failed = cmocka_run_group_tests_name("bursts as they are", tests, NULL, NULL);

	fake_set_sums(true);
	return failed + cmocka_run_group_tests_name("bursts that are summed", tests, NULL, NULL);
}
