// SPDX-License-Identifier: BSD-2-Clause
// One client of the API: its connection, its limits, what it subscribed to.
#pragma once

#include "control/rights.h"

#include <jansson.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/time.h>

#define CLIENT_LINE_MAX   (1 << 20)  // bytes of a request
#define CLIENT_OUT_HIGH   (1 << 18)  // bytes unread: no request is read before they are
#define CLIENT_EVENTS_MAX (1 << 20)  // bytes unread: events are dropped and counted
#define CLIENTS_OUT_MAX   (64 << 20) // bytes unread by all clients together
#define CLIENT_IDLE_S     300        // without a byte; subscribers may be silent
#define CLIENT_STUCK_S    30         // without reading a byte of what waits
#define CLIENT_GARBAGE    8          // unreadable lines before it is disconnected

struct capture;
struct client;
struct event_base;

// What all clients share.
struct client_pool {
	size_t unread;              // bytes that wait to be read, of all of them
	struct timeval idle, stuck; // how long each may be silent, and read nothing of what waits
};

// What a client's owner is told. `gone` removes the client from wherever it is and frees it.
struct client_calls {
	void *ctx;
	void (*line)(void *ctx, struct client *c, const char *line, size_t len);
	void (*overlong)(void *ctx, struct client *c); // a line has no end; it is closed next
	void (*gone)(void *ctx, struct client *c);
};

struct client {
	const struct client_calls *calls;
	struct client_pool *pool;
	struct bufferevent *bev;
	struct event *resume; // goes on with lines that wait, after others had their turn
	struct rights_peer peer;
	bool is_closing;  // it is disconnected once what waits was sent
	bool is_finished; // it sends nothing more: what it asked is answered, then it is closed
	uint64_t last_ns; // its last request
	unsigned garbage;
	bool is_subscribed;
	json_t *events;           // kinds it wants; NULL: all
	char port[PORT_NAME_MAX]; // "": of all ports
	uint64_t lost;            // events dropped since the last one delivered
	struct capture *capture;  // its owner ends it before client_free
	TAILQ_ENTRY(client) link;
};
TAILQ_HEAD(client_list, client);

// Takes over fd; the rest is borrowed until client_free. NULL: no memory (fd is closed).
struct client *client_new(const struct client_calls *calls, struct client_pool *pool,
	struct event_base *base, int fd);
void client_free(struct client *c);

// Its socket, which stays its own.
int client_fd(const struct client *c);
// Sends one object as a line, whatever waits already. Takes over `json`.
void client_send(struct client *c, json_t *json);
// Sends a notification (JSON-RPC 2.0, 4.1). Takes over `params`.
void client_notify(struct client *c, const char *method, json_t *params);
// Bytes that the client has not read yet.
size_t client_unread(const struct client *c);
// Whether it may be sent what it did not ask for, with `max` bytes unread at most: by then, or with
// CLIENTS_OUT_MAX of all clients, it has to be dropped.
bool client_has_room(const struct client *c, size_t max);
// Disconnects after what waits was sent.
void client_close(struct client *c);
// Sends an event that the client wants, or counts it as lost. Borrowed.
void client_publish(struct client *c, json_t *event);
// Subscribers and captures may be silent; others are disconnected after pool->idle.
void client_set_patience(struct client *c);
