// SPDX-License-Identifier: BSD-2-Clause
// What operators are told: a bounded queue from control and the ports' threads.
#pragma once

#include "dataplane/switch/switch.h"

#include <pthread.h>

#define EVENTS_MAX 1024u

struct event_queue {
	int fd; // eventfd, readable while there are any
	pthread_mutex_t lock;
	// Under lock.
	uint32_t head, n;
	uint64_t lost;
	struct switch_event *queue; // EVENTS_MAX
};

// 0 or -errno.
int event_queue_init(struct event_queue *e);
void event_queue_fini(struct event_queue *e);

// Any thread but workers. Stamps the time; counts it as lost if the queue is full.
void event_queue_push(struct event_queue *e, const struct switch_event *ev);
// The same, made from its usual parts. `text` may be NULL.
void event_queue_say(struct event_queue *e, enum switch_event_kind kind, int level,
	const char *port, const char *text);

// Control. The oldest; then one EVENT_LOST if there were more than fit. False if there is none.
bool event_queue_pop(struct event_queue *e, struct switch_event *ev);
// Control. Counts events that were lost elsewhere.
void event_queue_lost(struct event_queue *e, uint64_t n);
