// SPDX-License-Identifier: BSD-2-Clause
// Load for a switch in memory: threads that send numbered flows, receivers that check them.
#include "tests/lib/switch_load.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

struct sw *load_switch(uint32_t n_workers)
{
	struct switch_config config = {.n_workers = n_workers, .patience_us = 1000};
	struct sw *sw = NULL;

	for (uint32_t i = 0; i < n_workers; i++)
		config.cores[i] = -1;
	assert_int_equal(switch_new(&config, &sw, NULL), 0);
	return sw;
}

struct port *load_port(struct sw *sw, const char *name, uint32_t queues)
{
	struct switch_port_config c = {
		.port = {.type = "fake", .queues = queues}, .vlan.access = 1};

	snprintf(c.port.name, sizeof(c.port.name), "%s", name);
	assert_int_equal(switch_port_add(sw, &c, NULL), 0);
	return fake_find(name);
}

void load_frame(uint8_t *f, uint8_t from, uint8_t from_q, uint8_t to, uint32_t flow, uint32_t seq)
{
	memset(f, 0, 64);
	memcpy(f, (uint8_t[]){2, 0, 0, 0, 0, to, 2, 0, 0, 0, from_q, from, 0x88, 0xb5}, 14);
	memcpy(f + 14, &seq, 4);
	memcpy(f + 18, &flow, 4);
}

static void *send_all(void *arg)
{
	struct load_sender *s = arg;
	uint8_t f[64];

	for (uint32_t i = 0; i < s->frames; i++) {
		while (fake_backlog(s->port) > LOAD_BACKLOG)
			sched_yield();
		for (uint8_t q = 0; q < LOAD_QUEUES; q++) {
			load_frame(f, s->id, q, (uint8_t)(0xf0 + i % s->n_to),
				s->id * LOAD_QUEUES + q, i + 1);
			fake_send(s->port, q, f, sizeof(f));
		}
	}
	return NULL;
}

// One after the other: a worker only tries the table's lock, and learns with the next frame if it is taken.
static void learn_receivers(struct sw *sw, struct port *const *to, uint32_t n)
{
	uint32_t have = 0, max, sent[2] = {0}, all = 0;
	uint8_t f[64];

	assert_true(n <= 2);
	for (uint8_t i = 0; i < n; i++) {
		for (unsigned spins = 0; have <= i; spins++) {
			if (spins % 1000 == 0) {
				load_frame(f, (uint8_t)(0xf0 + i), 0, 0xee, 255, 1 + i);
				fake_send(to[i], 0, f, sizeof(f));
				sent[i]++;
				all++;
			}
			nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
			switch_fdb_size(sw, &have, &max);
		}
	}
	for (uint8_t i = 0; i < n; i++)
		assert_true(fake_wait(to[i], all - sent[i])); // those of the others, flooded
}

static uint64_t received(struct port *const *to, uint32_t n)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += fake_n_received(to[i]);
	return sum;
}

void load_start(struct load *l, uint32_t n_workers, uint32_t frames)
{
	char name[16];

	memset(l, 0, sizeof(*l));
	l->sw = load_switch(n_workers);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "to%u", i);
		l->to[i] = load_port(l->sw, name, LOAD_QUEUES);
		fake_set_forgetful(l->to[i], true);
	}
	learn_receivers(l->sw, l->to, 2);
	for (unsigned i = 0; i < 2; i++) {
		fake_forget(l->to[i]);
		fake_check_order(l->to[i]);
	}
	for (uint8_t i = 0; i < LOAD_SENDERS; i++) {
		snprintf(name, sizeof(name), "from%u", i);
		l->s[i] = (struct load_sender){.port = load_port(l->sw, name, LOAD_QUEUES),
			.id = (uint8_t)(i + 1),
			.frames = frames,
			.n_to = 2};
		fake_set_forgetful(l->s[i].port, true);
	}
	for (unsigned i = 0; i < LOAD_SENDERS; i++)
		assert_int_equal(pthread_create(&l->s[i].thread, NULL, send_all, &l->s[i]), 0);
}

uint64_t load_arrived(const struct load *l)
{
	return received(l->to, 2);
}

uint64_t load_expected(const struct load *l)
{
	return (uint64_t)LOAD_SENDERS * LOAD_QUEUES * l->s[0].frames;
}

void load_end(struct load *l)
{
	const uint64_t want = load_expected(l);

	for (unsigned i = 0; i < LOAD_SENDERS; i++)
		pthread_join(l->s[i].thread, NULL);
	for (unsigned tries = 0; load_arrived(l) < want && tries < 10000; tries++)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	assert_int_equal(load_arrived(l), want);
	switch_free(l->sw);
}
