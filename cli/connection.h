// SPDX-License-Identifier: BSD-2-Clause
// The connection to weftd: JSON objects, one per line, over its socket.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct connection;

// NULL with errno, and a sentence in text.
struct connection *connection_new(const char *socket, char *text, size_t size);
void connection_free(struct connection *c);
int connection_fd(const struct connection *c);

// Whether weftd has closed it, and nothing of it waits to be read.
bool connection_is_closed(const struct connection *c);

// Sends one object; takes it over. 0 or -errno.
int connection_send(struct connection *c, json_t *json);
// Waits up to timeout_ms (-1: for ever) for one object. *out NULL: time is up. -errno: it is gone,
// or speaks something else.
int connection_receive(struct connection *c, int timeout_ms, json_t **out);
