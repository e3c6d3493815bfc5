// SPDX-License-Identifier: BSD-2-Clause
// A frame on loan: a private copy of its headers, and views into the sender's memory for the rest.
#pragma once

#include <endian.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Frames that one receive call lends at most.
#define FRAME_BURST 128u

// Bytes of a frame that are read into its head at once (or the whole frame where it is shorter):
// Ethernet, two tags and the first fields of IP. Who needs more asks frame_pull(). With what else is said of
// a frame this fills one cache line: a burst has many frames, and a core's first cache little room.
#define FRAME_HEAD     32u
#define FRAME_HEAD_MAX 192u
// What is pulled at least: who looks beyond the head most often wants all headers.
#define FRAME_WINDOW 64u
// Room before the head for two VLAN tags.
#define FRAME_HEADROOM 8u
// Offset of the head's first byte as received.
#define FRAME_HEAD_OFF FRAME_HEADROOM

// The shortest frame that is forwarded: an Ethernet header. Guests send unpadded frames.
#define FRAME_LEN_MIN 14u
// The longest: a 64 KiB segment with all its headers.
#define FRAME_LEN_MAX (65535u + 14u + 8u)

// A run of the frame's bytes in the sender's memory. It may change while we look at it: nothing is
// decided on it, it is only copied (or summed) once. 12 bytes, as it shares a line with a frame's head.
struct frame_seg {
	uint32_t len;
	const uint8_t *base;
} __attribute__((packed, aligned(4)));

enum frame_flags {
	FRAME_TAGGED = 1 << 0, // the head carries an 802.1Q tag (behind the addresses)
	FRAME_OFFLOAD =
		1 << 1,       // offload says that work is left: a checksum, a segmentation, or both
	FRAME_FLOOD = 1 << 2, // broadcast, multicast or unknown: goes to several ports
	FRAME_VALID = 1 << 3, // the sender has checked the checksums (VIRTIO_NET_HDR_F_DATA_VALID)
};

// One frame of a burst. Its bytes, as they are delivered, are the head
//	buf[head_off .. head_off + head_len)
// followed by the n_segs segments at frame_segs(). `len` is the sum of all. The head is private: each of
// its bytes was read from the sender once, and it is what every decision and delivery uses.
//
// Written by the worker that received it, for the length of one burst; never shared.
struct frame {
	uint32_t len;         // bytes, without FCS: head_len + all segments
	uint16_t head_len;    // bytes held in the head
	uint8_t head_off;     // where they start in buf
	uint8_t flags;        // enum frame_flags
	uint16_t n_segs;      // segments behind the head, 0 if the head holds all
	uint16_t tci;         // priority and VLAN it travels in, tagged or not; set by the switch
	struct frame_seg seg; // the segment where there is but one
	uint8_t buf[FRAME_HEADROOM + FRAME_HEAD_MAX];
	struct frame_seg *segs;        // where there are several: views of this frame's alone
	struct virtio_net_hdr offload; // with FRAME_OFFLOAD: what is claimed, in native endian
	uint8_t unused[14];
	// An odd number of lines in all: the first of each spread over all sets of a cache.
	uint8_t spread[64];
} __attribute__((aligned(64)));

_Static_assert(offsetof(struct frame, buf) + FRAME_HEADROOM + FRAME_HEAD == 64,
	"a frame as received fills its first line");
_Static_assert(sizeof(struct frame) == 5 * 64, "frames tile a burst");

// What the first 14 bytes of several heads are together: addresses and type. Where both are equal all heads are. (The
// last two bytes are of use to nobody: 16 are one register.)
struct head_sum {
	uint8_t any[16]; // bits that are set in any of them
	uint8_t least
		[16]; // the lowest value of each two bytes, taken as a number in the machine's order
} __attribute__((aligned(16)));

// A burst: frames lent by one receive queue, all given back together.
struct burst {
	uint32_t n;       // frames lent
	uint32_t flags;   // OR of all the frames' flags
	uint32_t bytes;   // sum of all the frames' lengths
	uint32_t longest; // length of the longest
	// Whether `begin` says it: of a port that finds out in passing. The worker clears it before each rx.
	bool is_summed;
	struct head_sum begin; // how the frames begin
	struct frame f[FRAME_BURST];
};

// Empties a burst, for a receive call to fill.
static inline void burst_begin(struct burst *b)
{
	b->n = b->flags = b->bytes = b->longest = 0;
}

// Counts the frame in that was just made at b->f[b->n].
static inline void burst_add(struct burst *b)
{
	const struct frame *f = &b->f[b->n++];

	b->bytes += f->len;
	b->flags |= f->flags;
	b->longest = f->len > b->longest ? f->len : b->longest;
}

// Begins a frame of `len` bytes as received: the first `head` of them go to its head, at FRAME_HEAD_OFF,
// and the rest, if any, into its own segment; the caller fills both in. No flags, no tag.
static inline void frame_begin(struct frame *f, uint32_t len, uint32_t head)
{
	const uint64_t first = len | (uint64_t)head << 32 | (uint64_t)FRAME_HEAD_OFF << 48;
	const uint32_t second = len > head;

	_Static_assert(offsetof(struct frame, len) == 0 && offsetof(struct frame, head_len) == 4 &&
			       offsetof(struct frame, head_off) == 6 &&
			       offsetof(struct frame, flags) == 7 &&
			       offsetof(struct frame, n_segs) == 8 &&
			       offsetof(struct frame, tci) == 10 && __BYTE_ORDER == __LITTLE_ENDIAN,
		"the first 12 bytes of a frame are written as two words");
	memcpy(&f->len, &first, sizeof(first));
	memcpy(&f->n_segs, &second, sizeof(second));
}

// The segments of a frame, n_segs of them.
static inline struct frame_seg *frame_segs(struct frame *f)
{
	return f->n_segs > 1 ? f->segs : &f->seg;
}

static inline const struct frame_seg *frame_segs_const(const struct frame *f)
{
	return f->n_segs > 1 ? f->segs : &f->seg;
}

// Makes n views the frame's segments. They stay where they are for as long as the frame is used.
static inline void frame_set_segs(struct frame *f, struct frame_seg *segs, uint32_t n)
{
	f->n_segs = (uint16_t)n;
	f->segs = segs;
	if (n == 1)
		f->seg = *segs;
}

// The VLAN that the frame travels in, 1..4094, once the switch has said so.
static inline uint16_t frame_vid(const struct frame *f)
{
	return f->tci & 0xfff;
}

// First byte of the head, as it is delivered.
static inline uint8_t *frame_head(struct frame *f)
{
	return f->buf + f->head_off;
}

static inline const uint8_t *frame_head_const(const struct frame *f)
{
	return f->buf + f->head_off;
}

// The part of frame_pull that reads segments.
bool frame_pull_segs(struct frame *f, unsigned want);

// Makes the head hold at least `want` bytes, and FRAME_WINDOW (or all of a shorter frame) if it has to read any,
// reading each byte of the sender's memory once; what was read leaves the segments. Returns false, frame unchanged, if the
// frame is shorter than `want` or `want` exceeds FRAME_HEAD_MAX (less 4 for each tag that was
// popped). Worker thread.
static inline bool frame_pull(struct frame *f, unsigned want)
{
	return want <= f->head_len || frame_pull_segs(f, want);
}

// Copies bytes [off, off + len) of the frame to `to`. The caller has checked that they are inside.
void frame_copy(const struct frame *f, uint32_t off, void *to, uint32_t len);
