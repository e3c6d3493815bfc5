// SPDX-License-Identifier: BSD-2-Clause
// VLANs of a port (IEEE 802.1Q, C-tags): which VLAN a frame is in, and how it leaves.
//
// Inside the switch a frame is in exactly one VLAN, and FRAME_TAGGED says whether its head carries
// that VLAN's tag right now. Access ports take untagged frames and frames with a priority tag (VLAN
// 0); trunks take tagged frames of their VLANs and, with a native VLAN, the others too. On the way
// out the tag is pushed or popped on the private head, in place: one destination after the other
// copies the frame, so each finds it as it needs it.
#pragma once

#include "dataplane/frame/eth.h"
#include "dataplane/switch/switch.h"

#define VLAN_VID_MAX 4094u

// What workers need of a port's VLANs; who is a member of which stands in the plan.
struct vlan_port {
	uint16_t untagged; // VLAN of frames without a tag; 0: they are refused
	bool is_trunk;
};

static inline bool vlan_vid_ok(unsigned vid)
{
	return vid >= 1 && vid <= VLAN_VID_MAX;
}

// Checks a configuration and says what is wrong with it. 0 or -EINVAL.
int vlan_check(const struct vlan_config *config, struct error *err);

// Whether the port carries the VLAN.
bool vlan_is_member(const struct vlan_config *config, uint16_t vid);

static inline struct vlan_port vlan_port(const struct vlan_config *config)
{
	return (struct vlan_port){
		.untagged = config->is_trunk ? config->native : config->access,
		.is_trunk = config->is_trunk,
	};
}

// Whether frames of the VLAN leave the port with a tag.
static inline bool vlan_leaves_tagged(struct vlan_port vlan, uint16_t vid)
{
	return vlan.is_trunk && vid != vlan.untagged;
}

// The VLAN of a frame that came in on the port, or 0 if the port does not take it. Whether a trunk
// carries the VLAN of the tag is for the caller to check. Sets FRAME_TAGGED, vid and tci; a priority
// tag gets the VLAN's number. Worker.
uint16_t vlan_ingress(struct vlan_port vlan, struct frame *f);

// Gives the frame, which is in frame_vid(f), the form in which it leaves: with its tag (f->tci) or
// without. False if it must not leave that way: without its tag, a trunk's peer would take an inner
// tag for the frame's VLAN. Worker.
bool vlan_egress(struct vlan_port vlan, struct frame *f);
