// SPDX-License-Identifier: BSD-2-Clause
// The API's socket and its clients: who may connect, and how much all of them together may use.
#pragma once

#include "dataplane/switch/switch.h"

#include <jansson.h>
#include <stddef.h>
#include <sys/time.h>

#define SERVER_CLIENTS_MAX 1024

struct daemon;
struct server;

// Takes the socket: refused if another weftd serves it; what a dead one left is replaced. The lock
// is held until server_free. Nothing is answered before server_start.
int server_new(const char *path, struct server **out, struct error *err);
// Starts to answer, in the loop of `d`.
int server_start(struct server *s, struct daemon *d);
// Disconnects all clients, removes the socket. NULL is fine.
void server_free(struct server *s);

// Listens at another path instead; clients keep their connections. -errno with *err filled, and all is
// as it was.
int server_move(struct server *s, const char *path, struct error *err);

// Who may read, and who may change; "" none but root. Refused if there is no such group.
int server_rights(struct server *s, const char *group, const char *admin_group, struct error *err);

// How long a client may be silent, and how long it may read nothing of what waits for it.
void server_set_patience(struct server *s, struct timeval idle, struct timeval stuck);

const char *server_path(const struct server *s);
unsigned server_n_clients(const struct server *s);
// Bytes that all clients together have not read yet.
size_t server_unread(const struct server *s);

// Hands an event to every client that subscribed to it. Borrowed.
void server_publish(struct server *s, json_t *event);
// Ends captures of a port that was removed or replaced.
void server_end_captures(struct server *s, const char *port);
