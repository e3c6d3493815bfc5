// SPDX-License-Identifier: BSD-2-Clause
// JSON-RPC 2.0, one object per line.
#pragma once

#include <stddef.h>

struct client;
struct daemon;

// Answers one request line of a client.
void rpc_serve(struct daemon *d, struct client *c, const char *line, size_t len);
// Answers a line that is longer than max; a client without rights.
void rpc_refuse_line(struct client *c, size_t max);
void rpc_deny(struct client *c);
