// SPDX-License-Identifier: BSD-2-Clause
// Forwarding against a bridge written down in the simplest way: random ports, tags, stations and
// bursts; each port must receive exactly what the simple bridge says, in its order and form.
#include "dataplane/switch/forward.h"

#include "dataplane/frame/eth.h"
#include "tests/lib/switch_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ROUNDS     40000u
#define STATIONS   5u
#define N_VLANS    2u // 1 and 2
#define FRAME_LEN  64u
#define UNTAGGED   0xffffu
#define GROUP      (STATIONS + 1)
#define BROADCAST  (STATIONS + 2)
#define IMPOSSIBLE (STATIONS + 3) // a group address as a source

// A frame as the test made it.
struct sent {
	unsigned from, to;
	uint16_t tci; // or UNTAGGED
	uint32_t seq;
};

// What a port should receive.
struct expected {
	uint32_t n;
	struct {
		uint32_t seq;
		uint16_t tci;
	} f[FRAME_BURST];
};

// The simple bridge.
struct model {
	int8_t where[N_VLANS + 1][STATIONS]; // port, -1 unknown
};

static uint32_t random_state;

static uint32_t rnd(uint32_t below)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)(random_state >> 8) * below >> 24);
}

static void put_station(uint8_t *to, unsigned n)
{
	rig_mac(to, n);
	if (n == BROADCAST)
		memset(to, 0xff, 6);
	if (n == GROUP || n == IMPOSSIBLE)
		memcpy(to, "\x01\x00\x5e\x00\x00\x05", 6);
}

static void send(struct rig *r, unsigned port, const struct sent *s)
{
	uint8_t f[FRAME_LEN + 4] = {0}, *p = f + 12;
	uint32_t len = FRAME_LEN;

	put_station(f, s->to);
	put_station(f + 6, s->from);
	if (s->tci != UNTAGGED) {
		eth_put_be16(p, ETH_TYPE_VLAN);
		eth_put_be16(p + 2, s->tci);
		p += 4;
		len += 4;
	}
	eth_put_be16(p, 0x88b5);
	memcpy(p + 2, &s->seq, 4);
	fake_send(r->port[port], 0, f, len);
}

// --- The simple bridge ---

// The VLAN a frame is in on its way through, and its tag inside; 0: refused.
static uint16_t model_ingress(const struct vlan_config *c, uint16_t tci, uint16_t *inside)
{
	uint16_t vid = tci == UNTAGGED ? 0 : tci & 0xfff;

	if (vid && !c->is_trunk)
		return 0;
	if (!vid)
		vid = c->is_trunk ? c->native : c->access;
	if (!vid || !vlan_is_member(c, vid))
		return 0;
	*inside = (uint16_t)((tci == UNTAGGED ? 0 : tci & 0xf000) | vid);
	return vid;
}

static void model_send(struct rig *r, unsigned port, uint16_t vid, uint16_t inside, uint32_t seq,
	struct expected *to)
{
	const struct vlan_config *c = &r->vlan[port];
	bool tagged = c->is_trunk && vid != c->native;

	to[port].f[to[port].n].seq = seq;
	to[port].f[to[port].n++].tci = tagged ? inside : UNTAGGED;
}

static void model_forward(struct rig *r, const struct model *m, unsigned in, const struct sent *s,
	uint16_t vid, uint16_t inside, struct expected *to)
{
	int known = s->to < STATIONS ? m->where[vid][s->to] : -1;

	for (unsigned p = 0; p < N_PORTS; p++) {
		if (p == in || (known >= 0 && (unsigned)known != p))
			continue;
		if (!vlan_is_member(&r->vlan[p], vid))
			continue;
		if (r->in[in].isolated && r->in[p].isolated)
			continue;
		model_send(r, p, vid, inside, s->seq, to);
	}
}

static void model_burst(struct rig *r, struct model *m, unsigned in, const struct sent *s,
	unsigned n, struct expected *to)
{
	uint16_t vid[FRAME_BURST], inside[FRAME_BURST];
	unsigned budget = LEARN_MAX;

	// All sources of a burst are learnt before its destinations are looked up.
	for (unsigned i = 0; i < n; i++) {
		vid[i] = model_ingress(&r->vlan[in], s[i].tci, &inside[i]);
		if (s[i].from == IMPOSSIBLE)
			vid[i] = 0;
		if (!vid[i] || m->where[vid[i]][s[i].from] == (int)in || !budget)
			continue;
		m->where[vid[i]][s[i].from] = (int8_t)in;
		budget--;
	}
	for (unsigned i = 0; i < n; i++)
		if (vid[i])
			model_forward(r, m, in, &s[i], vid[i], inside[i], to);
}

