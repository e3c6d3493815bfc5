// SPDX-License-Identifier: BSD-2-Clause
// A worker's forwarding without threads: ports in memory, a plan, one pass at a time.
#pragma once

#include "dataplane/switch/forward.h"
#include "tests/lib/fake_port.h"

#define N_PORTS 5
#define ALL     0xffffu // the broadcast address as a station's number

// Five ports, 0 to 4, of VLAN 1 unless a test says otherwise.
struct rig {
	struct forward fw;
	struct burst burst;
	struct fdb *fdb;
	struct event_ring events;
	struct plan *plan;
	struct plan_common common;
	uint64_t seq;
	struct port *port[N_PORTS];
	struct lane lanes[N_PORTS][PORT_QUEUES_MAX];
	struct vlan_config vlan[N_PORTS];
	struct plan_input in[N_PORTS];
};

// For cmocka_unit_test_setup_teardown; *state is the rig.
int rig_setup(void **state);
int rig_teardown(void **state);

// Makes a plan of what the inputs say now.
void rig_replan(struct rig *r);
// Makes a port a trunk of VLANs a and b.
void rig_trunk(struct rig *r, unsigned port, uint16_t native, uint16_t a, uint16_t b);
// One pass over all queues.
void rig_pass(struct rig *r);

// The address of station `n`.
void rig_mac(uint8_t *to, unsigned n);
// A frame of `len` bytes from station `from` to station `to`, whose last byte is `mark`.
uint32_t rig_frame(uint8_t *f, unsigned from, unsigned to, uint32_t len, uint8_t mark);
// Sends such a frame, 60 bytes long with mark 0 where not said.
void rig_send_len(
	struct rig *r, unsigned port, unsigned from, unsigned to, uint32_t len, uint8_t mark);
void rig_send(struct rig *r, unsigned port, unsigned from, unsigned to);
void rig_send_tagged(struct rig *r, unsigned port, unsigned from, unsigned to, uint16_t tci);
// Makes station n known on port n.
void rig_learn_all(struct rig *r);

// Frames a port received; forgets them.
uint32_t rig_got(struct rig *r, unsigned port);
uint64_t rig_dropped(struct rig *r, unsigned port, enum drop_reason why);
uint64_t rig_dropped_at_all(struct rig *r);
