// SPDX-License-Identifier: BSD-2-Clause
// What the XDP program and the AF_XDP port share: map types, counters, and how a frame is parsed.
//
// Compiled three times: into the BPF program, into the port, and into the fuzz harness, which runs
// the same parse path in user space.
#pragma once

#include <linux/types.h>

#define WEFT_XDP_PROGRAM "weft_xdp" // its name, by which a leftover of our own is recognised
#define WEFT_XDP_QUEUES  64         // sockets the program can redirect to, one per NIC queue
#define WEFT_XDP_STEERED 131072 // addresses that can be steered with share: host, with tag or not

// Why the program did what it did, with the line that explains it to an operator. One counter
// per CPU each.
#define WEFT_XDP_COUNTERS(X)                                                           \
	X(redirected, "handed to weft")                                                \
	X(no_socket, "passed to the host: no socket of weft on that queue")            \
	X(host_unicast, "passed to the host: not an address of a VM")                  \
	X(multicast, "passed to the host, and a copy to weft: broadcast or multicast") \
	X(truncated, "dropped: shorter than its Ethernet header and tag")

enum weft_xdp_counter {
#define X(name, text) WEFT_XDP_##name,
	WEFT_XDP_COUNTERS(X)
#undef X
		WEFT_XDP_N_COUNTERS
};

// Key of the steering map: who lives behind weft. `vid` is the tag as it is on the wire of this
// device, 0 for untagged or priority-tagged frames.
struct weft_steer_key {
	__u16 vid;
	__u8 mac[6];
};

// What a daemon owes the device, for the one that finds the program there because it was killed: in a map of
// this name and layout, whatever its version.
#define WEFT_XDP_NOTE ".rodata.note"
struct weft_xdp_note {
	__u8 vlan_offload_off; // rx-vlan-offload was on, and is to be again
};

enum weft_xdp_class {
	WEFT_XDP_CLASS_TRUNCATED, // ends within its Ethernet header or 802.1Q tag
	WEFT_XDP_CLASS_MULTICAST, // group bit of the destination: broadcast too
	WEFT_XDP_CLASS_UNICAST,
};

// Reads destination and outer 802.1Q tag of the frame [data, end) into *key, which is wholly written
// unless the frame is truncated. Other tags (802.1ad) are payload, as they are to the switch.
static inline __attribute__((always_inline)) enum weft_xdp_class weft_xdp_parse(
	const unsigned char *data, const unsigned char *end, struct weft_steer_key *key)
{
	__u16 vid = 0;
	if (data + 14 > end)
		return WEFT_XDP_CLASS_TRUNCATED;
	if (data[12] == 0x81 && data[13] == 0x00) {
		if (data + 18 > end)
			return WEFT_XDP_CLASS_TRUNCATED;
		vid = (__u16)((data[14] & 0x0f) << 8 | data[15]);
	}
	key->vid = vid;
	__builtin_memcpy(key->mac, data, 6);
	return data[0] & 1 ? WEFT_XDP_CLASS_MULTICAST : WEFT_XDP_CLASS_UNICAST;
}
