// SPDX-License-Identifier: BSD-2-Clause
// One client of the API. Whatever it does or does not do, it costs others nothing: lines, what it
// leaves unread, its idle time and its turns are limited.
#include "control/client.h"

#include "control/capture.h"
#include "control/daemon.h"
#include "control/rpc.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES_PER_TURN 16

static void count_bytes(struct evbuffer *buf, const struct evbuffer_cb_info *info, void *ctx)
{
	struct client *c = ctx;

	*server_out_bytes(c->server) += info->n_added;
	*server_out_bytes(c->server) -= info->n_deleted;
}

size_t client_unread(const struct client *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->bev));
}

void client_send(struct client *c, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);

	if (text) {
		struct evbuffer *out = bufferevent_get_output(c->bev);
		evbuffer_add(out, text, strlen(text));
		evbuffer_add(out, "\n", 1);
	}
	free(text);
	json_decref(json);
}

void client_close(struct client *c)
{
	c->is_closing = true;
	bufferevent_disable(c->bev, EV_READ);
	// on_written frees it; with nothing left to write it must be asked to.
	event_active(c->resume, 0, 0);
}

void client_set_patience(struct client *c)
{
	struct timeval idle, stuck;

	server_patience(c->server, &idle, &stuck);
	bufferevent_set_timeouts(c->bev, c->is_subscribed || c->capture ? NULL : &idle, &stuck);
}

static bool is_wanted(const struct client *c, const json_t *event)
{
	const char *port = json_string_value(json_object_get(event, "port"));
	const char *kind = json_string_value(json_object_get(event, "event"));
	size_t i;
	json_t *v;

	if (!c->is_subscribed || !kind)
		return false;
	if (*c->port && (!port || strcmp(port, c->port) != 0))
		return false;
	if (!c->events)
		return true;
	json_array_foreach (c->events, i, v)
		if (json_is_string(v) && strcmp(json_string_value(v), kind) == 0)
			return true;
	return false;
}

void client_publish(struct client *c, json_t *event)
{
	if (c->is_closing || !is_wanted(c, event))
		return;
	if (client_unread(c) > CLIENT_EVENTS_MAX || *server_out_bytes(c->server) > SERVER_OUT_MAX) {
		c->lost++;
		return;
	}
	if (c->lost) {
		client_send(
			c, rpc_notification("monitor.event",
				   json_pack("{s:s, s:I, s:s}", "event", "lost", "count",
					   (json_int_t)c->lost, "text",
					   "this client reads too slowly; events were dropped")));
		c->lost = 0;
	}
	client_send(c, rpc_notification("monitor.event", json_incref(event)));
}

// Answers lines until the client has had its turn or leaves too much unread.
static void serve(struct client *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t len;
	int turns = 0;

	while (!c->is_closing) {
		if (client_unread(c) > CLIENT_OUT_HIGH) {
			bufferevent_disable(c->bev, EV_READ);
			return;
		}
		if (turns++ == LINES_PER_TURN) {
			event_active(c->resume, 0, 0);
			return;
		}
		char *line = evbuffer_readln(in, &len, EVBUFFER_EOL_CRLF);
		if (!line)
			break;
		c->last_ns = daemon_now_ns();
		rpc_serve(c, line, len);
		free(line);
	}
	if (!c->is_closing && evbuffer_get_length(in) >= CLIENT_LINE_MAX) {
		rpc_refuse_line(c, CLIENT_LINE_MAX);
		client_close(c);
	}
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	serve(ctx);
}

// All that waited was sent.
static void on_written(struct bufferevent *bev, void *ctx)
{
	struct client *c = ctx;

	if (c->is_closing && client_unread(c) == 0) {
		server_remove(c->server, c);
		return;
	}
	if (!(bufferevent_get_enabled(bev) & EV_READ) && !c->is_closing) {
		bufferevent_enable(bev, EV_READ);
		serve(c);
	}
}

static void on_resume(evutil_socket_t fd, short what, void *ctx)
{
	struct client *c = ctx;

	if (c->is_closing && client_unread(c) == 0)
		server_remove(c->server, c);
	else if (!c->is_closing)
		serve(c);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct client *c = ctx;

	server_remove(c->server, c);
}

struct client *client_new(struct server *s, struct event_base *base, int fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (c)
		c->resume = event_new(base, -1, 0, on_resume, c);
	if (c && c->resume)
		c->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!c || !c->bev) {
		if (c && c->resume)
			event_free(c->resume);
		free(c);
		close(fd);
		return NULL;
	}
	c->server = s;
	c->last_ns = daemon_now_ns();
	server_credentials(s, fd, &c->may_read, &c->may_change, &c->uid);
	evbuffer_add_cb(bufferevent_get_output(c->bev), count_bytes, c);
	bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
	// A line may be longer than one read, but the kernel keeps what is beyond a longest line.
	bufferevent_setwatermark(c->bev, EV_READ, 0, CLIENT_LINE_MAX + 1);
	client_set_patience(c);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	if (!c->may_read) {
		rpc_deny(c);
		client_close(c);
	}
	return c;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	capture_free(c->capture);
	*server_out_bytes(c->server) -= client_unread(c);
	evbuffer_remove_cb(bufferevent_get_output(c->bev), count_bytes, c);
	event_free(c->resume);
	bufferevent_free(c->bev);
	json_decref(c->events);
	free(c);
}
