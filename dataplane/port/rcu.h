// SPDX-License-Identifier: BSD-2-Clause
// Grace periods (liburcu, QSBR), told to ThreadSanitizer, which cannot see into the library.
//
// Readers are the workers: each is online while it runs a pass, says rcu_quiet() once per pass and
// is offline while it sleeps. Whoever takes something away from the workers first unpublishes it,
// then waits in rcu_grace() until every worker has passed a quiescent state, and then frees it.
#pragma once

#include <urcu-qsbr.h>

#ifdef __SANITIZE_THREAD__
#define RCU_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RCU_TSAN 1
#endif
#endif

#ifdef RCU_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
extern char rcu_order; // stands for the order that grace periods make; in port.c
#define RCU_RELEASE() __tsan_release(&rcu_order)
#define RCU_ACQUIRE() __tsan_acquire(&rcu_order)
#else
#define RCU_RELEASE() ((void)0)
#define RCU_ACQUIRE() ((void)0)
#endif

// Worker: no pointer got before is used from here on.
static inline void rcu_quiet(void)
{
	RCU_RELEASE();
	rcu_quiescent_state();
}

// Worker, around sleep: pointers got before offline are not used any more.
static inline void rcu_offline(void)
{
	RCU_RELEASE();
	rcu_thread_offline();
}

static inline void rcu_online(void)
{
	rcu_thread_online();
}

// Any thread that may block and is no online reader: what was unpublished before is not in use any
// more when this returns.
static inline void rcu_grace(void)
{
	synchronize_rcu();
	RCU_ACQUIRE();
}
