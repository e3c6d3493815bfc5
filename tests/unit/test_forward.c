// SPDX-License-Identifier: BSD-2-Clause
// Forwarding, burst by burst, between ports in memory and without threads.
#include "dataplane/switch/forward.h"

#include "dataplane/frame/eth.h"
#include "dataplane/frame/offload.h"
#include "dataplane/switch/policy.h"
#include "dataplane/switch/tape.h"
#include "tests/lib/craft.h"
#include "tests/lib/fake_port.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

const struct port_ops *const port_types[] = {&fake_port_ops, NULL};

#define N_PORTS 5

// Five ports, 0 to 4, of VLAN 1 unless a test says otherwise.
struct rig {
	struct forward fw;
	struct burst burst;
	struct fdb *fdb;
	struct event_ring events;
	struct plan *plan;
	uint64_t seq;
	struct port *port[N_PORTS];
	struct lane lanes[N_PORTS][PORT_QUEUES_MAX];
	struct vlan_config vlan[N_PORTS];
	struct plan_input in[N_PORTS];
};

// Makes a plan of what the inputs say now.
static void replan(struct rig *r)
{
	plan_free(r->plan);
	r->plan = plan_new(++r->seq, r->in, N_PORTS);
	assert_non_null(r->plan);
	r->fw.plan = r->plan;
}

static int setup(void **state)
{
	struct rig *r = aligned_alloc(64, (sizeof(*r) + 63) / 64 * 64);

	assert_non_null(r);
	memset(r, 0, sizeof(*r));
	assert_int_equal(fdb_new(1024, &r->fdb), 0);
	assert_int_equal(event_ring_init(&r->events, -1), 0);
	forward_init(&r->fw, 0, false, r->fdb, &r->events);
	r->fw.now = 1000;
	for (unsigned i = 0; i < N_PORTS; i++) {
		struct port_config c = {.type = "fake", .queues = 1};
		const struct port_upcalls up = {0};
		snprintf(c.name, sizeof(c.name), "p%u", i);
		assert_int_equal(port_new(&c, &up, &r->port[i], NULL), 0);
		r->port[i]->id = i;
		r->vlan[i].access = 1;
		r->in[i] = (struct plan_input){
			.port = r->port[i], .lanes = r->lanes[i], .vlan = &r->vlan[i]};
	}
	replan(r);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < N_PORTS; i++)
		port_free(r->port[i]);
	plan_free(r->plan);
	event_ring_fini(&r->events);
	fdb_free(r->fdb);
	free(r);
	return 0;
}

// One pass over all queues.
static void pass(struct rig *r)
{
	for (uint32_t i = 0; i < r->plan->n_rxq[0]; i++) {
		const struct plan_rxq *rq = &r->plan->rxq[0][i];
		if (!rq->ops->rx(rq->port, rq->q, &r->burst, rq->stats))
			continue;
		forward(&r->fw, rq, &r->burst);
		rq->ops->rx_done(rq->port, rq->q, &r->burst);
		forward_touch_rx(&r->fw, rq);
	}
	forward_notify(&r->fw);
}

static void mac(uint8_t *to, unsigned n)
{
	memcpy(to, (uint8_t[]){2, 0, 0, 0, (uint8_t)(n >> 8), (uint8_t)n}, 6);
}

#define ALL 0xffffu // the broadcast address as a station's number

// A frame of `len` bytes from station `from` to station `to`, whose last byte is `mark`.
static uint32_t frame_make(uint8_t *f, unsigned from, unsigned to, uint32_t len, uint8_t mark)
{
	for (uint32_t i = 14; i < len; i++)
		f[i] = (uint8_t)(i * 7);
	mac(f, to);
	if (to == ALL)
		memset(f, 0xff, 6);
	mac(f + 6, from);
	memcpy(f + 12, "\x88\xb5", 2);
	f[len - 1] = mark;
	return len;
}

static void send_len(
	struct rig *r, unsigned port, unsigned from, unsigned to, uint32_t len, uint8_t mark)
{
	uint8_t f[2048];

	fake_send(r->port[port], 0, f, frame_make(f, from, to, len, mark));
}

static void send(struct rig *r, unsigned port, unsigned from, unsigned to)
{
	send_len(r, port, from, to, 60, 0);
}

