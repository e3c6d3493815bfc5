// SPDX-License-Identifier: BSD-2-Clause
// VLANs of a port: configuration, and what happens to frames with tags.
#include "dataplane/switch/vlan.h"

#include <errno.h>

#define TCI_VID 0x0fffu

int vlan_check(const struct vlan_config *config, struct error *err)
{
	bool any = false;

	if (!config->is_trunk) {
		if (!vlan_vid_ok(config->access))
			return error_set(err, -EINVAL, "vlan.access",
				"vlan.access: %u is not a VLAN; 1 to 4094 are", config->access);
		return 0;
	}
	if (config->native && !vlan_vid_ok(config->native))
		return error_set(err, -EINVAL, "vlan.native",
			"vlan.native: %u is not a VLAN; 1 to 4094 are, and 0 for none",
			config->native);
	for (unsigned i = 0; i < VLAN_N / 64; i++)
		any |= config->trunk[i] != 0;
	if (config->trunk[0] & 1 || config->trunk[VLAN_N / 64 - 1] >> 63)
		return error_set(err, -EINVAL, "vlan.trunk",
			"vlan.trunk: 0 and 4095 are not VLANs; 1 to 4094 are");
	if (!any && !config->native)
		return error_set(err, -EINVAL, "vlan.trunk",
			"vlan.trunk: the trunk carries no VLAN; list some, or 'all'");
	return 0;
}

bool vlan_is_member(const struct vlan_config *config, uint16_t vid)
{
	if (!vlan_vid_ok(vid))
		return false;
	if (!config->is_trunk)
		return vid == config->access;
	return vid == config->native || config->trunk[vid / 64] >> (vid % 64) & 1;
}

uint16_t vlan_ingress(struct vlan_port vlan, struct frame *f)
{
	uint16_t tci = 0;

	if (!eth_parse_tag(f, &tci)) {
		// A type of 802.1Q without room for the tag is no frame of any VLAN.
		if (eth_type(f) == ETH_TYPE_VLAN)
			return 0;
	} else if (tci & TCI_VID && !vlan.is_trunk) {
		return 0;
	}
	if ((tci & TCI_VID) == 0) {
		tci |= vlan.untagged;
		if (f->flags & FRAME_TAGGED)
			eth_set_tag(f, tci);
	}
	f->tci = tci;
	return frame_vid(f) <= VLAN_VID_MAX ? frame_vid(f) : 0;
}

bool vlan_egress(struct vlan_port vlan, struct frame *f)
{
	bool tagged = f->flags & FRAME_TAGGED;

	if (vlan_leaves_tagged(vlan, frame_vid(f))) {
		if (!tagged)
			eth_push_tag(f, f->tci);
		return true;
	}
	if (!tagged)
		return true;
	if (vlan.is_trunk && eth_be16(frame_head(f) + ETH_HDR_LEN + 2) == ETH_TYPE_VLAN)
		return false;
	eth_pop_tag(f);
	return true;
}
