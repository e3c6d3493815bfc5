// SPDX-License-Identifier: BSD-2-Clause
// Finds received frames whose checksum their sender only began, where nothing else says so.
//
// A stack that sends through a veth or tap leaves TCP and UDP checksums to a card that never comes:
// the field holds the sum of the pseudo header. Inside the kernel the packet's metadata says that
// (CHECKSUM_PARTIAL); a frame that XDP redirects has lost it, and a guest would take it for corrupt.
// But the pseudo header is in the frame: if the field equals its sum, the checksum was begun and not
// completed. The one complete checksum in 65,536 that looks the same is harmless: completing it
// computes the value that it has. A frame that was damaged on its way may by the same odds be
// repaired instead of discarded, so only ports are asked to look whose frames come from such a
// sender: virtual devices, and generic XDP.
//
// In generic mode a NIC's GRO, or a peer on this host, hands over segments of up to 64 KiB, and XDP
// says nothing of that either. A TCP frame that no wire of this MTU carries, with a checksum that is
// only begun, is one: it is claimed as a segment, cut at the MTU where it has to be.
//
// Only TCP and UDP right behind IPv4 or IPv6 are found. A partial checksum inside a tunnel, and
// SCTP, whose field is 0 until a card fills it in, are not.
#pragma once

#include "dataplane/frame/frame.h"

// If the frame's TCP or UDP checksum is begun and not completed, claims so in f->offload and
// FRAME_OFFLOAD, as offload_check() leaves claims; the switch passes that on or completes it. If the
// frame is longer than the device's `mtu` lets any be, and TCP, it claims a segment too. May pull.
// Worker thread.
void partial_csum_claim(struct frame *f, uint32_t mtu);
