// SPDX-License-Identifier: BSD-2-Clause
// The API described once: the server checks requests by it, docs/api.md is generated from it, and
// api.show hands it to clients.
#pragma once

#include "dataplane/switch/switch.h"

#include <jansson.h>
#include <stdbool.h>

struct client;
struct daemon;

enum api_type { API_TEXT, API_NUMBER, API_FLAG, API_LIST, API_GROUP, API_PORT, API_MAC, API_VLAN };

// JSON-RPC's own codes, and those of weft.
enum api_code {
	API_E_PARSE = -32700,
	API_E_REQUEST = -32600,
	API_E_METHOD = -32601,
	API_E_PARAMS = -32602,
	API_E_INTERNAL = -32603,
	API_E_NOT_FOUND = 1,
	API_E_EXISTS = 2,
	API_E_DENIED = 3,
	API_E_REFUSED = 4,
	API_E_BUSY = 5,
};

// A parameter, or a field of a result. A list of them ends with name NULL.
struct api_param {
	const char *name;
	enum api_type type;
	bool required;
	const char *help;
};

struct api_call {
	struct daemon *daemon;
	struct client *client;
	const json_t *params; // an object, checked against the method's params
	json_t *result;       // set by run(); taken over
	int code;             // enum api_code if run() failed
	struct error error;
	const char *file;      // that has the fault; NULL: none, or the client's own text
	unsigned line, column; // of a configuration text; 0: none
};

struct api_method {
	const char *name; // "port.show"
	const char *help;
	bool changes;     // needs the right to change
	bool port_keys;   // takes the keys of ports: in the configuration too
	bool config_keys; // takes the keys of the whole configuration too
	const struct api_param *params;
	bool list; // the result is a list of objects with the fields `result`
	const struct api_param *result;
	const char *errors;  // when it fails, beyond bad parameters; NULL: it does not
	const char *example; // params of a call
	// 0 with call->result, or -1 through api_fail().
	int (*run)(struct api_call *call);
};

// One table for each noun, each ended by name NULL; one explicit list of them, ended by NULL.
extern const struct api_method api_version_methods[];
extern const struct api_method api_port_methods[];
extern const struct api_method api_fdb_methods[];
extern const struct api_method api_vlan_methods[];
extern const struct api_method api_stats_methods[];
extern const struct api_method api_worker_methods[];
extern const struct api_method api_health_methods[];
extern const struct api_method api_config_methods[];
extern const struct api_method api_monitor_methods[];
extern const struct api_method api_capture_methods[];
extern const struct api_method *const api_nouns[];

const struct api_method *api_find(const char *name);
// The nearest method's name to a wrong one, or NULL.
const char *api_nearest(const char *name);
const char *api_type_name(enum api_type type);
// Checks names, types and presence of call->params. 0 or -1 through api_fail().
int api_check(const struct api_method *m, struct api_call *call);

// Fill in the failure of a call; return -1.
__attribute__((format(printf, 4, 5))) int api_fail(
	struct api_call *call, int code, const char *key, const char *fmt, ...);
// For `rc` of the switch or the configuration: a code of its own by errno.
int api_fail_rc(struct api_call *call, int rc);

// Parameters that api_check let through; NULL or 0 if absent.
const char *api_text(const struct api_call *call, const char *name);
uint32_t api_number(const struct api_call *call, const char *name);
bool api_mac(const struct api_call *call, const char *name, uint8_t mac[6]);

// Counters of a port as an object: {rx_frames: ..., drops: {...}}, shared by port and stats.
void api_stats_add(json_t *to, const struct port_stats *st);
