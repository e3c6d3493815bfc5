// SPDX-License-Identifier: BSD-2-Clause
// OpenMetrics over HTTP, for Prometheus: libevent's server and the text that it serves.
#include "control/metrics.h"

#include "control/config_value.h"
#include "control/daemon.h"
#include "control/log.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

struct metrics {
	struct daemon *daemon;
	struct evhttp *http;
	struct evconnlistener *listener; // of http, which owns it
	struct event *rest;              // ends the pause after accept() failed
	char address[64];                // that http serves
	char wanted[64];                 // that it could not serve at the start; "": none
	struct error refused;            // why
};

// For HEAD libevent would send the body too, without its length: what follows on the connection would
// be taken for an answer.
static void reply(struct evhttp_request *req, int code, const char *type, struct evbuffer *body)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	char length[24];

	evhttp_add_header(headers, "Content-Type", type);
	if (evhttp_request_get_command(req) == EVHTTP_REQ_HEAD) {
		snprintf(length, sizeof(length), "%zu", evbuffer_get_length(body));
		evhttp_add_header(headers, "Content-Length", length);
		evbuffer_drain(body, evbuffer_get_length(body));
	}
	evhttp_send_reply(req, code, NULL, body);
}

static void on_request(struct evhttp_request *req, void *ctx)
{
	struct metrics *m = ctx;
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
	struct evbuffer *body = evbuffer_new();

	if (!body) {
		evhttp_send_error(req, HTTP_INTERNAL, NULL);
		return;
	}
	if (path && strcmp(path, "/metrics") == 0) {
		metrics_write(m->daemon, body);
		reply(req, HTTP_OK, CONTENT_TYPE, body);
	} else {
		const bool is_root = path && strcmp(path, "/") == 0;
		evbuffer_add_printf(body, "weft %s: see /metrics\n", WEFT_VERSION);
		reply(req, is_root ? HTTP_OK : HTTP_NOTFOUND, "text/plain; charset=utf-8", body);
	}
	evbuffer_free(body);
}

// The one that serves: libevent calls back about its listener with a pointer of its own.
static struct metrics *served;

// Out of descriptors, most likely: a pause instead of a busy loop.
static void on_accept_error(struct evconnlistener *l, void *http)
{
	const struct timeval pause = {0, 200000};

	log_msg(LOG_WARNING, "metrics", "cannot accept a client: %s", strerror(errno));
	evconnlistener_disable(l);
	if (served && served->listener == l)
		evtimer_add(served->rest, &pause);
}

static void on_rested(evutil_socket_t fd, short what, void *ctx)
{
	struct metrics *m = ctx;

	if (m->listener)
		evconnlistener_enable(m->listener);
}

struct metrics *metrics_new(struct daemon *d)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (m)
		m->rest = evtimer_new(d->base, on_rested, m);
	if (!m || !m->rest) {
		free(m);
		return NULL;
	}
	m->daemon = d;
	served = m;
	return m;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	if (m->http)
		evhttp_free(m->http);
	event_free(m->rest);
	served = NULL;
	free(m);
}

// A listening socket, or -errno.
static int listen_on(const struct sockaddr_storage *addr, socklen_t len)
{
	int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		bind(fd, (const struct sockaddr *)addr, len) < 0 || listen(fd, 64) < 0) {
		int rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

// An HTTP server on that address.
static int http_new(struct metrics *m, const char *address, struct evhttp **out,
	struct evconnlistener **listener, struct error *err)
{
	struct sockaddr_storage addr;
	socklen_t len;

	if (value_listen(address, &addr, &len) < 0)
		return error_set(err, -EINVAL, "metrics.listen",
			"metrics.listen: ADDRESS:PORT is expected, such as 127.0.0.1:9469 or "
			"[::1]:9469, not '%s'",
			address);
	int fd = listen_on(&addr, len);
	if (fd < 0)
		return error_set(err, fd, "metrics.listen",
			"metrics.listen: cannot listen on %s: %s", address, strerror(-fd));
	struct evhttp *http = evhttp_new(m->daemon->base);
	struct evhttp_bound_socket *bound =
		http ? evhttp_accept_socket_with_handle(http, fd) : NULL;
	if (!bound) {
		if (http)
			evhttp_free(http);
		close(fd);
		return error_set(err, -ENOMEM, "", "out of memory");
	}
	evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_max_headers_size(http, 8192);
	evhttp_set_max_body_size(http, 1024);
	evhttp_set_timeout(http, 10);
	evhttp_set_gencb(http, on_request, m);
	*listener = evhttp_bound_socket_get_listener(bound);
	evconnlistener_set_error_cb(*listener, on_accept_error);
	*out = http;
	return 0;
}

static void end_http(struct metrics *m)
{
	if (m->http)
		evhttp_free(m->http);
	m->http = NULL;
	m->listener = NULL;
}

// The same port, from one address to all or the other way round: not both can be bound, so the old one
// goes first, and comes back if that was not what was in the way.
static int http_instead(struct metrics *m, const char *address, struct evhttp **http,
	struct evconnlistener **listener, struct error *err)
{
	struct error again;

	end_http(m);
	int rc = http_new(m, address, http, listener, err);
	if (rc < 0 && http_new(m, m->address, &m->http, &m->listener, &again) < 0)
		log_msg(LOG_ERR, "", "%s", again.text);
	return rc;
}

int metrics_listen(struct metrics *m, const char *address, struct error *err)
{
	struct evconnlistener *listener = NULL;
	struct evhttp *http = NULL;

	if (*address) {
		int rc = http_new(m, address, &http, &listener, err);
		if (rc == -EADDRINUSE && m->http)
			rc = http_instead(m, address, &http, &listener, err);
		if (rc < 0)
			return rc;
		log_msg(LOG_INFO, "", "metrics on http://%s/metrics", address);
	}
	end_http(m);
	m->http = http;
	m->listener = listener;
	snprintf(m->address, sizeof(m->address), "%s", address);
	*m->wanted = 0;
	return 0;
}

void metrics_listen_sometime(struct metrics *m, const char *address)
{
	if (metrics_listen(m, address, &m->refused) == 0)
		return;
	log_msg(LOG_ERR, "", "%s; trying again every second", m->refused.text);
	snprintf(m->wanted, sizeof(m->wanted), "%s", address);
}

void metrics_tick(struct metrics *m)
{
	if (*m->wanted)
		metrics_listen(m, m->wanted, &m->refused);
}

const char *metrics_lack(const struct metrics *m)
{
	return *m->wanted ? m->refused.text : NULL;
}
