// SPDX-License-Identifier: BSD-2-Clause
// What senders leave undone, partial checksums and large segments: checked, passed on or completed.
//
// A sender may hand over a frame whose checksum is only begun (the field holds the sum of the
// pseudo header; VIRTIO_NET_HDR_F_NEEDS_CSUM says where) and which is larger than any that a wire
// would carry (gso_type, gso_size). struct virtio_net_hdr makes these claims; frame.offload holds
// them. A receiver that agreed to it gets such a frame as it is; for any other the switch does the
// work here, with the very bytes that the Linux stack would produce for the same frame.
//
// The claims are the sender's, so nothing here trusts them: offload_check() holds them against the
// private head, by the rules of Linux' virtio_net_hdr_to_skb() and virtio 1.2, 5.1.6.2, plus three
// of our own: a checksum field may only be where the protocol has it (so that completing it cannot
// forge an address that was checked before); no frame is cut into more than OFFLOAD_PARTS_MAX; and
// all of this must be inside the first FRAME_HEAD_MAX bytes.
#pragma once

#include "dataplane/frame/frame.h"

#include <linux/virtio_net.h>
#include <stdint.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5 // USO, Linux 6.2
#endif

// What a receiver can finish by itself. A receiver with any of the others has OFFLOAD_CSUM too
// (virtio 1.2, 5.1.3.1); one that has not gets complete frames only.
enum offload {
	OFFLOAD_CSUM = 1 << 0, // VIRTIO_NET_F_GUEST_CSUM
	OFFLOAD_TSO4 = 1 << 1, // VIRTIO_NET_F_GUEST_TSO4
	OFFLOAD_TSO6 = 1 << 2, // VIRTIO_NET_F_GUEST_TSO6
	OFFLOAD_ECN = 1 << 3,  // VIRTIO_NET_F_GUEST_ECN
	OFFLOAD_USO4 = 1 << 4, // VIRTIO_NET_F_GUEST_USO4
	OFFLOAD_USO6 = 1 << 5, // VIRTIO_NET_F_GUEST_USO6
};

// Frames that one segment is cut into at most. Linux cuts UDP into at most 128 (UDP_MAX_SEGMENTS).
// For TCP it has no limit here: gso_size 1 makes 65,000 frames. An honest stack never announces
// less than 48 bytes (tcp_min_snd_mss), which makes 1,366 of 64 KiB; more is refused, as work that
// a sender makes for others.
#define OFFLOAD_PARTS_MAX     1400u
#define OFFLOAD_UDP_PARTS_MAX 128u

int offload_check_claims(struct frame *f);

// Checks what f->offload (native endian, as the sender wrote it) claims of the frame and leaves it fit to be
// passed on: unknown flags cleared, hdr_len exact, FRAME_OFFLOAD set if there is work left and clear
// if not, FRAME_VALID set if there is none and the sender has checked the checksums. A segment no longer
// than gso_size is not one (as in Linux) and becomes a mere checksum. May pull. A frame whose port sets no
// claims needs no check. Worker thread.
//
// 0, or frame unchanged but for what was pulled:
//   -EBADMSG   the claims are nonsense: the frame is malformed
//   -E2BIG     headers or checksum field lie beyond FRAME_HEAD_MAX: no_offload
static inline int offload_check(struct frame *f)
{
	if ((f->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) | f->offload.gso_type)
		return offload_check_claims(f);
	f->flags &= ~(FRAME_OFFLOAD | FRAME_VALID);
	if (f->offload.flags & VIRTIO_NET_HDR_F_DATA_VALID)
		f->flags |= FRAME_VALID;
	return 0;
}

// True if the checked frame is a segment that stands for several frames.
static inline bool offload_is_segment(const struct frame *f)
{
	return f->flags & FRAME_OFFLOAD && f->offload.gso_type != VIRTIO_NET_HDR_GSO_NONE;
}

// Bits of enum offload that a receiver needs to take the checked frame as it is; 0 for one without
// work left. If any is missing: a segment (offload_is_segment) has to go through a segmenter, any
// other frame through offload_complete_csum.
uint32_t offload_needs(const struct frame *f);

// Length in bytes of the longest frame that the checked frame makes on a wire: what has to be held
// against a receiver's MTU.
static inline uint32_t offload_wire_len(const struct frame *f)
{
	return offload_is_segment(f) ? (uint32_t)f->offload.hdr_len + f->offload.gso_size : f->len;
}

// How many frames of at most gso_size the payload of a segment makes. gso_size is not 0.
static inline uint32_t offload_cut(uint32_t payload, uint16_t gso_size)
{
	return (payload + gso_size - 1) / gso_size;
}

// How many frames the checked frame makes on a wire, whether or not it is cut here.
static inline uint32_t offload_parts(const struct frame *f)
{
	return offload_is_segment(f) ? offload_cut(f->len - f->offload.hdr_len, f->offload.gso_size)
				     : 1;
}

// The header that a receiver with `offloads` gets with a frame that needs no more than these.
static inline struct virtio_net_hdr offload_header(const struct frame *f, uint32_t offloads)
{
	if (!(offloads & OFFLOAD_CSUM))
		return (struct virtio_net_hdr){0};
	if (f->flags & FRAME_OFFLOAD)
		return f->offload;
	return (struct virtio_net_hdr){
		.flags = f->flags & FRAME_VALID ? VIRTIO_NET_HDR_F_DATA_VALID : 0};
}

// Completes the partial checksum of a checked frame that is no segment: sums head and segments,
// writes the result into the head and clears the claim. A frame without one is left alone. In
// place is right even if other receivers could have taken it as it was. Worker thread.
void offload_complete_csum(struct frame *f);

// Cuts a segment into the frames it stands for, without copying payload: each has a private head
// (headers with lengths, IPv4 identification, TCP sequence number and flags, UDP length and
// checksums as Linux would set them) and views into the memory that the segment borrowed.
struct offload_segmenter {
	const struct frame *from;
	uint32_t left;         // bytes of payload not yet handed out
	uint32_t part;         // number of the next frame
	uint32_t view, offset; // where its payload starts: segment, byte in it
	uint32_t in_head;      // bytes of payload left in the head of `from`
	uint32_t pseudo;       // sum of pseudo header, less the length
	uint16_t l3, l4, hdr_len, gso_size;
	bool ipv6, udp, partial;
};

// Starts on `f`, which was checked and is a segment (tags may have been pushed or popped since) and
// must stay as it is until the last frame is done with. `offloads` are the receiver's: with
// OFFLOAD_CSUM the frames keep a partial checksum each, which saves a look at the payload.
void offload_segmenter_init(struct offload_segmenter *s, const struct frame *f, uint32_t offloads);

// Makes the next frames: up to max_frames of them at out, using segs[0..max_segs) for their views.
// Both are scratch of the caller's and hold what was returned until they are used again. Returns
// how many frames; 0 when there are none left. With max_segs >= f->n_segs there is always progress;
// with fewer, -ENOBUFS says that the next frame needs more views than that.
int offload_segment_next(struct offload_segmenter *s, struct frame *out, uint32_t max_frames,
	struct frame_seg *segs, uint32_t max_segs);
