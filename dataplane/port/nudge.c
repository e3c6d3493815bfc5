// SPDX-License-Identifier: BSD-2-Clause
// Interrupts the calling thread by a timer of its own.
#include "dataplane/port/nudge.h"

#include <unistd.h>

// Ignored by whoever has no handler for it.
#define NUDGE_SIGNAL SIGURG

static void on_nudge(int sig)
{
}

void nudge_start(struct nudge *n, uint64_t each_ns)
{
	const struct itimerspec each = {
		.it_interval.tv_nsec = (long)each_ns, .it_value.tv_nsec = (long)each_ns};
	struct sigaction act = {.sa_handler = on_nudge}; // no SA_RESTART: this is the point
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = NUDGE_SIGNAL};
	sigset_t unblock;

	ev._sigev_un._tid = gettid();
	sigemptyset(&act.sa_mask);
	n->runs = !sigaction(NUDGE_SIGNAL, &act, NULL) &&
		  !timer_create(CLOCK_MONOTONIC, &ev, &n->timer);
	if (!n->runs)
		return;
	sigemptyset(&unblock);
	sigaddset(&unblock, NUDGE_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &unblock, &n->before);
	timer_settime(n->timer, 0, &each, NULL);
}

void nudge_stop(struct nudge *n)
{
	if (!n->runs)
		return;
	timer_delete(n->timer);
	pthread_sigmask(SIG_SETMASK, &n->before, NULL);
	n->runs = false;
}
