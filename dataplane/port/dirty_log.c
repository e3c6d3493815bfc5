// SPDX-License-Identifier: BSD-2-Clause
// The dirty log of a live migration: one bit per 4 KiB of guest memory that was written.
#include "dataplane/port/dirty_log.h"

#include "dataplane/port/vhost_msg.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

void dirty_log_mark(const struct dirty_log *log, uint64_t gpa, uint64_t len)
{
	uint64_t page, last;

	if (!len || gpa + len < gpa)
		return;
	last = (gpa + len - 1) / DIRTY_LOG_PAGE;
	for (page = gpa / DIRTY_LOG_PAGE; page <= last && page / 8 < log->size; page++) {
		uint8_t bit = (uint8_t)(1u << (page % 8));

		// Pairs with the VMM's exchange. Never "if not set": see the header.
		__atomic_fetch_or(&log->base[page / 8], bit, __ATOMIC_RELEASE);
	}
}

void dirty_log_mark_all(const struct dirty_log *log, uint64_t gpa, uint64_t len)
{
	const uint64_t end = gpa + len, byte = 8 * DIRTY_LOG_PAGE;
	const uint64_t from = (gpa + byte - 1) / byte;
	uint64_t to = end / byte;

	if (end < gpa || from >= to) {
		dirty_log_mark(log, gpa, len);
		return;
	}
	// Bits of other memory share the first and the last byte.
	dirty_log_mark(log, gpa, from * byte - gpa);
	dirty_log_mark(log, to * byte, end - to * byte);
	to = to < log->size ? to : log->size;
	__atomic_thread_fence(__ATOMIC_RELEASE); // pairs with the VMM's exchange
	if (from < to)
		memset(log->base + from, 0xff, to - from);
}

int dirty_log_map(struct dirty_log *log, int fd, uint64_t size, uint64_t mem_end)
{
	const uint64_t byte = 8 * DIRTY_LOG_PAGE;
	void *base;

	// Memory may end at the last address: nothing is added to mem_end.
	if (!size || mem_end / byte + (mem_end % byte != 0) > size)
		return -EINVAL;
	if (!vhost_fd_is_memory(fd, size))
		return -EINVAL;
	base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return -ENOMEM;
	log->base = base;
	log->size = size;
	return 0;
}

void dirty_log_unmap(struct dirty_log *log)
{
	if (log->base)
		munmap(log->base, log->size);
	log->base = NULL;
	log->size = 0;
}
