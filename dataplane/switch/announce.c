// SPDX-License-Identifier: BSD-2-Clause
// The queue of announcements, and the frame.
#include "dataplane/switch/announce.h"

#include "dataplane/frame/eth.h"

#include <string.h>
#include <sys/eventfd.h>

#define RARP_LEN 60u // the shortest that a wire carries, without FCS

void announce_init(struct announce *a)
{
	memset(a, 0, sizeof(*a));
	a->wake_fd = -1;
	pthread_mutex_init(&a->lock, NULL);
}

void announce_fini(struct announce *a)
{
	pthread_mutex_destroy(&a->lock);
}

void announce_wake(struct announce *a, int fd)
{
	pthread_mutex_lock(&a->lock);
	a->wake_fd = fd;
	// What was queued before may have woken another.
	if (a->pending && fd >= 0)
		eventfd_write(fd, 1);
	pthread_mutex_unlock(&a->lock);
}

static bool is_same(const struct announcement *x, uint32_t port, const uint8_t mac[6])
{
	return x->port == port && memcmp(x->mac, mac, 6) == 0;
}

bool announce_add(struct announce *a, uint32_t port, const uint8_t mac[6])
{
	bool added = false;

	if (!eth_is_station(mac))
		return false;
	pthread_mutex_lock(&a->lock);
	uint32_t n = a->pending;
	for (uint32_t i = 0; i < n; i++)
		if (is_same(&a->queue[i], port, mac))
			goto out;
	if (n < ANNOUNCE_MAX) {
		a->queue[n].port = port;
		memcpy(a->queue[n].mac, mac, 6);
		__atomic_store_n(&a->pending, n + 1, __ATOMIC_RELAXED);
		added = true;
		if (a->wake_fd >= 0)
			eventfd_write(a->wake_fd, 1);
	}
out:
	pthread_mutex_unlock(&a->lock);
	return added;
}

void announce_del(struct announce *a, uint32_t port)
{
	uint32_t n = 0;

	pthread_mutex_lock(&a->lock);
	for (uint32_t i = 0; i < a->pending; i++)
		if (a->queue[i].port != port)
			a->queue[n++] = a->queue[i];
	__atomic_store_n(&a->pending, n, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&a->lock);
}

bool announce_take(struct announce *a, struct announcement *out)
{
	bool any = false;

	if (pthread_mutex_trylock(&a->lock) != 0)
		return false;
	if (a->pending) {
		uint32_t n = a->pending - 1;
		*out = a->queue[n];
		__atomic_store_n(&a->pending, n, __ATOMIC_RELAXED);
		any = true;
	}
	pthread_mutex_unlock(&a->lock);
	return any;
}

void announce_frame(const uint8_t mac[6], struct frame *f)
{
	static const uint8_t fixed[] = {
		0x80, 0x35,    // RARP
		0, 1,          // Ethernet
		0x08, 0, 6, 4, // IPv4: lengths of both kinds of addresses
		0, 3,          // request reverse
	};

	frame_begin(f, RARP_LEN, RARP_LEN);
	uint8_t *head = frame_head(f);
	memset(head, 0, RARP_LEN);
	memset(head, 0xff, 6);
	memcpy(head + 6, mac, 6);
	memcpy(head + 12, fixed, sizeof(fixed));
	memcpy(head + 22, mac, 6); // sender; its IP address stays 0
	memcpy(head + 32, mac, 6); // target
}
