// SPDX-License-Identifier: BSD-2-Clause
// One descriptor chain, direct or through an indirect table, as segments of host memory.
#pragma once

#include <stdbool.h>
#include "dataplane/virtq/desc.h"
#include "dataplane/virtq/guestmem.h"

// The descriptor table that chains start in, and what a chain may be.
struct vq_table {
	const struct vring_desc *desc;
	uint16_t size;         // Queue Size
	uint16_t max_indirect; // longest indirect table in descriptors; 0: INDIRECT_DESC was not
			       // negotiated
};

// What a walk found. Segments come in order: first the readable, then the writable ones; a
// descriptor that spans two regions makes more than one segment, one of length 0 makes none.
struct vq_chain {
	uint16_t head;
	uint16_t n_desc;                 // buffers: the reference to an indirect table not counted
	unsigned n_readable, n_writable; // segments
	uint64_t readable_len, writable_len; // bytes
	unsigned n_first, n_last;            // segments of the first and of the last descriptor
	uint64_t last_gpa;                   // where the last descriptor's buffer lies
	uint32_t last_len;                   // its length
	bool first_writable, last_writable;
};

// Follows the chain that starts at head. Copies each descriptor once, checks the copy, uses the
// copy: the driver may rewrite everything meanwhile. Looks at no more descriptors than the queue's
// size, plus the length of one indirect table. Fills segs[0..max) and *chain. 0; else *chain is
// untouched and segs is scratch:
//   -EBADMSG  malformed: head or next not below the size; more descriptors than the table has (a
//   loop); NEXT in the last
//             entry of an indirect table that points past it; readable after writable; INDIRECT
//             with NEXT, in an indirect table or not negotiated; an indirect length of 0, not a
//             multiple of 16 or over max_indirect; over 2^32 bytes
//   -EFAULT   a buffer or an indirect table not wholly inside memory, or wrapping
//   -ENOSPC   more segments than max; what follows was not looked at. Never with segs == NULL: that
//   only validates and
//             counts.
int vq_chain_walk(const struct vq_table *t, const struct guestmem *m, struct guestmem_cache *c,
	uint16_t head, struct vq_seg *segs, unsigned max, struct vq_chain *chain);

// The segments between a header (the whole first descriptor, readable) and a status (the whole last
// one, writable), for device types that have them, such as block: segs[*from, *from + *n). -EBADMSG
// when the chain has no such descriptor, or the same one would have to be both; outputs untouched
// then.
int vq_chain_data(const struct vq_chain *chain, bool has_header, bool has_status, unsigned *from,
	unsigned *n);

// Guest physical address of the status: the start of the last descriptor, which must be writable
// and hold at least one byte, else -EBADMSG.
int vq_chain_status(const struct vq_chain *chain, uint64_t *gpa);
