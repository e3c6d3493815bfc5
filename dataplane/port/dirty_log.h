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
// cover all memory when it was mapped, so only a range that was checked can come here. The bits are
// set with release order, after the writes that they stand for (the VMM clears a bit before it
// copies the page). Worker.
void dirty_log_mark(const struct dirty_log *log, uint64_t gpa, uint64_t len);

// Maps `size` bytes of `fd`, which must be a tmpfs or hugetlbfs file at least so long, and which
// must cover `mem_end`, the end of the highest region. 0, or -EINVAL, -ENOMEM. Replaces nothing:
// the caller unmaps the previous one after a grace period.
int dirty_log_map(struct dirty_log *log, int fd, uint64_t size, uint64_t mem_end);
void dirty_log_unmap(struct dirty_log *log);
