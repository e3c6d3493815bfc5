// SPDX-License-Identifier: BSD-2-Clause
// The queue of events.
#include "dataplane/switch/event_queue.h"

#include "dataplane/port/cycles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <unistd.h>

int event_queue_init(struct event_queue *e)
{
	memset(e, 0, sizeof(*e));
	e->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (e->fd < 0)
		return -errno;
	e->queue = calloc(EVENTS_MAX, sizeof(*e->queue));
	if (!e->queue) {
		close(e->fd);
		return -ENOMEM;
	}
	pthread_mutex_init(&e->lock, NULL);
	return 0;
}

void event_queue_fini(struct event_queue *e)
{
	pthread_mutex_destroy(&e->lock);
	free(e->queue);
	close(e->fd);
}

void event_queue_push(struct event_queue *e, const struct switch_event *ev)
{
	pthread_mutex_lock(&e->lock);
	if (e->n == EVENTS_MAX) {
		e->lost++;
	} else {
		struct switch_event *slot = &e->queue[(e->head + e->n++) % EVENTS_MAX];
		*slot = *ev;
		slot->time_ns = clock_ns(CLOCK_REALTIME);
	}
	pthread_mutex_unlock(&e->lock);
	eventfd_write(e->fd, 1);
}

void event_queue_say(struct event_queue *e, enum switch_event_kind kind, int level,
	const char *port, const char *text)
{
	struct switch_event ev = {.kind = kind, .level = level};

	snprintf(ev.port, sizeof(ev.port), "%s", port);
	snprintf(ev.text, sizeof(ev.text), "%s", text ? text : "");
	event_queue_push(e, &ev);
}

void event_queue_lost(struct event_queue *e, uint64_t n)
{
	pthread_mutex_lock(&e->lock);
	e->lost += n;
	pthread_mutex_unlock(&e->lock);
}

bool event_queue_pop(struct event_queue *e, struct switch_event *ev)
{
	bool any = true;

	pthread_mutex_lock(&e->lock);
	if (e->n) {
		*ev = e->queue[e->head];
		e->head = (e->head + 1) % EVENTS_MAX;
		e->n--;
	} else if (e->lost) {
		*ev = (struct switch_event){.kind = EVENT_LOST,
			.level = LOG_WARNING,
			.time_ns = clock_ns(CLOCK_REALTIME),
			.count = e->lost};
		e->lost = 0;
	} else {
		any = false;
	}
	pthread_mutex_unlock(&e->lock);
	return any;
}
