// SPDX-License-Identifier: BSD-2-Clause
// The one schema of the configuration: of the file, of port.add and config.set, of the documents.
#pragma once

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <stdint.h>

// What libcyaml loads. Absent keys are zero or NULL; config.c and config_port.c judge the values.
struct conf_worker {
	uint32_t core;
};

struct conf_static {
	char *mac;
	uint32_t vlan;
	char *port;
};

struct conf_fdb {
	uint32_t age, max;
	struct conf_static *fixed;
	uint32_t n_fixed;
};

struct conf_api {
	char *socket, *group, *admin_group;
};

struct conf_metrics {
	char *listen;
};

struct conf_log {
	int level; // syslog level + 1; 0 absent
};

struct conf_vlan {
	uint32_t access, native;
	char **trunk;
	uint32_t n_trunk;
};

struct conf_policy {
	char **macs, **ips;
	uint32_t n_macs, n_ips;
	bool isolated;
	char *rate, *rate_pps, *storm;
};

struct conf_features {
	uint64_t off;
};

enum conf_mode { MODE_ABSENT, MODE_SERVER, MODE_CLIENT };
enum conf_share { SHARE_ABSENT, SHARE_EXCLUSIVE, SHARE_HOST };
enum conf_xdp { XDP_ABSENT, XDP_AUTO, XDP_ZEROCOPY, XDP_COPY, XDP_GENERIC };

struct conf_port {
	char *name, *type;
	char *socket;
	enum conf_mode mode;
	uint32_t queues;
	struct conf_features *features;
	char *socket_owner, *socket_mode;
	char *device;
	enum conf_xdp xdp_mode;
	enum conf_share share;
	uint32_t busy_poll, rx_ring, mtu;
	struct conf_vlan *vlan;
	struct conf_policy *policy;
	uint32_t *workers;
	uint32_t n_workers;
};

enum conf_idle { IDLE_ABSENT, IDLE_SLEEP, IDLE_POLL };

// Rights that are kept although no port of the file needs them: for ports that come later.
enum conf_privilege { PRIVILEGE_XDP = 1, PRIVILEGE_SOCKET_OWNER = 2 };

struct conf {
	struct conf_worker *workers;
	uint32_t n_workers;
	enum conf_idle idle;
	uint32_t idle_us;
	uint32_t patience_us;
	uint32_t wakeup_us; // 0 is a value: whether it was given is for the tree to tell
	struct conf_fdb *fdb;
	struct conf_api *api;
	struct conf_metrics *metrics;
	struct conf_log *log;
	uint64_t privileges; // enum conf_privilege
	struct conf_port *ports;
	uint32_t n_ports;
};

extern const struct cyaml_schema_value conf_schema;      // a whole file
extern const struct cyaml_schema_value conf_port_schema; // one entry of ports:

// What the schema cannot say: help for people, and limits.
struct conf_key {
	const char *path;    // "ports.vlan.access"
	const char *types;   // ports: the types of port that have the key; NULL: all
	const char *help;    // one line
	const char *example; // a value
	uint64_t min, max;   // of numbers (of lists: entries at least); max 0: no limits
};
extern const struct conf_key conf_keys[];
extern const unsigned conf_n_keys;

// NULL if there is no such key.
const struct conf_key *conf_key_find(const char *path);
