// SPDX-License-Identifier: BSD-2-Clause
// When one side must wake the other: the EVENT_IDX arithmetic and the one full fence.
#pragma once

#include <stdbool.h>
#include "dataplane/virtq/ring.h"

// The thread sanitizer sees fences of the language, not those in assembler.
#if defined(__SANITIZE_THREAD__)
#define VQ_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VQ_THREAD_SANITIZER 1
#endif
#endif
#ifndef VQ_THREAD_SANITIZER
#define VQ_THREAD_SANITIZER 0
#endif

// Orders a store of one side's index (or of its wish to be notified) before the load of the other's
// wish (or index). The partner is the same call on the other side; in Linux it is virtio_mb(). It
// is the one barrier that x86 needs as an instruction. After publishing several queues, one fence
// serves them all.
static inline void vq_fence(void)
{
#if defined(__x86_64__) && !VQ_THREAD_SANITIZER
	// A locked operation on the stack orders loads and stores like mfence at half its cost.
	__asm__ volatile("lock; addl $0, -4(%%rsp)" ::: "memory", "cc");
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

// Whether the index, in moving from old to new, passed event: event lies in [old, new) modulo 2^16.
// So the other side, which wrote "tell me once you are past event", is told exactly once
// (virtio 1.2, 2.7.7.1, 2.7.10). Nothing moved (old == new): false. A move by 2^16 looks the same:
// callers must decide more often than that.
static inline bool vq_need_event(uint16_t event, uint16_t new, uint16_t old)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}
