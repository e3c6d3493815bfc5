// SPDX-License-Identifier: BSD-2-Clause
// A vhost-user port whose worker sends every frame back to where it came from, for tests.
#include "tests/lib/echo.h"

#include "dataplane/port/vhost_user.h"

#include <rte_eal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <urcu-qsbr.h>

#include <cmocka.h>

static void on_link(void *ctx, struct port *port, enum port_link link, const char *why)
{
	struct echo *e = ctx;

	if (e->takes_time)
		e->takes_time(e);
	__atomic_store_n(&e->link, link, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(
		link == PORT_LINK_UP ? &e->links_up : &e->links_down, 1, __ATOMIC_SEQ_CST);
}

static void on_log(void *ctx, struct port *port, int level, const char *text)
{
	struct echo *e = ctx;

	snprintf(e->log, sizeof(e->log), "%s", text);
	__atomic_fetch_add(&e->logged, 1, __ATOMIC_SEQ_CST);
}

static void on_announce(void *ctx, struct port *port, const uint8_t *mac)
{
	struct echo *e = ctx;

	memcpy(e->mac, mac, 6);
	__atomic_fetch_add(&e->announced, 1, __ATOMIC_SEQ_CST);
}

static void *echo_thread(void *arg)
{
	static struct burst b;
	struct echo *e = arg;
	const struct port_ops *ops = e->port->ops;
	struct port_stats *st = e->port->stats[0];
	uint8_t list[FRAME_BURST];

	rcu_register_thread();
	for (unsigned i = 0; i < FRAME_BURST; i++)
		list[i] = (uint8_t)i;
	while (!__atomic_load_n(&e->stop, __ATOMIC_RELAXED)) {
		bool idle = true;
		for (unsigned q = 0; q < e->port->n_rxq; q++) {
			uint32_t n = ops->rx(e->port, q, &b, FRAME_BURST, st);
			if (!n)
				continue;
			idle = false;
			uint32_t done = ops->tx(e->port, q, b.f, list, n, st);
			st->drop[DROP_ring_full] += n - done;
			ops->rx_done(e->port, q, &b);
			__atomic_thread_fence(__ATOMIC_SEQ_CST);
			ops->notify(e->port, q, PORT_RX | PORT_TX, st);
		}
		rcu_quiescent_state();
		// Other tests run beside this one: they want the core.
		if (idle)
			nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
	}
	rcu_unregister_thread();
	return NULL;
}

struct echo *echo_start_kept(struct port_config *c, const struct port_keeper *keeper)
{
	struct echo *e = calloc(1, sizeof(*e));
	struct port_upcalls up = {e, on_link, on_log, on_announce, keeper};
	struct error err = {0};

	assert_non_null(e);
	if (!*c->socket) {
		strcpy(e->dir, "/tmp/weft-test-XXXXXX");
		assert_non_null(mkdtemp(e->dir));
		snprintf(c->socket, sizeof(c->socket), "%s/s", e->dir);
	}
	strcpy(e->path, c->socket);
	strcpy(c->name, "vm");
	strcpy(c->type, "vhost-user");
	if (vhost_user_ops.open(c, &up, &e->port, &err))
		fail_msg("%s", err.text);
	assert_int_equal(pthread_create(&e->thread, NULL, echo_thread, e), 0);
	return e;
}

struct echo *echo_start(struct port_config *c)
{
	*c->socket = '\0';
	return echo_start_kept(c, NULL);
}

void echo_stop(struct echo *e)
{
	__atomic_store_n(&e->stop, true, __ATOMIC_RELAXED);
	pthread_join(e->thread, NULL);
	vhost_user_ops.close(e->port);
	assert_int_not_equal(access(e->path, F_OK), 0);
	if (*e->dir)
		rmdir(e->dir);
	free(e);
}

bool echo_wait(const unsigned *counter, unsigned want)
{
	for (int i = 0; i < ECHO_WAIT_MS; i++) {
		if (__atomic_load_n(counter, __ATOMIC_SEQ_CST) >= want)
			return true;
		usleep(1000);
	}
	return false;
}

uint64_t echo_drops(const struct echo *e, enum drop_reason r)
{
	struct port_stats sum;

	port_stats_sum(e->port, &sum);
	return sum.drop[r];
}

void echo_make_frame(uint8_t *f, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		f[i] = (uint8_t)(seed * 31 + i * 7 + (i >> 8));
	memcpy(f, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x88\xb5", 14);
}

void echo_round_trip(struct front_guest *g, unsigned pair, size_t len, unsigned seed)
{
	static uint8_t out[66000], in[66000];

	echo_make_frame(out, len, seed);
	assert_int_equal(front_guest_send(g, pair, NULL, out, len, ECHO_WAIT_MS), 0);
	assert_int_equal(front_guest_recv(g, pair, NULL, in, sizeof(in), ECHO_WAIT_MS), len);
	assert_memory_equal(out, in, len);
}

int echo_start_eal(void **state)
{
	static char args[][24] = {"test", "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry",
		"--log-level=lib.*:4"};
	char *argv[7] = {0};

	for (int i = 0; i < 6; i++)
		argv[i] = args[i];
	return rte_eal_init(6, argv) < 0 ? -1 : 0;
}
