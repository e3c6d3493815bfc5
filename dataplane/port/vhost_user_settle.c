// SPDX-License-Identifier: BSD-2-Clause
// When the daemon starts among guests that run: none is listened to before those that it talks to
// can be there.
//
// A guest has frames waiting in its ring. Taken at once they would be lost, as long as the guest
// that they are for has not been met again. So for a moment after the first port was opened the
// rings from guests stay as they are; frames wait there and nothing is lost. The moment ends when
// every port has its guest, or when none has come for a while: some are always turned off. Those that the
// last daemon left connected come all.
#include "dataplane/port/vhost_user_int.h"

#include <rte_alarm.h>
#include <time.h>

#define OPENED_NS  UINT64_C(10000000) // no other port was opened: those are all
#define QUIET_NS   UINT64_C(50000000) // no other guest came: nobody else will
#define LONGEST_NS UINT64_C(150000000)
#define KEPT_NS    UINT64_C(1000000000) // guests whose connection was kept are sure to be there
#define LOOK_US    5000
#define NS_PER_SEC UINT64_C(1000000000)

enum { BEFORE, SETTLING, SETTLED };

static int state;                    // BEFORE once; control and EAL's alarm thread write, all read
static uint64_t first_ns, opened_ns; // the first and the newest port. Under the list's lock
static uint64_t came_ns; // the newest guest. The event thread writes, the alarm thread reads

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

bool vhost_user_settling(void)
{
	return __atomic_load_n(&state, __ATOMIC_ACQUIRE) == SETTLING;
}

// Whether a session waits for its port, which is still to be opened.
static bool is_left(const struct port_keeper *keeper)
{
	return keeper && keeper->next_state(keeper->ctx, 0);
}

static bool is_adopting(struct vhost_user *vu)
{
	pthread_mutex_lock(&vu->lock);
	const bool adopting = vu->adopting;
	pthread_mutex_unlock(&vu->lock);
	return adopting;
}

static bool is_over(struct vhost_user *ports)
{
	const uint64_t now = now_ns(), came = __atomic_load_n(&came_ns, __ATOMIC_RELAXED);
	const uint64_t newest = came > opened_ns ? came : opened_ns;
	bool all = now >= opened_ns + OPENED_NS, kept = false;

	for (struct vhost_user *vu = ports; vu && !kept; vu = vu->next)
		kept = is_left(vu->port.up.keeper) || is_adopting(vu);
	if (kept && now < first_ns + KEPT_NS)
		return false;
	for (struct vhost_user *vu = ports; vu && all; vu = vu->next) {
		pthread_mutex_lock(&vu->lock);
		all = vu->running;
		pthread_mutex_unlock(&vu->lock);
	}
	return all || now >= newest + QUIET_NS || now >= first_ns + LONGEST_NS;
}

// With the list locked.
static void look(struct vhost_user *ports);

static void on_alarm(void *arg)
{
	vhost_user_with_list(look);
}

static void look(struct vhost_user *ports)
{
	if (!is_over(ports) && !rte_eal_alarm_set(LOOK_US, on_alarm, NULL))
		return;
	__atomic_store_n(&state, SETTLED, __ATOMIC_RELEASE);
	for (struct vhost_user *vu = ports; vu; vu = vu->next) {
		pthread_mutex_lock(&vu->lock);
		vhost_user_start(vu);
		pthread_mutex_unlock(&vu->lock);
	}
}

void vhost_user_settle(void)
{
	opened_ns = now_ns();
	if (state != BEFORE)
		return;
	first_ns = opened_ns;
	__atomic_store_n(&state, SETTLING, __ATOMIC_RELEASE);
	if (rte_eal_alarm_set(LOOK_US, on_alarm, NULL))
		__atomic_store_n(&state, SETTLED, __ATOMIC_RELEASE);
}

void vhost_user_came(void)
{
	__atomic_store_n(&came_ns, now_ns(), __ATOMIC_RELAXED);
}
