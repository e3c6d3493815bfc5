// SPDX-License-Identifier: BSD-2-Clause
// The running configuration: what is wanted, what of it the switch took, and how to change it.
//
// Control thread only. A port that cannot be opened when the daemon starts or a file is reloaded
// stays wanted: it is shown with the reason and tried again every RETRY_S seconds.
#pragma once

#include "control/config.h"

#include <jansson.h>
#include <stdbool.h>
#include <time.h>

#define RETRY_S 5

struct running;

struct running_port {
	struct config_port config;
	bool is_pending;     // the switch has not taken `config` (yet)
	bool is_open;        // the switch has a port of this name
	struct error reason; // pending: why
	time_t next_try;     // pending: CLOCK_MONOTONIC seconds
};

// What a change of settings touches outside the switch. Each returns 0 or -errno with *err filled
// and changes nothing then.
struct running_hooks {
	void *ctx;
	int (*listen)(void *ctx, const char *address, struct error *err); // metrics
	// The API's socket; 1: not while this process runs, as its command line says otherwise.
	int (*socket)(void *ctx, const char *path, struct error *err);
	int (*rights)(void *ctx, const char *group, const char *admin_group, struct error *err);
	int (*wakeup)(void *ctx, int32_t us, struct error *err); // how long cores may take
	void (*changed)(void *ctx, const char *text);            // the configuration changed
};

// What applying a configuration did; strings live until the next change.
struct running_report {
	unsigned added, removed, changed, unchanged, failed;
	json_t *needs_restart; // list of keys that count at the next start; the caller releases it
};

// Opens the ports of `config`, whose json is kept. n_workers of the switch.
int running_new(struct sw *sw, const struct config *config, const struct running_hooks *hooks,
	struct running **out);
void running_free(struct running *r);

// Everything that is wanted, as the file would say it. A new reference.
json_t *running_json(const struct running *r);

unsigned running_n_ports(const struct running *r);
const struct running_port *running_port_at(const struct running *r, unsigned i);
const struct running_port *running_port_find(const struct running *r, const char *name);
// How a port carries a VLAN: "access", "native" or "trunk"; NULL: it does not.
const char *running_port_carries(const struct running_port *p, uint16_t vid);
// Sets *err to "unknown port", with the nearest name there is, and returns -ENOENT.
int running_no_port(const struct running *r, const char *name, struct error *err);

// Each is refused as a whole (-errno, *err filled) or done.
int running_port_add(struct running *r, const json_t *keys, struct error *err);
// Merges keys into those of the port; null removes one.
int running_port_set(struct running *r, const char *name, const json_t *keys, struct error *err);
int running_port_del(struct running *r, const char *name, struct error *err);
int running_port_assign(
	struct running *r, const char *name, uint32_t queue, uint32_t worker, struct error *err);
int running_fdb_add(
	struct running *r, const uint8_t mac[6], uint16_t vid, const char *port, struct error *err);
int running_fdb_del(struct running *r, const uint8_t mac[6], uint16_t vid, struct error *err);

// The static addresses that are wanted; NULL: there are no more.
const struct config_static *running_fixed_at(const struct running *r, unsigned i);

// Workers, which the file lists. Ports that name workers go on naming the same ones; queues of one
// that goes are taken over by others.
int running_worker_add(struct running *r, uint32_t core, struct error *err);
int running_worker_del(struct running *r, uint32_t worker, struct error *err);
// Another core for a worker: one there takes over from it.
int running_worker_move(struct running *r, uint32_t worker, uint32_t core, struct error *err);

// Makes what runs equal to `config`, touching only what differs. Settings that cannot be listened
// to or granted refuse the whole; a port that cannot be opened stays wanted. *report is filled.
int running_apply(struct running *r, const struct config *config, struct running_report *report,
	struct error *err);

// What running_apply would change: a new list of objects with `change` (added, removed, changed), `port`
// where it is one, and the `keys` that differ.
json_t *running_diff(const struct running *r, const struct config *config);

// Merges keys into an object as RFC 7386 says: null removes, objects merge, the rest replaces.
void running_merge(json_t *to, const json_t *patch);

// About once a second: tries pending ports again.
void running_tick(struct running *r);
