// SPDX-License-Identifier: BSD-2-Clause
// Two guests that send each other numbered frames and go on by themselves when the switch goes away
// and comes back; they tell what was lost, doubled and late.
//
//	two_guests client|server SOCKET SOCKET FRAMES-PER-SECOND
//
// `client`: the guests connect to the switch, trying every millisecond; `server`: they listen. Each
// says "ready" once it hears the other. On SIGTERM they stop sending, wait until all has arrived, and
// print a line of JSON. What a guest cannot put into its ring it keeps: nothing is lost in the guest.
#include "tests/lib/front_guest.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FRAME_LEN 64u
#define SEEN      (1u << 20) // numbers that are remembered: more than can be on their way
#define QUIET_NS  500000000ull
// In a ring at most: so many find room with the receiver when they come all at once.
#define WAITING_MAX 256u

struct guest {
	struct front_guest front;
	unsigned id; // 0 or 1
	uint64_t rate;
	uint64_t sent, received, doubled, late, reconnects; // written by the guest's thread
	uint64_t newest;                                    // highest number received, plus one
	uint64_t last_ns;                                   // of the last frame received
	uint64_t gap_ns, back_us; // longest time without; wall clock when it ended
	bool hears;               // has heard the other
	uint8_t seen[SEEN / 8];
};

static bool ending; // set by the signal, read by the guests

static void on_signal(int sig)
{
	__atomic_store_n(&ending, true, __ATOMIC_SEQ_CST);
}

static bool is_ending(void)
{
	return __atomic_load_n(&ending, __ATOMIC_SEQ_CST);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

// A frame with a number; without one (0) it is a greeting, which makes addresses known. False if
// there is no room.
static bool send_frame(struct guest *g, uint64_t number)
{
	uint8_t f[FRAME_LEN] = {2, 0, 0, 0, 0, (uint8_t)(2 - g->id), 2, 0, 0, 0, 0,
		(uint8_t)(1 + g->id), 0x88, 0xb5};

	front_guest_reap_tx(&g->front, 0);
	if (vq_driver_in_flight(&front_guest_txq(&g->front, 0)->drv) >= WAITING_MAX)
		return false;
	memcpy(f + 16, &number, sizeof(number));
	return front_guest_send(&g->front, 0, NULL, f, sizeof(f), 0) == 0;
}

static void note(struct guest *g, uint64_t number)
{
	uint8_t *seen = &g->seen[number % SEEN / 8], bit = (uint8_t)(1u << number % 8);
	const uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (g->last_ns && now - g->last_ns > g->gap_ns) {
		g->gap_ns = now - g->last_ns;
		g->back_us = clock_ns(CLOCK_REALTIME) / 1000;
	}
	g->last_ns = now;
	// Bits are cleared half a window ahead of the newest number.
	for (; g->newest <= number; g->newest++)
		g->seen[(g->newest + SEEN / 2) % SEEN / 8] &=
			(uint8_t) ~(1u << (g->newest + SEEN / 2) % 8);
	g->late += number + 1 < g->newest && !(*seen & bit);
	g->doubled += !!(*seen & bit);
	g->received += !(*seen & bit);
	*seen |= bit;
}

static int receive(struct guest *g, int timeout_ms)
{
	uint8_t f[2048];
	uint64_t number;
	int64_t len = front_guest_recv(&g->front, 0, NULL, f, sizeof(f), timeout_ms);

	if (len == -ETIMEDOUT)
		return 0;
	if (len != FRAME_LEN || f[12] != 0x88 || f[13] != 0xb5) {
		fprintf(stderr, "guest %u received what nobody sent: %lld\n", g->id,
			(long long)len);
		exit(1);
	}
	memcpy(&number, f + 16, sizeof(number));
	__atomic_store_n(&g->hears, true, __ATOMIC_SEQ_CST);
	if (number && f[11] != 1 + g->id)
		note(g, number - 1);
	return 1;
}

static void connect_again(struct guest *g)
{
	front_guest_disconnect(&g->front);
	while (front_guest_connect(&g->front)) {
		front_guest_disconnect(&g->front);
		if (is_ending())
			return;
		usleep(1000);
	}
	g->reconnects++;
}

static struct guest *other(struct guest *g)
{
	return g->id ? g - 1 : g + 1;
}

static void *run(void *arg)
{
	struct guest *g = arg;
	uint64_t before = 0, due = 0;

	connect_again(g);
	while (!is_ending() || clock_ns(CLOCK_MONOTONIC) - g->last_ns < QUIET_NS) {
		if (vhost_front_is_closed(&g->front.front, 0))
			connect_again(g);
		bool both = __atomic_load_n(&g->hears, __ATOMIC_SEQ_CST) &&
			    __atomic_load_n(&other(g)->hears, __ATOMIC_SEQ_CST);
		if (!both)
			send_frame(g, 0);
		// Two milliseconds' worth at most is caught up: no receiver must be overrun.
		const uint64_t now = clock_ns(CLOCK_MONOTONIC);
		due = before && both ? due + (now - before) * g->rate : 0;
		if (due > g->rate * 2000000)
			due = g->rate * 2000000;
		before = now;
		for (; due >= 1000000000 && !is_ending() && send_frame(g, g->sent + 1); g->sent++)
			due -= 1000000000;
		if (receive(g, 1))
			while (receive(g, 0))
				;
	}
	return NULL;
}

static void print_guest(struct guest *g)
{
	printf("{\"sent\": %llu, \"lost\": %llu, \"doubled\": %llu, \"late\": %llu, "
	       "\"connections\": %llu, \"gap_us\": %llu, \"back_us\": %llu}",
		(unsigned long long)other(g)->sent,
		(unsigned long long)(other(g)->sent - g->received), (unsigned long long)g->doubled,
		(unsigned long long)g->late, (unsigned long long)g->reconnects,
		(unsigned long long)g->gap_ns / 1000, (unsigned long long)g->back_us);
}

int main(int argc, char **argv)
{
	static struct guest guests[2];
	pthread_t thread[2];

	if (argc != 5) {
		fprintf(stderr,
			"usage: two_guests client|server SOCKET SOCKET FRAMES-PER-SECOND\n");
		return 2;
	}
	signal(SIGTERM, on_signal);
	signal(SIGPIPE, SIG_IGN);
	for (unsigned i = 0; i < 2; i++) {
		struct front_guest_config c = {.socket = argv[2 + i],
			.listen = strcmp(argv[1], "server") == 0,
			.ring_size = 1024,
			.timeout_ms = 1000};

		guests[i].id = i;
		guests[i].rate = strtoull(argv[4], NULL, 10);
		if (front_guest_init(&guests[i].front, &c))
			return 1;
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, run, &guests[i]);
	for (unsigned told = 0; !is_ending() && !told; usleep(1000)) {
		told = __atomic_load_n(&guests[0].hears, __ATOMIC_SEQ_CST) &&
		       __atomic_load_n(&guests[1].hears, __ATOMIC_SEQ_CST);
		if (told) {
			puts("ready");
			fflush(stdout);
		}
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	printf("[");
	print_guest(&guests[0]);
	printf(", ");
	print_guest(&guests[1]);
	printf("]\n");
	for (unsigned i = 0; i < 2; i++)
		front_guest_fini(&guests[i].front);
	return 0;
}
