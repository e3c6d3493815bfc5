// SPDX-License-Identifier: BSD-2-Clause
// What weftctl top shows: rates between two looks at the switch, and their history.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define TOP_HISTORY 64
#define TOP_PORTS   256
#define TOP_WORKERS 32

enum top_sort { SORT_NAME, SORT_RX, SORT_TX, SORT_DROPS, SORT_CPU, N_SORTS };
extern const char *const top_sort_names[N_SORTS];

struct top_port {
	char name[32], state[8], reason[16]; // reason: of most drops between the looks
	json_t *drops;                       // of the last look, by reason; a reference
	bool seen;
	uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes, dropped, cpu_ns;
	double rx_pps, rx_bps, tx_pps, tx_bps, drop_ps;
	double cpu;                 // share of a core
	float history[TOP_HISTORY]; // rx + tx frames a second, newest last
};

struct top_worker {
	int id, core;
	char state[12];
	uint64_t frames, busy, idle, cpu_ns;
	double busy_share, cpu_share, pps, cycles;
};

struct top {
	unsigned n_ports, n_workers, n_addresses;
	struct top_port ports[TOP_PORTS];
	struct top_worker workers[TOP_WORKERS];
	uint64_t last_ns;
	bool has_rates; // after the second look
};

// Takes in results of port.show and worker.show seen at now_ns.
void top_update(struct top *t, const json_t *ports, const json_t *workers, uint64_t now_ns);
void top_fini(struct top *t);
// What counters gained between two looks, `seconds` apart, under the API's names: a new object.
json_t *top_difference(
	const json_t *const ports[2], const json_t *const workers[2], double seconds);
// The name in `width` columns: of a longer one the middle is left out, as its end tells it from others.
void top_name(const char *name, unsigned width, char buf[32]);
// Fills order[] with the indexes of ports whose name contains `filter`; returns how many.
unsigned top_sort_ports(const struct top *t, enum top_sort by, bool reverse, const char *filter,
	unsigned order[TOP_PORTS]);
// The last n values of a history as bars of UTF-8 (or of ASCII); buf has 3 * n + 1 bytes.
void top_sparkline(const struct top_port *p, unsigned n, bool utf8, char *buf);
