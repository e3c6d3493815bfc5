// SPDX-License-Identifier: BSD-2-Clause
// The API's clients: letting them in, handing their lines on, and room for those who come later.
#include "control/server.h"

#include "control/capture.h"
#include "control/client.h"
#include "control/daemon.h"
#include "control/log.h"
#include "control/rpc.h"
#include "control/unix_socket.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct server {
	struct daemon *daemon;
	struct unix_socket socket;
	struct evconnlistener *listener;
	struct event *rest; // ends the pause after accept() failed
	struct rights rights;
	struct client_calls calls;
	struct client_pool pool;
	struct client_list clients;
	unsigned n_clients;
};

void server_set_patience(struct server *s, struct timeval idle, struct timeval stuck)
{
	s->pool.idle = idle;
	s->pool.stuck = stuck;
}

const char *server_path(const struct server *s)
{
	return s->socket.path;
}

unsigned server_n_clients(const struct server *s)
{
	return s->n_clients;
}

size_t server_unread(const struct server *s)
{
	return s->pool.unread;
}

void server_publish(struct server *s, json_t *event)
{
	struct client *c;

	TAILQ_FOREACH(c, &s->clients, link)
	client_publish(c, event);
}

void server_end_captures(struct server *s, const char *port)
{
	struct client *c;

	TAILQ_FOREACH(c, &s->clients, link)
	capture_end(c->capture, port);
}

// Clients that are connected have the rights of now, not those of when they came. Who lost one goes,
// and with it what it subscribed to or captures.
static void rights_changed(struct server *s)
{
	struct client *c;

	TAILQ_FOREACH(c, &s->clients, link)
	{
		const struct rights_peer had = c->peer;
		c->peer = rights_of_peer(&s->rights, client_fd(c));
		if ((had.may_read && !c->peer.may_read) || (had.may_change && !c->peer.may_change))
			client_close(c);
	}
}

int server_rights(struct server *s, const char *group, const char *admin_group, struct error *err)
{
	int rc = rights_find(group, admin_group, &s->rights, err);

	if (rc == 0) {
		rights_show(&s->rights, s->socket.path);
		rights_changed(s);
	}
	return rc;
}

// --- Clients ---

static void remove_client(struct server *s, struct client *c)
{
	TAILQ_REMOVE(&s->clients, c, link);
	s->n_clients--;
	capture_free(c->capture);
	client_free(c);
}

// With all places taken the client with the least rights that was silent longest goes. False: none goes
// for one with fewer rights.
static bool make_room(struct server *s, const struct rights_peer *newcomer)
{
	struct client *c, *victim = NULL;

	if (s->n_clients < SERVER_CLIENTS_MAX)
		return true;
	TAILQ_FOREACH(c, &s->clients, link)
	if (!victim || c->peer.may_change < victim->peer.may_change ||
		(c->peer.may_change == victim->peer.may_change && c->last_ns < victim->last_ns))
		victim = c;
	if (!newcomer->may_read || victim->peer.may_change > newcomer->may_change)
		return false;
	log_msg(LOG_WARNING, "api", "%d clients: the one silent longest (uid %u) was disconnected",
		SERVER_CLIENTS_MAX, (unsigned)victim->peer.uid);
	remove_client(s, victim);
	return true;
}

// With CLIENTS_OUT_MAX bytes unread those go that leave the most unread, but not `keep`.
static void make_memory(struct server *s, const struct client *keep)
{
	while (s->pool.unread > CLIENTS_OUT_MAX) {
		struct client *c, *victim = NULL;
		TAILQ_FOREACH(c, &s->clients, link)
		if (c != keep && (!victim || client_unread(c) > client_unread(victim)))
			victim = c;
		if (!victim)
			return;
		log_msg(LOG_WARNING, "api",
			"a client (uid %u) was disconnected: %zu bytes that it does not read",
			(unsigned)victim->peer.uid, client_unread(victim));
		remove_client(s, victim);
	}
}

