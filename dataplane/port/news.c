// SPDX-License-Identifier: BSD-2-Clause
// Collects what a port has to tell, and tells it without a lock.
#include "dataplane/port/news.h"

void news_log(struct news *news, int syslog_level, const char *fmt, ...)
{
	va_list ap;
	if (news->n_log == NEWS_MAX)
		return;
	news->log[news->n_log].level = syslog_level;
	va_start(ap, fmt);
	vsnprintf(news->log[news->n_log].text, sizeof(news->log[0].text), fmt, ap);
	va_end(ap);
	news->n_log++;
}

void news_link(struct news *news, struct port *port, enum port_link link, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(news->link_why, sizeof(news->link_why), fmt, ap);
	va_end(ap);
	news->has_link = true;
	news->link = link;
	__atomic_store_n(&port->link, link, __ATOMIC_RELAXED);
}

void news_unlock_and_tell(struct news *news, struct port *port, pthread_mutex_t *lock)
{
	const struct port_upcalls *up = &port->up;
	struct news told;
	bool any = news->n_log || news->has_link;
	if (any) {
		told = *news;
		news->n_log = 0;
		news->has_link = false;
	}
	pthread_mutex_unlock(lock);
	if (!any)
		return;
	for (unsigned i = 0; i < told.n_log && up->log; i++)
		up->log(up->ctx, port, told.log[i].level, told.log[i].text);
	if (told.has_link && up->link)
		up->link(up->ctx, port, told.link, told.link_why);
}
