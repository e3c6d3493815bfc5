// SPDX-License-Identifier: BSD-2-Clause
// OpenMetrics over HTTP, for Prometheus: libevent's server and the text that it serves.
#include "control/metrics.h"

#include "control/daemon.h"
#include "control/log.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>

#define CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

struct metrics {
	struct daemon *daemon;
	struct evhttp *http;
};

static void on_request(struct evhttp_request *req, void *ctx)
{
	struct metrics *m = ctx;
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	struct evbuffer *body = evbuffer_new();

	if (!body) {
		evhttp_send_error(req, HTTP_INTERNAL, NULL);
		return;
	}
	if (path && strcmp(path, "/metrics") == 0) {
		metrics_write(m->daemon, body);
		evhttp_add_header(headers, "Content-Type", CONTENT_TYPE);
		evhttp_send_reply(req, HTTP_OK, "OK", body);
	} else if (path && strcmp(path, "/") == 0) {
		evbuffer_add_printf(body, "weft %s: see /metrics\n", WEFT_VERSION);
		evhttp_add_header(headers, "Content-Type", "text/plain; charset=utf-8");
		evhttp_send_reply(req, HTTP_OK, "OK", body);
	} else {
		evhttp_send_error(req, HTTP_NOTFOUND, NULL);
	}
	evbuffer_free(body);
}

struct metrics *metrics_new(struct daemon *d)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (m)
		m->daemon = d;
	return m;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	if (m->http)
		evhttp_free(m->http);
	free(m);
}

static int parse_address(const char *text, char *host, size_t size, uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	char *end;

	if (!colon || colon == text || !colon[1])
		return -EINVAL;
	unsigned long n = strtoul(colon + 1, &end, 10);
	if (*end || n == 0 || n > 65535 || colon[1] == '-' || colon[1] == '+')
		return -EINVAL;
	size_t len = colon - text;
	if (*text == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len == 0 || len >= size)
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = 0;
	*port = (uint16_t)n;
	return 0;
}

int metrics_listen(struct metrics *m, const char *address, struct error *err)
{
	struct evhttp *http = NULL;
	uint16_t port;
	char host[64];

	if (*address) {
		if (parse_address(address, host, sizeof(host), &port) < 0)
			return error_set(err, -EINVAL, "metrics.listen",
				"metrics.listen: ADDRESS:PORT is expected, such as 127.0.0.1:9469, "
				"not '%s'",
				address);
		http = evhttp_new(m->daemon->base);
		if (!http)
			return error_set(err, -ENOMEM, "", "out of memory");
		evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
		evhttp_set_max_headers_size(http, 8192);
		evhttp_set_max_body_size(http, 1024);
		evhttp_set_timeout(http, 10);
		evhttp_set_gencb(http, on_request, m);
		errno = 0;
		if (evhttp_bind_socket(http, host, port) < 0) {
			int rc = errno ? -errno : -EADDRNOTAVAIL;
			evhttp_free(http);
			return error_set(err, rc, "metrics.listen",
				"metrics.listen: cannot listen on %s: %s", address, strerror(-rc));
		}
		log_msg(LOG_INFO, "", "metrics on http://%s/metrics", address);
	}
	if (m->http)
		evhttp_free(m->http);
	m->http = http;
	return 0;
}