// The same with a tag.
static void send_tagged(struct rig *r, unsigned port, unsigned from, unsigned to, uint16_t tci)
{
	uint8_t f[64], t[64];

	frame_make(f, from, to, 60, 0);
	memcpy(t, f, 12);
	memcpy(t + 12, (uint8_t[]){0x81, 0, (uint8_t)(tci >> 8), (uint8_t)tci}, 4);
	memcpy(t + 16, f + 12, 48);
	fake_send(r->port[port], 0, t, 64);
}

static uint32_t got(struct rig *r, unsigned port)
{
	uint32_t n = fake_n_received(r->port[port]);

	fake_forget(r->port[port]);
	return n;
}

static uint64_t dropped(struct rig *r, unsigned port, enum drop_reason why)
{
	return r->port[port]->stats[0]->drop[why];
}

static uint64_t dropped_at_all(struct rig *r)
{
	uint64_t n = 0;

	for (unsigned p = 0; p < N_PORTS; p++)
		for (unsigned why = 0; why < N_DROP_REASONS; why++)
			n += dropped(r, p, why);
	return n;
}

// Station n lives on port n.
static void learn_all(struct rig *r)
{
	for (unsigned i = 0; i < N_PORTS; i++)
		send(r, i, i, ALL);
	pass(r);
	for (unsigned i = 0; i < N_PORTS; i++)
		fake_forget(r->port[i]);
}

static void unknown_goes_everywhere_known_to_one(void **state)
{
	struct rig *r = *state;

	send(r, 0, 0, 3);
	pass(r);
	assert_int_equal(got(r, 0), 0);
	for (unsigned i = 1; i < N_PORTS; i++)
		assert_int_equal(got(r, i), 1);
	send(r, 3, 3, 0);
	pass(r);
	assert_int_equal(got(r, 0), 1);
	for (unsigned i = 1; i < N_PORTS; i++)
		assert_int_equal(got(r, i), 0);
	assert_int_equal(dropped_at_all(r), 0);
	assert_int_equal(fake_backlog(r->port[0]), 0); // given back
}

static void bytes_arrive_unchanged(void **state)
{
	struct rig *r = *state;
	static const uint32_t lens[] = {14, 15, 60, 63, 64, 65, 200, 1514};
	uint8_t f[2048];

	learn_all(r);
	for (unsigned i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
		fake_send(r->port[0], 0, f, frame_make(f, 0, 1, lens[i], (uint8_t)i));
		if (lens[i] == 14)
			f[13] = 0xb5;
		pass(r);
		assert_int_equal(fake_n_received(r->port[1]), 1);
		struct fake_frame out = fake_received(r->port[1], 0);
		assert_int_equal(out.len, lens[i]);
		frame_make(f, 0, 1, lens[i], (uint8_t)i);
		assert_memory_equal(out.bytes, f, lens[i]);
		fake_forget(r->port[1]);
	}
}

// Twice the same burst: the second goes the short way, and both look the same from outside.
static void whole_bursts_keep_their_order(void **state)
{
	struct rig *r = *state;

	learn_all(r);
	for (unsigned round = 0; round < 3; round++) {
		for (uint8_t i = 0; i < FRAME_BURST; i++)
			send_len(r, 0, 0, 1, 60, i);
		pass(r);
		assert_int_equal(fake_n_received(r->port[1]), FRAME_BURST);
		for (uint8_t i = 0; i < FRAME_BURST; i++)
			assert_int_equal(fake_received(r->port[1], i).bytes[59], i);
		fake_forget(r->port[1]);
	}
	assert_int_equal(fake_calls(r->port[1], 0).tx, 3 + N_PORTS - 1);
	assert_int_equal(dropped_at_all(r), 0);
}

// Destinations, unknown ones and broadcasts in turns: each port sees its own in order.
static void mixed_bursts_keep_their_order(void **state)
{
	struct rig *r = *state;
	static const unsigned to[] = {1, 2, ALL, 1, 77, 3, 1, 77, 2, 4, ALL, 4, 1, 1, 2, 0x123};
	const unsigned n = sizeof(to) / sizeof(*to);

	learn_all(r);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < n; i++)
			send_len(r, 0, 0, to[i], 60, (uint8_t)i);
		pass(r);
		for (unsigned p = 1; p < N_PORTS; p++) {
			uint32_t at = 0;
			for (unsigned i = 0; i < n; i++) {
				if (to[i] != p && to[i] < N_PORTS)
					continue;
				assert_int_equal(fake_received(r->port[p], at++).bytes[59], i);
			}
			assert_int_equal(got(r, p), at);
		}
	}
}

