// SPDX-License-Identifier: BSD-2-Clause
// A configuration that was checked: what a file says, or a request, ready for the switch.
#pragma once

#include "control/config_schema.h"
#include "control/config_tree.h"
#include "dataplane/switch/switch.h"

#include <jansson.h>

#define CONFIG_TEXT_MAX (1 << 20) // bytes of a file

struct config_port {
	struct switch_port_config sw;
	uint32_t n_workers; // of receive queues 0..n_workers-1
	uint32_t workers[PORT_QUEUES_MAX];
	json_t *json; // the keys as they were given; a reference
};

struct config_static {
	uint8_t mac[6];
	uint16_t vid;
	char port[PORT_NAME_MAX];
};

struct config {
	json_t *json; // the keys as they were given
	struct switch_config sw;
	char api_socket[108];
	char api_group[64], api_admin_group[64]; // "" not given
	char metrics_listen[64];                 // "" none
	int log_level;
	int32_t wakeup_us;   // WAKEUP_ANY: not given
	uint64_t privileges; // enum conf_privilege
	uint32_t n_fixed, n_ports;
	struct config_static *fixed;
	struct config_port *ports;
};

#define CONFIG_SOCKET_DEFAULT "/run/weft/weftd.sock"

// Each makes a checked configuration of YAML text, of a file, or of JSON with the same keys.
// -EINVAL (or what reading the file failed with) and *err filled.
int config_parse(const char *text, size_t len, struct config **out, struct config_error *err);
int config_load(const char *path, struct config **out, struct config_error *err);
int config_from_json(const json_t *json, struct config **out, struct config_error *err);
void config_free(struct config *c);

// One entry of ports:, from JSON with the same keys. `n_workers` of the switch, 0 if not known yet.
int config_port_from_json(
	const json_t *json, uint32_t n_workers, struct config_port *out, struct error *err);
void config_port_fini(struct config_port *p);

// "FILE:LINE:COLUMN: SENTENCE".
void config_error_text(const struct config_error *err, const char *file, char *buf, size_t size);

// For config.c: judges what libcyaml loaded. `path` is how keys are named: "ports[1]." or "".
int config_port_convert(const struct conf_port *c, const char *path, uint32_t n_workers,
	struct config_port *out, struct error *err);

// Names of ports: [A-Za-z0-9_.-]{1,31}.
bool config_is_port_name(const char *name);

// Schema as JSON, for clients that build requests of words: {key: {kind, help, values, keys}}.
json_t *config_schema_json(void);

// YAML text of such a configuration, to be freed. NULL: out of memory.
char *config_yaml(const json_t *json);
// Writes text to a file: temporary file beside it, fsync, rename. -errno and *err filled.
int config_write(const char *path, const char *text, struct error *err);