static void on_line(void *ctx, struct client *c, const char *line, size_t len)
{
	struct server *s = ctx;

	make_memory(s, c);
	rpc_serve(s->daemon, c, line, len);
}

static void on_overlong(void *ctx, struct client *c)
{
	rpc_refuse_line(c, CLIENT_LINE_MAX);
}

static void on_gone(void *ctx, struct client *c)
{
	remove_client(ctx, c);
}

static void on_accept(
	struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from, int len, void *ctx)
{
	struct server *s = ctx;
	const struct rights_peer peer = rights_of_peer(&s->rights, fd);

	if (!make_room(s, &peer)) {
		close(fd);
		return;
	}
	struct client *c = client_new(&s->calls, &s->pool, s->daemon->base, fd);
	if (!c)
		return;
	TAILQ_INSERT_TAIL(&s->clients, c, link);
	s->n_clients++;
	c->peer = peer;
	if (!peer.may_read) {
		rpc_deny(c);
		client_close(c);
	}
}

// Out of descriptors, most likely: a pause instead of a busy loop.
static void on_accept_error(struct evconnlistener *l, void *ctx)
{
	const struct timeval pause = {0, 200000};
	struct server *s = ctx;

	log_msg(LOG_WARNING, "api", "cannot accept a client: %s", strerror(errno));
	evconnlistener_disable(l);
	evtimer_add(s->rest, &pause);
}

static void on_rested(evutil_socket_t fd, short what, void *ctx)
{
	struct server *s = ctx;

	evconnlistener_enable(s->listener);
}

// --- Life ---

int server_new(const char *path, struct server **out, struct error *err)
{
	struct server *s = calloc(1, sizeof(*s));

	if (!s)
		return error_set(err, -ENOMEM, "", "out of memory");
	s->pool.idle.tv_sec = CLIENT_IDLE_S;
	s->pool.stuck.tv_sec = CLIENT_STUCK_S;
	s->calls = (struct client_calls){s, on_line, on_overlong, on_gone};
	TAILQ_INIT(&s->clients);
	int rc = unix_socket_take(&s->socket, path, err);
	if (rc < 0)
		free(s);
	else
		*out = s;
	return rc;
}

static struct evconnlistener *listen_to(struct server *s, const struct unix_socket *socket)
{
	struct evconnlistener *l = evconnlistener_new(
		s->daemon->base, on_accept, s, LEV_OPT_CLOSE_ON_EXEC, 0, socket->fd);

	if (l)
		evconnlistener_set_error_cb(l, on_accept_error);
	return l;
}

int server_start(struct server *s, struct daemon *d)
{
	s->daemon = d;
	s->rest = evtimer_new(d->base, on_rested, s);
	s->listener = listen_to(s, &s->socket);
	return s->rest && s->listener ? 0 : -ENOMEM;
}

int server_move(struct server *s, const char *path, struct error *err)
{
	struct unix_socket socket;

	if (strcmp(path, s->socket.path) == 0)
		return 0;
	int rc = unix_socket_take(&socket, path, err);
	if (rc < 0)
		return rc;
	rights_show(&s->rights, path);
	struct evconnlistener *l = listen_to(s, &socket);
	if (!l) {
		unix_socket_leave(&socket);
		return error_set(err, -ENOMEM, "", "out of memory");
	}
	evconnlistener_free(s->listener);
	unix_socket_leave(&s->socket);
	s->listener = l;
	s->socket = socket;
	log_msg(LOG_NOTICE, "api", "serving %s from now on", path);
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	while (!TAILQ_EMPTY(&s->clients))
		remove_client(s, TAILQ_FIRST(&s->clients));
	if (s->listener)
		evconnlistener_free(s->listener);
	if (s->rest)
		event_free(s->rest);
	unix_socket_leave(&s->socket);
	free(s);
}
