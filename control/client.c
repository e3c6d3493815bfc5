// SPDX-License-Identifier: BSD-2-Clause
// One client of the API. Whatever it does or does not do, it costs others nothing: lines, what it
// leaves unread, its idle time and its turns are limited.
#include "control/client.h"

#include "control/now.h"

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

	c->pool->unread += info->n_added;
	c->pool->unread -= info->n_deleted;
}

size_t client_unread(const struct client *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->bev));
}

int client_fd(const struct client *c)
{
	return bufferevent_getfd(c->bev);
}

bool client_has_room(const struct client *c, size_t max)
{
	return client_unread(c) <= max && c->pool->unread <= CLIENTS_OUT_MAX;
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

void client_notify(struct client *c, const char *method, json_t *params)
{
	client_send(c,
		json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params", params));
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
	const bool may_be_silent = c->is_subscribed || c->capture;

	bufferevent_set_timeouts(c->bev, may_be_silent ? NULL : &c->pool->idle, &c->pool->stuck);
}

static bool is_wanted(const struct client *c, const json_t *event)
{
	const char *port = json_string_value(json_object_get(event, "port"));
	const char *kind = json_string_value(json_object_get(event, "event"));
	size_t i;
	json_t *v;

	if (!c->is_subscribed || !kind)
		return false;
	// Nobody knows of which kind or port they were.
	if (strcmp(kind, "lost") == 0)
		return true;
	if (*c->port && (!port || strcmp(port, c->port) != 0))
		return false;
	if (!c->events)
		return true;
	json_array_foreach (c->events, i, v)
		if (json_is_string(v) && strcmp(json_string_value(v), kind) == 0)
			return true;
	return false;
}

static void tell_lost(struct client *c, json_int_t time_us)
{
	if (!c->lost)
		return;
	client_notify(c, "monitor.event",
		json_pack("{s:s, s:I, s:I, s:s}", "event", "lost", "time_us", time_us, "count",
			(json_int_t)c->lost, "text",
			"this client reads too slowly; events were dropped"));
	c->lost = 0;
}

void client_publish(struct client *c, json_t *event)
{
	if (c->is_closing || !is_wanted(c, event))
		return;
	if (!client_has_room(c, CLIENT_EVENTS_MAX)) {
		c->lost++;
		return;
	}
	tell_lost(c, json_integer_value(json_object_get(event, "time_us")));
	client_notify(c, "monitor.event", json_incref(event));
}

// The next line, or NULL. What a client leaves without an end, and sends nothing more, is its last.
static char *next_line(const struct client *c, size_t *len)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	char *line = evbuffer_readln(in, len, EVBUFFER_EOL_CRLF);
	const size_t rest = evbuffer_get_length(in);

	if (line || !c->is_finished || rest == 0 || rest > CLIENT_LINE_MAX)
		return line;
	line = malloc(rest);
	if (line)
		*len = (size_t)evbuffer_remove(in, line, rest);
	return line;
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
		char *line = next_line(c, &len);
		if (!line)
			break;
		c->last_ns = now_ns();
		c->calls->line(c->calls->ctx, c, line, len);
		free(line);
	}
	if (c->is_closing)
		return;
	if (evbuffer_get_length(in) > CLIENT_LINE_MAX)
		c->calls->overlong(c->calls->ctx, c);
	else if (!c->is_finished)
		return;
	client_close(c);
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
		c->calls->gone(c->calls->ctx, c);
		return;
	}
	// Not with the next event: there may be none for hours.
	if (c->is_subscribed && !c->is_closing)
		tell_lost(c, now_us());
	if (!(bufferevent_get_enabled(bev) & EV_READ) && !c->is_closing) {
		if (!c->is_finished)
			bufferevent_enable(bev, EV_READ);
		serve(c);
	}
}

static void on_resume(evutil_socket_t fd, short what, void *ctx)
{
	struct client *c = ctx;

	if (c->is_closing && client_unread(c) == 0)
		c->calls->gone(c->calls->ctx, c);
	else if (!c->is_closing)
		serve(c);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct client *c = ctx;

	// Who closes one direction (nc -N, a script's shutdown) still reads the answers.
	if (what & BEV_EVENT_EOF && what & BEV_EVENT_READING) {
		c->is_finished = true;
		serve(c);
	} else {
		c->calls->gone(c->calls->ctx, c);
	}
}

struct client *client_new(
	const struct client_calls *calls, struct client_pool *pool, struct event_base *base, int fd)
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
	c->calls = calls;
	c->pool = pool;
	c->last_ns = now_ns();
	evbuffer_add_cb(bufferevent_get_output(c->bev), count_bytes, c);
	bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
	// A line may be longer than one read, but the kernel keeps what is beyond a longest line.
	bufferevent_setwatermark(c->bev, EV_READ, 0, CLIENT_LINE_MAX + 1);
	client_set_patience(c);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	return c;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	c->pool->unread -= client_unread(c);
	evbuffer_remove_cb(bufferevent_get_output(c->bev), count_bytes, c);
	event_free(c->resume);
	bufferevent_free(c->bev);
	json_decref(c->events);
	free(c);
}
