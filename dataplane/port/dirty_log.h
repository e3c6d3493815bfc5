// SPDX-License-Identifier: BSD-2-Clause
// The dirty log of a live migration: one bit per 4 KiB of guest memory that was written.
#pragma once

#include <stdint.h>

#define DIRTY_LOG_PAGE 4096u

struct dirty_log {
	uint8_t *base; // the bitmap, shared with the VMM; NULL: not logging
	uint64_t size; // bytes of the bitmap that we mapped
};

// Marks [gpa, gpa + len) as written. What lies beyond the bitmap is left out: it was checked to
// cover all memory when it was mapped, so only a range that was checked can come here. Worker, after
// the writes that the bits stand for.
//
// The bits are set with release order, and that is enough. The VMM takes them with an atomic exchange
// and copies the page after it. Either the exchange comes after ours in the order of changes to that
// byte: then the bit is taken, by it or by one between, and with the bit our writes are
// seen. Or it comes before: then the bit is there for the next exchange, and the page is copied
// again. This holds because a bit that is set already is set all the same: to look first and leave it
// would need a full fence between the writes and the look, as the VMM may be about to take the bit
// and then copy what we had not written yet.
void dirty_log_mark(const struct dirty_log *log, uint64_t gpa, uint64_t len);

// Marks [gpa, gpa + len) as written where it is not known what was. No worker writes there meanwhile. The same order
// holds; whole bytes are stored, as nothing but set bits can come of it.
void dirty_log_mark_all(const struct dirty_log *log, uint64_t gpa, uint64_t len);

// Maps `size` bytes of `fd`, which must be a tmpfs or hugetlbfs file at least so long, and which
// must cover `mem_end`, the end of the highest region. 0, or -EINVAL, -ENOMEM. Replaces nothing:
// the caller unmaps the previous one after a grace period.
int dirty_log_map(struct dirty_log *log, int fd, uint64_t size, uint64_t mem_end);
void dirty_log_unmap(struct dirty_log *log);
