// SPDX-License-Identifier: BSD-2-Clause
// Remembers by the device's number what was asked for.
#include "dataplane/port/netdev_wish.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define SLOTS 64u // two devices of one slot forget each other's: then one is asked again

static struct wish {
	int ifindex;         // 0: free
	bool up;             // it was set up
	uint32_t mtu;        // that was asked for; 0: none
	uint32_t refused_at; // the MTU that it had and kept; 0: it was given this one
	time_t again;        // if refused: not before
	char why[256];
} wishes[SLOTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct wish *wish_of(int ifindex)
{
	struct wish *w = &wishes[(unsigned)ifindex % SLOTS];
	if (w->ifindex != ifindex)
		*w = (struct wish){.ifindex = ifindex};
	return w;
}

static time_t now_s(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static int ask(
	struct wish *w, const char *name, uint32_t mtu, struct netdev *dev, struct error *err)
{
	int rc = netdev_set_mtu(name, mtu, err);
	if (rc && rc != -EINVAL) // no answer
		return rc;
	w->mtu = mtu;
	w->refused_at = rc ? dev->mtu : 0;
	w->again = now_s() + NETDEV_WISH_AGAIN_S;
	if (rc)
		snprintf(w->why, sizeof(w->why), "%.255s", err->text);
	return rc ? rc : netdev_get(name, dev, err);
}

int netdev_wish_up(const char *name, const struct netdev *dev, struct error *err)
{
	int rc = 0;
	pthread_mutex_lock(&lock);
	struct wish *w = wish_of(dev->ifindex);
	if (!w->up)
		rc = netdev_set_up(name, err);
	w->up = !rc;
	pthread_mutex_unlock(&lock);
	return rc;
}

int netdev_wish_mtu(const char *name, uint32_t mtu, struct netdev *dev, struct error *err)
{
	int rc = 0;
	pthread_mutex_lock(&lock);
	struct wish *w = wish_of(dev->ifindex);
	// Given, or refused and then somebody chose another: what it has now counts.
	bool settled = w->mtu == mtu && w->refused_at != dev->mtu;
	if (w->mtu == mtu && !settled && now_s() < w->again)
		rc = error_set(err, -EINVAL, "mtu", "%s", w->why);
	else if (!settled)
		rc = ask(w, name, mtu, dev, err);
	pthread_mutex_unlock(&lock);
	return rc;
}

void netdev_wish_met(int ifindex)
{
	pthread_mutex_lock(&lock);
	*wish_of(ifindex) = (struct wish){0};
	pthread_mutex_unlock(&lock);
}