// A burst whose frames alternate between an unknown, a group and the unknown address again.
static void bug_the_unknown_is_looked_up_again_after_a_group(void **state)
{
	struct rig *r = *state;
	static const unsigned to[] = {77, ALL, 77, 1, 77, ALL, 1, 78, ALL, 77};

	learn_all(r);
	memset(r->fw.hash, 0xff, sizeof(r->fw.hash)); // a stale hash would look elsewhere
	for (unsigned i = 0; i < sizeof(to) / sizeof(*to); i++)
		send(r, 0, 0, to[i]);
	send(r, 4, 77, 0); // 77 is known from the second pass on
	pass(r);
	assert_int_equal(got(r, 1), 10);
	assert_int_equal(got(r, 2), 8);
	assert_int_equal(got(r, 4), 8);
	memset(r->fw.hash, 0xff, sizeof(r->fw.hash));
	for (unsigned i = 0; i < sizeof(to) / sizeof(*to); i++)
		send(r, 0, 0, to[i]);
	pass(r);
	assert_int_equal(got(r, 1), 2 + 3 + 1);
	assert_int_equal(got(r, 2), 3 + 1);
	assert_int_equal(got(r, 4), 4 + 3 + 1);
}

static void many_sources_are_learnt(void **state)
{
	struct rig *r = *state;
	uint32_t where;

	for (unsigned round = 0; round < FRAME_BURST / LEARN_MAX; round++) {
		for (unsigned i = 0; i < FRAME_BURST; i++)
			send(r, 2, 100 + i, 0);
		pass(r);
		// A burst teaches LEARN_MAX addresses; its next ones the rest.
		assert_int_equal(fdb_count(r->fdb), (round + 1) * LEARN_MAX);
	}
	uint8_t m[6];
	for (unsigned i = 0; i < FRAME_BURST; i++) {
		mac(m, 100 + i);
		fdb_find(r->fdb, fdb_key(eth_addr(m), 1), &where);
		assert_int_equal(where, 2);
	}
}