// --- The comparison ---

static void compare(struct rig *r, const struct expected *want)
{
	for (unsigned p = 0; p < N_PORTS; p++) {
		assert_int_equal(fake_n_received(r->port[p]), want[p].n);
		for (uint32_t i = 0; i < want[p].n; i++) {
			struct fake_frame f = fake_received(r->port[p], i);
			bool tagged = eth_be16(f.bytes + 12) == ETH_TYPE_VLAN;
			uint32_t seq;
			assert_int_equal(
				tagged ? eth_be16(f.bytes + 14) : UNTAGGED, want[p].f[i].tci);
			memcpy(&seq, f.bytes + (tagged ? 18 : 14), 4);
			assert_int_equal(seq, want[p].f[i].seq);
			assert_int_equal(f.len, FRAME_LEN + (tagged ? 4 : 0));
		}
		fake_forget(r->port[p]);
	}
}

static void random_ports(struct rig *r)
{
	for (unsigned p = 0; p < N_PORTS; p++) {
		struct vlan_config *c = &r->vlan[p];
		*c = (struct vlan_config){.is_trunk = rnd(2)};
		c->access = (uint16_t)(1 + rnd(N_VLANS));
		c->native = (uint16_t)rnd(N_VLANS + 1);
		c->trunk[0] = rnd(1u << N_VLANS) << 1;
		r->in[p].isolated = rnd(3) == 0;
	}
	rig_replan(r);
}

// What the switch does when a port's VLANs change: addresses in those it lost are forgotten.
static bool not_member(void *ctx, uint64_t key, uint32_t w, uint32_t seen)
{
	const struct rig *r = ctx;

	return !vlan_is_member(&r->vlan[FDB_PORT(w)], fdb_key_vid(key));
}

static void forget_lost(struct rig *r, struct model *m)
{
	fdb_sweep(r->fdb, not_member, r);
	for (uint16_t vid = 1; vid <= N_VLANS; vid++)
		for (unsigned i = 0; i < STATIONS; i++)
			if (m->where[vid][i] >= 0 &&
				!vlan_is_member(&r->vlan[m->where[vid][i]], vid))
				m->where[vid][i] = -1;
}

static uint16_t random_tci(void)
{
	switch (rnd(8)) {
	case 0:
		return 0x6000; // priority only
	case 1:
		return 0xfff;
	case 2:
	case 3:
	case 4:
		return UNTAGGED;
	default:
		return (uint16_t)(rnd(8) << 13 | (1 + rnd(N_VLANS)));
	}
}

// Bursts of all kinds: everything at random, or a few things in long rows, as guests send.
static unsigned random_burst(struct sent *s, uint32_t *seq)
{
	const unsigned n = 1 + rnd(rnd(3) ? 6 : FRAME_BURST), change = 1 + rnd(100);
	struct sent now = {0};

	for (unsigned i = 0; i < n; i++) {
		if (i == 0 || rnd(change) == 0) {
			now.from = rnd(40) == 0 ? IMPOSSIBLE : rnd(STATIONS);
			now.to = rnd(4) ? rnd(STATIONS) : rnd(2) ? GROUP : BROADCAST;
			now.tci = random_tci();
		}
		s[i] = now;
		s[i].seq = ++*seq;
	}
	return n;
}

static void forwards_as_the_simple_bridge_does(void **state)
{
	struct rig *r = *state;
	struct sent s[FRAME_BURST];
	struct model m;
	uint32_t seq = 0;

	memset(&m, 0xff, sizeof(m));
	random_state = 12345;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct expected want[N_PORTS] = {0};
		const unsigned in = rnd(N_PORTS);
		if (round % 50 == 0) {
			random_ports(r);
			forget_lost(r, &m);
		}
		r->fw.now += rnd(20) == 0;
		r->lanes[in][0].quiet = 0; // sampling has a test of its own
		const unsigned n = random_burst(s, &seq);
		for (unsigned i = 0; i < n; i++)
			send(r, in, &s[i]);
		model_burst(r, &m, in, s, n, want);
		rig_pass(r);
		compare(r, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			forwards_as_the_simple_bridge_does, rig_setup, rig_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
