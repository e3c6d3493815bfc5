// SPDX-License-Identifier: BSD-2-Clause
// The API's socket: who may connect, and how much all clients together may use.
#pragma once

#include "dataplane/switch/switch.h"

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/time.h>
#include <sys/types.h>

#define SERVER_CLIENTS_MAX 1024
#define SERVER_OUT_MAX     (64 << 20) // bytes waiting to be read by all clients together

struct daemon;
struct client;
struct server;

// Takes the socket: refused if another weftd serves it; what a dead one left is replaced. The lock
// is held until server_free. Nothing is answered before server_start.
int server_new(const char *path, struct server **out, struct error *err);
// Starts to answer, in the loop of `d`.
int server_start(struct server *s, struct daemon *d);
// Disconnects all clients, removes the socket. NULL is fine.
void server_free(struct server *s);

// Who may read, and who may change; "" none but root. Refused if there is no such group.
int server_rights(struct server *s, const char *group, const char *admin_group, struct error *err);

// How long a client may be silent, and how long it may read nothing of what waits for it.
void server_set_patience(struct server *s, struct timeval idle, struct timeval stuck);
void server_patience(const struct server *s, struct timeval *idle, struct timeval *stuck);

const char *server_path(const struct server *s);
struct daemon *server_daemon(const struct server *s);
unsigned server_n_clients(const struct server *s);

// Hands an event to every client that subscribed to it. Borrowed.
void server_publish(struct server *s, json_t *event);

// Ends captures of a port that was removed or replaced.
void server_end_captures(struct server *s, const char *port);

// For client.c.
struct server_group {
	bool is_set;
	gid_t gid;
};
void server_credentials(
	const struct server *s, int fd, bool *may_read, bool *may_change, uid_t *uid);
void server_remove(struct server *s, struct client *c);
// With SERVER_OUT_MAX bytes unread those clients go that leave the most unread, but not `keep`.
void server_make_memory(struct server *s, const struct client *keep);
size_t *server_out_bytes(struct server *s);
