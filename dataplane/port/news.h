// SPDX-License-Identifier: BSD-2-Clause
// What a port has to tell its switch, kept while it holds a lock and told once it does not: who is
// told may call back.
#pragma once

#include "dataplane/port/port.h"

#define NEWS_MAX 8
#define NEWS_WHY 256 // bytes of why a link changed

// In the order in which it happened.
struct news {
	struct {
		bool is_link;
		enum port_link link;
		int level; // of a line for the log
		char text[512];
	} item[NEWS_MAX];
	unsigned n;
};

// Under the port's lock. Adds a line for the log; what there is no room for is dropped.
__attribute__((format(printf, 3, 4))) void news_log(
	struct news *news, int syslog_level, const char *fmt, ...);
// Under the port's lock. Sets port->link, and says why. The last one is always told.
__attribute__((format(printf, 4, 5))) void news_link(
	struct news *news, struct port *port, enum port_link link, const char *fmt, ...);
// Releases the lock, and tells. Control or event thread.
void news_unlock_and_tell(struct news *news, struct port *port, pthread_mutex_t *lock);
