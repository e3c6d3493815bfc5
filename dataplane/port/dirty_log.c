// SPDX-License-Identifier: BSD-2-Clause
// The dirty log of a live migration: one bit per 4 KiB of guest memory that was written.
#include "dataplane/port/dirty_log.h"

#include "dataplane/port/vhost_msg.h"

#include <errno.h>
#include <stddef.h>
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

int dirty_log_map(struct dirty_log *log, int fd, uint64_t size, uint64_t mem_end)
{
	void *base;

	if (!size || (mem_end + DIRTY_LOG_PAGE * 8 - 1) / (DIRTY_LOG_PAGE * 8) > size)
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
