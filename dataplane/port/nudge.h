// SPDX-License-Identifier: BSD-2-Clause
// Interrupts the calling thread now and then, so that no system call holds it up for good: a VMM that shares
// a descriptor with us can make a write to it wait. Whatever does not wait does not notice.
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct nudge {
	timer_t timer;
	sigset_t before; // signals that the thread blocked
	bool runs;
};

// From here on system calls of this thread that wait end with EINTR, after each_ns (less than a second) at most.
// Without memory for a timer there is no such bound. Any thread.
void nudge_start(struct nudge *n, uint64_t each_ns);
// The same thread; after a start, failed or not.
void nudge_stop(struct nudge *n);
