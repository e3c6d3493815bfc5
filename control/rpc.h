// SPDX-License-Identifier: BSD-2-Clause
// JSON-RPC 2.0, one object per line.
#pragma once

#include <jansson.h>
#include <stddef.h>

struct client;

// Answers one request line of a client.
void rpc_serve(struct client *c, const char *line, size_t len);
// Answers a line that is longer than max; a client without rights; or one that must make room.
void rpc_refuse_line(struct client *c, size_t max);
void rpc_deny(struct client *c);
// A notification object. Takes over params.
json_t *rpc_notification(const char *method, json_t *params);
