// SPDX-License-Identifier: BSD-2-Clause
// Collects what a port has to tell, and tells it without a lock.
#include "dataplane/port/news.h"

#include <stdio.h>
#include <string.h>

void news_log(struct news *news, int syslog_level, const char *fmt, ...)
{
	va_list ap;
	if (news->n >= NEWS_MAX - 1)
		return;
	news->item[news->n].is_link = false;
	news->item[news->n].level = syslog_level;
	va_start(ap, fmt);
	vsnprintf(news->item[news->n].text, sizeof(news->item[0].text), fmt, ap);
	va_end(ap);
	news->n++;
}

void news_link(struct news *news, struct port *port, enum port_link link, const char *fmt, ...)
{
	va_list ap;
	if (news->n == NEWS_MAX)
		news->n--;
	news->item[news->n].is_link = true;
	news->item[news->n].link = link;
	va_start(ap, fmt);
	vsnprintf(news->item[news->n].text, NEWS_WHY, fmt, ap);
	va_end(ap);
	news->n++;
	__atomic_store_n(&port->link, link, __ATOMIC_RELAXED);
}

void news_unlock_and_tell(struct news *news, struct port *port, pthread_mutex_t *lock)
{
	const struct port_upcalls *up = &port->up;
	struct news told;
	told.n = news->n;
	memcpy(told.item, news->item, news->n * sizeof(news->item[0]));
	news->n = 0;
	pthread_mutex_unlock(lock);
	for (unsigned i = 0; i < told.n; i++)
		if (told.item[i].is_link && up->link)
			up->link(up->ctx, port, told.item[i].link, told.item[i].text);
		else if (!told.item[i].is_link && up->log)
			up->log(up->ctx, port, told.item[i].level, told.item[i].text);
}
