// SPDX-License-Identifier: BSD-2-Clause
// Forwarding without threads.
#include "tests/lib/switch_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

const struct port_ops *const port_types[] = {&fake_port_ops, NULL};

// Makes a plan of what the inputs say now.
void rig_replan(struct rig *r)
{
	plan_free(r->plan);
	r->plan = plan_new(++r->seq, &r->common, r->in, N_PORTS);
	assert_non_null(r->plan);
	r->fw.plan = r->plan;
}

int rig_setup(void **state)
{
	struct rig *r = aligned_alloc(64, (sizeof(*r) + 63) / 64 * 64);

	assert_non_null(r);
	memset(r, 0, sizeof(*r));
	assert_int_equal(fdb_new(1024, 1024, &r->fdb), 0);
	assert_int_equal(event_ring_init(&r->events, -1), 0);
	forward_init(&r->fw, 0, false, r->fdb, &r->events);
	r->fw.now = 1000;
	for (unsigned i = 0; i < N_PORTS; i++) {
		struct port_config c = {.type = "fake", .queues = 1};
		const struct port_upcalls up = {0};
		snprintf(c.name, sizeof(c.name), "p%u", i);
		assert_int_equal(port_new(&c, &up, &r->port[i], NULL), 0);
		r->port[i]->id = i;
		r->port[i]->cycles_hz = 1000000000;
		r->vlan[i].access = 1;
		r->in[i] = (struct plan_input){
			.port = r->port[i], .lanes = r->lanes[i], .vlan = &r->vlan[i]};
	}
	rig_replan(r);
	*state = r;
	return 0;
}

int rig_teardown(void **state)
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
void rig_pass(struct rig *r)
{
	const uint32_t n = r->plan->n_rxq[0], first = forward_first(&r->fw, n);

	for (uint32_t i = 0; i < n; i++)
		forward_queue(&r->fw, &r->plan->rxq[0][forward_next(first, i, n)], &r->burst);
	forward_notify(&r->fw);
}

void rig_mac(uint8_t *to, unsigned n)
{
	memcpy(to, (uint8_t[]){2, 0, 0, 0, (uint8_t)(n >> 8), (uint8_t)n}, 6);
}

// A frame of `len` bytes from station `from` to station `to`, whose last byte is `mark`.
uint32_t rig_frame(uint8_t *f, unsigned from, unsigned to, uint32_t len, uint8_t mark)
{
	for (uint32_t i = 14; i < len; i++)
		f[i] = (uint8_t)(i * 7);
	rig_mac(f, to);
	if (to == ALL)
		memset(f, 0xff, 6);
	rig_mac(f + 6, from);
	memcpy(f + 12, "\x88\xb5", 2);
	f[len - 1] = mark;
	return len;
}

void rig_send_len(
	struct rig *r, unsigned port, unsigned from, unsigned to, uint32_t len, uint8_t mark)
{
	uint8_t f[2048];

	fake_send(r->port[port], 0, f, rig_frame(f, from, to, len, mark));
}

void rig_send(struct rig *r, unsigned port, unsigned from, unsigned to)
{
	rig_send_len(r, port, from, to, 60, 0);
}

// The same with a tag.
void rig_send_tagged(struct rig *r, unsigned port, unsigned from, unsigned to, uint16_t tci)
{
	uint8_t f[64], t[64];

	rig_frame(f, from, to, 60, 0);
	memcpy(t, f, 12);
	memcpy(t + 12, (uint8_t[]){0x81, 0, (uint8_t)(tci >> 8), (uint8_t)tci}, 4);
	memcpy(t + 16, f + 12, 48);
	fake_send(r->port[port], 0, t, 64);
}

uint32_t rig_got(struct rig *r, unsigned port)
{
	uint32_t n = fake_n_received(r->port[port]);

	fake_forget(r->port[port]);
	return n;
}

uint64_t rig_dropped(struct rig *r, unsigned port, enum drop_reason why)
{
	return r->port[port]->stats[0]->drop[why];
}

uint64_t rig_dropped_at_all(struct rig *r)
{
	uint64_t n = 0;

	for (unsigned p = 0; p < N_PORTS; p++)
		for (unsigned why = 0; why < N_DROP_REASONS; why++)
			n += rig_dropped(r, p, why);
	return n;
}

// Station n lives on port n.
void rig_learn_all(struct rig *r)
{
	for (unsigned i = 0; i < N_PORTS; i++)
		rig_send(r, i, i, ALL);
	rig_pass(r);
	for (unsigned i = 0; i < N_PORTS; i++)
		fake_forget(r->port[i]);
}

void rig_trunk(struct rig *r, unsigned port, uint16_t native, uint16_t a, uint16_t b)
{
	r->vlan[port] = (struct vlan_config){.is_trunk = true, .native = native};
	r->vlan[port].trunk[a / 64] |= 1ull << (a % 64);
	r->vlan[port].trunk[b / 64] |= 1ull << (b % 64);
}