static void an_address_moves(void **state)
{
	struct rig *r = *state;
	struct fdb_event ev;
	uint32_t n = 0;

	learn_all(r);
	while (event_ring_pop(&r->events, &ev))
		assert_int_equal(ev.kind, EVENT_FDB_LEARNT);
	send(r, 0, 0, 1);
	pass(r);
	assert_int_equal(got(r, 1), 1);
	// 1 moves to port 2, back, and again: caches on both sides must not hold it anywhere.
	for (unsigned round = 0; round < 3; round++) {
		send(r, 2, 1, 0);
		pass(r);
		send(r, 0, 0, 1);
		pass(r);
		assert_int_equal(got(r, 2), 1);
		assert_int_equal(got(r, 1), 0);
		send(r, 1, 1, 0);
		pass(r);
		send(r, 0, 0, 1);
		pass(r);
		assert_int_equal(got(r, 2), 0);
		assert_int_equal(got(r, 1), 1);
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

	learn_all(r);
	send(r, 0, 0, 1);
	pass(r);
	mac(m, 0);
	assert_int_equal(fdb_del(r->fdb, fdb_key(eth_addr(m), 1)), 0);
	send(r, 0, 0, 1);
	pass(r);
	fdb_find(r->fdb, fdb_key(eth_addr(m), 1), &where);
	assert_int_equal(where, 0);
}

static void a_source_is_renewed_each_second(void **state)
{
	struct rig *r = *state;
	uint8_t m[6];
	uint32_t where;

	learn_all(r);
	mac(m, 0);
	for (r->fw.now = 1001; r->fw.now < 1004; r->fw.now++) {
		send(r, 0, 0, 1);
		pass(r);
		struct fdb_entry *e = fdb_find(r->fdb, fdb_key(eth_addr(m), 1), &where);
		assert_int_equal(e->seen, r->fw.now);
	}
}

static void learning_is_tried_again_if_the_lock_was_taken(void **state)
{
	struct rig *r = *state;

	pthread_mutex_lock(&r->fdb->lock);
	send(r, 0, 0, 1);
	pass(r);
	assert_int_equal(fdb_count(r->fdb), 0);
	assert_int_equal(got(r, 1), 1); // forwarded all the same
	pthread_mutex_unlock(&r->fdb->lock);
	send(r, 0, 0, 1);
	pass(r);
	assert_int_equal(fdb_count(r->fdb), 1);
}

static void impossible_sources_are_malformed(void **state)
{
	struct rig *r = *state;
	uint8_t f[64];

	learn_all(r);
	fake_forget(r->port[1]);
	frame_make(f, 0, 1, 60, 0);
	memset(f + 6, 0, 6);
	fake_send(r->port[0], 0, f, 60);
	pass(r);
	memset(f + 6, 0xff, 6);
	fake_send(r->port[0], 0, f, 60);
	frame_make(f, 0, 1, 60, 0);
	f[6] = 3; // a group
	fake_send(r->port[0], 0, f, 60);
	pass(r);
	assert_int_equal(dropped(r, 0, DROP_malformed), 3);
	assert_int_equal(got(r, 1), 0);
	assert_int_equal(fdb_count(r->fdb), N_PORTS);
}

static void link_local_groups_end_here(void **state)
{
	struct rig *r = *state;
	uint8_t f[64];

	frame_make(f, 0, 1, 60, 0);
	memcpy(f, "\x01\x80\xc2\x00\x00\x0e", 6);
	fake_send(r->port[0], 0, f, 60);
	f[5] = 0x10; // the first that is not
	fake_send(r->port[0], 0, f, 60);
	pass(r);
	assert_int_equal(dropped(r, 0, DROP_reserved), 1);
	assert_int_equal(got(r, 1), 1);
}

static void a_frame_does_not_turn_back(void **state)
{
	struct rig *r = *state;

	learn_all(r);
	send(r, 0, 9, 1);
	pass(r);
	got(r, 1);
	send(r, 0, 0, 9); // 9 is on port 0 too
	pass(r);
	assert_int_equal(dropped(r, 0, DROP_hairpin), 1);
	for (unsigned i = 0; i < N_PORTS; i++)
		assert_int_equal(got(r, i), 0);
}

static void isolated_ports_do_not_meet(void **state)
{
	struct rig *r = *state;

	learn_all(r);
	r->in[0].isolated = r->in[1].isolated = true;
	replan(r);
	send(r, 0, 0, 1);
	send(r, 0, 0, 2);
	send(r, 0, 0, ALL);
	send(r, 2, 2, 0);
	pass(r);
	assert_int_equal(dropped(r, 0, DROP_isolated), 1);
	assert_int_equal(got(r, 1), 0);
	assert_int_equal(got(r, 2), 2);
	assert_int_equal(got(r, 0), 1);
}

// --- VLANs ---

static void vlan_trunk(struct rig *r, unsigned port, uint16_t native, uint16_t a, uint16_t b)
{
	r->vlan[port] = (struct vlan_config){.is_trunk = true, .native = native};
	r->vlan[port].trunk[a / 64] |= 1ull << (a % 64);
	r->vlan[port].trunk[b / 64] |= 1ull << (b % 64);
}

static void vlans_are_apart(void **state)
{
	struct rig *r = *state;

	r->vlan[2].access = r->vlan[3].access = 20;
	replan(r);
	send(r, 0, 0, ALL);
	send(r, 2, 2, ALL);
	pass(r);
	assert_int_equal(got(r, 1), 1);
	assert_int_equal(got(r, 3), 1);
	assert_int_equal(got(r, 4), 1);
	send(r, 0, 0, 2); // lives in another VLAN: unknown in this one
	pass(r);
	assert_int_equal(got(r, 2), 0);
	assert_int_equal(got(r, 3), 0);
	assert_int_equal(got(r, 1), 1);
	// The same address in two VLANs is two stations.
	send(r, 2, 0, ALL);
	pass(r);
	send(r, 1, 1, 0);
	send(r, 3, 3, 0);
	got(r, 0);
	got(r, 2);
	pass(r);
	assert_int_equal(got(r, 0), 1);
	assert_int_equal(got(r, 2), 1);
}

static void access_and_trunk(void **state)
{
	struct rig *r = *state;
	struct fake_frame out;

	r->vlan[0].access = 10;
	r->vlan[1].access = 20;
	vlan_trunk(r, 2, 0, 10, 20);
	vlan_trunk(r, 3, 10, 20, 20);
	r->vlan[4].access = 30;
	replan(r);

	send(r, 0, 0, ALL); // VLAN 10: tagged to trunk 2, native to trunk 3
	pass(r);
	assert_int_equal(fake_n_received(r->port[2]), 1);
	out = fake_received(r->port[2], 0);
	assert_int_equal(out.len, 64);
	assert_memory_equal(out.bytes + 12, "\x81\x00\x00\x0a\x88\xb5", 6);
	assert_int_equal(fake_received(r->port[3], 0).len, 60);
	assert_int_equal(got(r, 1) + got(r, 4), 0);
	got(r, 2);
	got(r, 3);

	send_tagged(r, 2, 2, ALL, 0xe000 | 20); // VLAN 20: untagged to port 1, as it is to trunk 3
	pass(r);
	out = fake_received(r->port[1], 0);
	assert_int_equal(out.len, 60);
	assert_memory_equal(out.bytes + 12, "\x88\xb5", 2);
	out = fake_received(r->port[3], 0);
	assert_int_equal(out.len, 64);
	assert_memory_equal(out.bytes + 12, "\x81\x00\xe0\x14", 4);
	assert_int_equal(got(r, 0) + got(r, 4), 0);
	got(r, 1);
	got(r, 3);

	// Unicast both ways, several at once.
	for (unsigned i = 0; i < 3; i++) {
		send_tagged(r, 2, 2, 0, 10);
		send(r, 0, 0, 2);
	}
	pass(r);
	pass(r);
	assert_int_equal(fake_received(r->port[0], 2).len, 60);
	assert_int_equal(got(r, 0), 3);
	got(r, 2);
	assert_int_equal(dropped_at_all(r), 0);
}

static void vlans_that_a_port_has_not(void **state)
{
	struct rig *r = *state;

	r->vlan[0].access = 10;
	vlan_trunk(r, 2, 0, 10, 20);
	replan(r);
	send_tagged(r, 0, 0, ALL, 20); // a tag on an access port
	send_tagged(r, 2, 2, ALL, 30); // not carried
	send(r, 2, 2, ALL);            // no native VLAN
	pass(r);
	assert_int_equal(dropped(r, 0, DROP_vlan), 1);
	assert_int_equal(dropped(r, 2, DROP_vlan), 2);
	for (unsigned i = 0; i < N_PORTS; i++)
		assert_int_equal(got(r, i), 0);
	assert_int_equal(fdb_count(r->fdb), 0); // nothing was learnt of them
}

// A station that is known on a port which does not carry the VLAN any more.
static void a_stale_entry_does_not_leak(void **state)
{
	struct rig *r = *state;

	learn_all(r);
	send(r, 0, 0, 1);
	pass(r);
	got(r, 1);
	r->vlan[1].access = 99;
	replan(r);
	send(r, 0, 0, 1);
	pass(r);
	assert_int_equal(got(r, 1), 0);
	assert_int_equal(dropped(r, 0, DROP_vlan), 1);
}

static void a_double_tag_does_not_hop(void **state)
{
	struct rig *r = *state;
	uint8_t f[68];

	vlan_trunk(r, 0, 5, 20, 20);
	vlan_trunk(r, 1, 5, 20, 20);
	replan(r);
	frame_make(f, 0, ALL, 68, 0);
	memcpy(f + 12, "\x81\x00\x00\x05\x81\x00\x00\x14\x88\xb5", 10);
	fake_send(r->port[0], 0, f, sizeof(f));
	pass(r);
	assert_int_equal(got(r, 1), 0);
	assert_int_equal(dropped(r, 1, DROP_vlan), 1);
}

// --- Destinations that cannot take it ---

static void a_full_ring_drops_only_its_own(void **state)
{
	struct rig *r = *state;

	learn_all(r);
	fake_set_room(r->port[1], 0, 3);
	for (uint8_t i = 0; i < 10; i++)
		send_len(r, 0, 0, 1 + i % 2, 60, i);
	pass(r);
	assert_int_equal(dropped(r, 1, DROP_ring_full), 2);
	assert_int_equal(dropped(r, 0, DROP_ring_full), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fake_received(r->port[1], i).bytes[59], 2 * i);
	assert_int_equal(got(r, 1), 3);
	assert_int_equal(got(r, 2), 5);
}

static void what_did_not_fit_is_offered_again(void **state)
{
	struct rig *r = *state;

	learn_all(r);
	for (unsigned same = 0; same < 2; same++) { // to one destination only, and to two
		fake_set_room(r->port[1], 0, 3);
		fake_set_late_room(r->port[1], 0, 4);
		for (uint8_t i = 0; i < 20; i++)
			send_len(r, 0, 0, same ? 1 : 1 + i % 2, 60, i);
		pass(r);
		assert_int_equal(fake_n_received(r->port[1]), 7);
		for (unsigned i = 0; i < 7; i++)
			assert_int_equal(fake_received(r->port[1], i).bytes[59], same ? i : 2 * i);
		assert_int_equal(dropped(r, 1, DROP_ring_full), same ? 3 + 13 : 3);
		fake_forget(r->port[1]);
	}
}

// A flooded frame that waits for its second chance has been retagged for others meanwhile.
static void the_second_offer_has_the_right_tag(void **state)
{
	struct rig *r = *state;

	vlan_trunk(r, 2, 0, 1, 1);
	vlan_trunk(r, 3, 0, 1, 1);
	replan(r);
	fake_set_room(r->port[1], 0, 0);
	fake_set_late_room(r->port[1], 0, 10);
	fake_set_room(r->port[3], 0, 0);
	fake_set_late_room(r->port[3], 0, 10);
	send(r, 0, 0, ALL);
	pass(r);
	assert_int_equal(fake_received(r->port[1], 0).len, 60);
	assert_int_equal(fake_received(r->port[2], 0).len, 64);
	assert_int_equal(fake_received(r->port[3], 0).len, 64);
	assert_int_equal(fake_received(r->port[4], 0).len, 60);
	assert_int_equal(dropped_at_all(r), 0);
}

static void a_port_that_is_down(void **state)
{
	struct rig *r = *state;

	learn_all(r);
	fake_set_link(r->port[1], PORT_LINK_DOWN, "test");
	send(r, 0, 0, 1);
	send(r, 0, 0, ALL); // floods pass it over in silence
	pass(r);
	assert_int_equal(got(r, 1), 0);
	assert_int_equal(got(r, 2), 1);
	assert_int_equal(dropped(r, 1, DROP_port_down), 1);
}

static void frames_longer_than_the_mtu(void **state)
{
	struct rig *r = *state;

	learn_all(r);
	send_len(r, 0, 0, 1, 1514, 0);
	send_len(r, 0, 0, 1, 1515, 0);
	send_len(r, 0, 0, 1, 60, 0);
	pass(r);
	assert_int_equal(got(r, 1), 2);
	assert_int_equal(dropped(r, 1, DROP_too_long), 1);
	// A tag does not count.
	vlan_trunk(r, 1, 0, 1, 1);
	replan(r);
	send_len(r, 0, 0, 1, 1514, 0);
	send_len(r, 0, 0, 1, 1515, 0);
	pass(r);
	assert_int_equal(fake_received(r->port[1], 0).len, 1518);
	assert_int_equal(got(r, 1), 1);
	assert_int_equal(dropped(r, 1, DROP_too_long), 2);
}

static void removed_ports_are_not_touched(void **state)
{
	struct rig *r = *state;

	learn_all(r);
	send(r, 0, 0, 1);
	pass(r);
	got(r, 1);
	// Port 1 leaves; its addresses are still there.
	struct plan_input in[N_PORTS - 1] = {r->in[0], r->in[2], r->in[3], r->in[4]};
	plan_free(r->plan);
	r->fw.plan = r->plan = plan_new(++r->seq, in, N_PORTS - 1);
	send(r, 0, 0, 1);
	send(r, 0, 0, ALL);
	pass(r);
	assert_int_equal(got(r, 1), 0);
	assert_int_equal(got(r, 2), 1);
	assert_int_equal(dropped(r, 0, DROP_port_down), 1);
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
	pass(r);
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
	pass(r);
	assert_int_equal(fake_n_received(r->port[2]), 2);
	struct fake_frame out = fake_received(r->port[2], 0);
	assert_int_equal(out.len, 60054);
	assert_int_equal(out.offload.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(out.offload.gso_size, 1448);
	assert_false(tcp_checksum_ok(out.bytes, out.len));
	out = fake_received(r->port[2], 1);
	assert_int_equal(out.offload.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(dropped_at_all(r), 0);
}

static void checksums_are_completed_for_who_has_not(void **state)
{
	struct rig *r = *state;

	learn_crafted(r);
	send_segment(r, 101, 0);
	pass(r);
	struct fake_frame out = fake_received(r->port[2], 0);
	assert_int_equal(out.offload.flags, 0);
	assert_true(tcp_checksum_ok(out.bytes, out.len));
	assert_int_equal(dropped_at_all(r), 0);
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
		pass(r);
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
	assert_int_equal(dropped_at_all(r), 0);
}

static void a_full_ring_drops_the_rest_of_a_segment(void **state)
{
	struct rig *r = *state;

	learn_crafted(r);
	fake_set_room(r->port[2], 0, 10);
	send_segment(r, 64000, 1000); // one burst of 64 parts
	pass(r);
	assert_int_equal(got(r, 2), 10);
	assert_int_equal(dropped(r, 2, DROP_ring_full), 54);
}

static void segments_too_long_for_the_mtu(void **state)
{
	struct rig *r = *state;

	learn_crafted(r);
	fake_set_offloads(r->port[2], PORT_OFFLOAD_CSUM | PORT_OFFLOAD_TSO4);
	send_segment(r, 20000, 1460); // makes 1,514
	send_segment(r, 20000, 1461);
	pass(r);
	assert_int_equal(got(r, 2), 1);
	assert_int_equal(dropped(r, 2, DROP_too_long), 1);
}

// One large broadcast frame, three kinds of receivers and a trunk: each gets its own form of it.
static void a_flooded_segment_serves_all_kinds(void **state)
{
	struct rig *r = *state;

	vlan_trunk(r, 0, 0, 1, 1);
	vlan_trunk(r, 4, 0, 1, 1);
	replan(r);
	fake_set_offloads(r->port[3], PORT_OFFLOAD_CSUM | PORT_OFFLOAD_TSO4);
	fake_set_offloads(r->port[4], PORT_OFFLOAD_CSUM | PORT_OFFLOAD_TSO4);
	send_segment(r, 4000, 1000); // 2 is not known
	pass(r);
	assert_int_equal(fake_received(r->port[0], 0).len, 54 + 4 + 1000);
	assert_memory_equal(fake_received(r->port[0], 3).bytes + 12, "\x81\x00\x00\x01\x08\x00", 6);
	assert_int_equal(got(r, 0), 4);
	assert_int_equal(fake_received(r->port[2], 3).len, 54 + 1000);
	assert_true(tcp_checksum_ok(fake_received(r->port[2], 3).bytes, 1054));
	assert_int_equal(got(r, 2), 4);
	assert_int_equal(fake_received(r->port[3], 0).offload.csum_start, 34);
	assert_int_equal(fake_received(r->port[3], 0).offload.hdr_len, 54);
	assert_int_equal(got(r, 3), 1);
	assert_int_equal(fake_received(r->port[4], 0).offload.csum_start, 38);
	assert_int_equal(fake_received(r->port[4], 0).offload.hdr_len, 58);
	assert_int_equal(fake_received(r->port[4], 0).len, 4058);
	assert_int_equal(got(r, 4), 1);
	assert_int_equal(dropped_at_all(r), 0);
}

// --- Queues, notification, policy, capture ---

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
		pass(r);
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

static void each_touched_queue_is_told_once_a_pass(void **state)
{
	struct rig *r = *state;

	learn_all(r);
	struct fake_calls a0 = fake_calls(r->port[0], 0), b0 = fake_calls(r->port[1], 0),
			  c0 = fake_calls(r->port[3], 0);
	for (unsigned i = 0; i < 5; i++) {
		send(r, 0, 0, 1);
		send(r, 2, 2, 1);
		send(r, 1, 1, 0);
	}
	pass(r);
	struct fake_calls a = fake_calls(r->port[0], 0), b = fake_calls(r->port[1], 0),
			  c = fake_calls(r->port[3], 0);
	assert_int_equal(a.notify_rx - a0.notify_rx, 1);
	assert_int_equal(a.notify_tx - a0.notify_tx, 1);
	assert_int_equal(b.notify_rx - b0.notify_rx, 1);
	assert_int_equal(b.notify_tx - b0.notify_tx, 1);
	assert_int_equal(c.notify_rx + c.notify_tx, c0.notify_rx + c0.notify_tx);
	pass(r); // nothing to do, nobody to tell
	assert_int_equal(fake_calls(r->port[0], 0).notify_rx, a.notify_rx);
}

static void storms_are_limited(void **state)
{
	struct rig *r = *state;
	const struct policy_config config = {.storm_pps = 1000};

	learn_all(r);
	assert_int_equal(policy_new(&config, 1000000, &r->in[0].policy), 0);
	replan(r);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 50; i++)
			send(r, 0, 0, round ? ALL : 0x300 + i);
		for (unsigned i = 0; i < 10; i++)
			send(r, 0, 0, 1);
		pass(r);
	}
	// 64 at once, then no time has passed; known destinations do not count.
	assert_int_equal(got(r, 1), 64 + 20);
	assert_int_equal(dropped(r, 0, DROP_storm), 36);
	r->fw.cycles += 10000; // 10 ms
	for (unsigned i = 0; i < 50; i++)
		send(r, 0, 0, ALL);
	pass(r);
	assert_int_equal(got(r, 1), 10);
	policy_free(r->in[0].policy);
}

static void spoofed_sources_are_not_learnt(void **state)
{
	struct rig *r = *state;
	struct policy_config config = {.n_macs = 1};

	learn_all(r);
	mac(config.macs[0], 0);
	assert_int_equal(policy_new(&config, 1000000, &r->in[0].policy), 0);
	replan(r);
	send(r, 0, 0, 1);
	send(r, 0, 4, 1); // says it is station 4
	send(r, 0, 0, 1);
	pass(r);
	assert_int_equal(got(r, 1), 2);
	assert_int_equal(dropped(r, 0, DROP_spoofed), 1);
	send(r, 1, 1, 4);
	pass(r);
	assert_int_equal(got(r, 4), 1);
	assert_int_equal(got(r, 0), 0);
	policy_free(r->in[0].policy);
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

	learn_all(r);
	vlan_trunk(r, 1, 0, 1, 1);
	assert_int_equal(tape_new(CAPTURE_RX | CAPTURE_TX, 128, 1, &r->in[1].tape), 0);
	replan(r);
	n_seen = 0;
	send(r, 0, 0, 1);
	pass(r);
	assert_int_equal(tape_read(r->in[1].tape, 10, see, NULL), 1);
	assert_int_equal(last_seen.dir, CAPTURE_TX);
	assert_int_equal(last_seen.len, 64);
	assert_memory_equal(last_bytes + 12, "\x81\x00\x00\x01", 4);
	send_tagged(r, 1, 1, 0, 77); // dropped, but it was sent
	send_tagged(r, 1, 1, 0, 1);
	pass(r);
	assert_int_equal(tape_read(r->in[1].tape, 10, see, NULL), 2);
	assert_int_equal(last_seen.dir, CAPTURE_RX);
	assert_memory_equal(last_bytes + 12, "\x81\x00\x00\x01", 4);
	tape_free(r->in[1].tape);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(unknown_goes_everywhere_known_to_one),
		TEST(bytes_arrive_unchanged),
		TEST(whole_bursts_keep_their_order),
		TEST(mixed_bursts_keep_their_order),
		TEST(bug_the_unknown_is_looked_up_again_after_a_group),
		TEST(many_sources_are_learnt),
		TEST(an_address_moves),
		TEST(a_forgotten_source_is_learnt_again_at_once),
		TEST(a_source_is_renewed_each_second),
		TEST(learning_is_tried_again_if_the_lock_was_taken),
		TEST(impossible_sources_are_malformed),
		TEST(link_local_groups_end_here),
		TEST(a_frame_does_not_turn_back),
		TEST(isolated_ports_do_not_meet),
		TEST(vlans_are_apart),
		TEST(access_and_trunk),
		TEST(vlans_that_a_port_has_not),
		TEST(a_stale_entry_does_not_leak),
		TEST(a_double_tag_does_not_hop),
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
		TEST(segments_too_long_for_the_mtu),
		TEST(a_flooded_segment_serves_all_kinds),
		TEST(flows_stay_on_their_queue),
		TEST(each_touched_queue_is_told_once_a_pass),
		TEST(storms_are_limited),
		TEST(spoofed_sources_are_not_learnt),
		TEST(captured_as_sent_and_as_delivered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
