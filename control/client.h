// SPDX-License-Identifier: BSD-2-Clause
// One client of the API: its connection, its limits, what it subscribed to.
#pragma once

#include "control/server.h"

#include <stdint.h>
#include <sys/queue.h>

#define CLIENT_LINE_MAX   (1 << 20) // bytes of a request
#define CLIENT_OUT_HIGH   (1 << 18) // bytes unread: no request is read before they are
#define CLIENT_EVENTS_MAX (1 << 20) // bytes unread: events are dropped and counted
#define CLIENT_IDLE_S     300       // without a byte; subscribers may be silent
#define CLIENT_STUCK_S    30        // without reading a byte of what waits
#define CLIENT_GARBAGE    8         // unreadable lines before it is disconnected

struct capture;

struct client {
	struct server *server;
	struct bufferevent *bev;
	struct event *resume; // goes on with lines that wait, after others had their turn
	bool may_read, may_change, is_closing;
	uid_t uid;
	uint64_t last_ns; // its last request
	unsigned garbage;
	bool is_subscribed;
	json_t *events;           // kinds it wants; NULL: all
	char port[PORT_NAME_MAX]; // "": of all ports
	uint64_t lost;            // events dropped since the last one delivered
	struct capture *capture;
	TAILQ_ENTRY(client) link;
};
TAILQ_HEAD(client_list, client);

// Takes over fd. NULL: no memory (fd is closed).
struct client *client_new(struct server *s, struct event_base *base, int fd);
void client_free(struct client *c);

// Sends one object as a line, whatever waits already. Takes over `json`.
void client_send(struct client *c, json_t *json);
// Bytes that the client has not read yet.
size_t client_unread(const struct client *c);
// Disconnects after what waits was sent.
void client_close(struct client *c);
// Sends an event that the client wants, or counts it as lost. Borrowed.
void client_publish(struct client *c, json_t *event);
// Subscribers and captures may be silent; others are disconnected after CLIENT_IDLE_S.
void client_set_patience(struct client *c);
