// SPDX-License-Identifier: BSD-2-Clause
// What all port types share: finding the type, the embedded part, who is woken by a receive queue.
#include "dataplane/port/port.h"

#include "dataplane/port/rcu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#ifdef RCU_TSAN
char rcu_order;
#endif

int port_new(const struct port_config *config, const struct port_upcalls *up, struct port **out,
	struct error *err)
{
	char known[256] = "";
	size_t used = 0;

	for (unsigned i = 0; port_types[i]; i++) {
		const struct port_ops *ops = port_types[i];
		if (strcmp(ops->type, config->type) == 0)
			return ops->open(config, up, out, err);
		if (used < sizeof(known))
			used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
				i ? ", " : "", ops->type);
	}
	return error_set(err, -EINVAL, "type", "type: '%.16s' is not a port type; one of: %s",
		config->type, known);
}

void port_free(struct port *port)
{
	if (port)
		port->ops->close(port);
}

int port_init(struct port *port, const struct port_ops *ops, const struct port_config *config,
	const struct port_upcalls *up)
{
	port->ops = ops;
	port->up = *up;
	port->config = *config;
	port->id = 0;
	port->n_rxq = 0;
	port->rxq_live = UINT32_MAX;
	port->n_txq = 1;
	port->offloads = 0;
	port->link = PORT_LINK_DOWN;
	port->mtu = config->mtu ? config->mtu : 1500;
	memset(port->tx_locks, 0, sizeof(port->tx_locks));
	memset(port->stats, 0, sizeof(port->stats));
	// One block for all workers: a set is a few cache lines, and a worker added or moved
	// later needs no allocation while frames flow.
	struct port_stats *all = NULL;
	if (posix_memalign((void **)&all, 64, sizeof(*all) * WORKERS_MAX))
		return -ENOMEM;
	memset(all, 0, sizeof(*all) * WORKERS_MAX);
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		port->stats[i] = &all[i];
	for (unsigned i = 0; i < PORT_QUEUES_MAX; i++) {
		struct port_rxq *q = &port->rxq[i];
		pthread_mutex_init(&q->lock, NULL);
		q->fd = -1;
		q->epfd = -1;
		q->worker = 0;
	}
	return 0;
}

void port_fini(struct port *port)
{
	for (unsigned i = 0; i < PORT_QUEUES_MAX; i++) {
		port_watch(port, i, -1);
		pthread_mutex_destroy(&port->rxq[i].lock);
	}
	free(port->stats[0]);
	memset(port->stats, 0, sizeof(port->stats));
}

// Under rxq->lock. Edge-triggered and never read: a kick wakes the worker once, and the counter
// behind the descriptor is of no interest. The worker sees whose kick it was.
static void rxq_join(const struct port *port, const struct port_rxq *rxq)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = port->id};

	if (rxq->fd >= 0 && rxq->epfd >= 0)
		epoll_ctl(rxq->epfd, EPOLL_CTL_ADD, rxq->fd, &ev);
}

static void rxq_leave(const struct port_rxq *rxq)
{
	if (rxq->fd >= 0 && rxq->epfd >= 0)
		epoll_ctl(rxq->epfd, EPOLL_CTL_DEL, rxq->fd, NULL);
}

void port_watch(struct port *port, unsigned q, int fd)
{
	struct port_rxq *rxq = &port->rxq[q];

	pthread_mutex_lock(&rxq->lock);
	rxq_leave(rxq);
	rxq->fd = fd;
	rxq_join(port, rxq);
	pthread_mutex_unlock(&rxq->lock);
}

void port_assign(struct port *port, unsigned q, int epfd)
{
	struct port_rxq *rxq = &port->rxq[q];

	pthread_mutex_lock(&rxq->lock);
	rxq_leave(rxq);
	rxq->epfd = epfd;
	rxq_join(port, rxq);
	pthread_mutex_unlock(&rxq->lock);
}

void port_stats_sum(const struct port *port, struct port_stats *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		if (port->stats[i])
			port_stats_add(sum, port->stats[i]);
}
