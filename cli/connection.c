// SPDX-License-Identifier: BSD-2-Clause
// The connection to weftd: JSON objects, one per line, over its socket.
#include "cli/connection.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE 65536

struct connection {
	int fd;
	char *data; // bytes received, from `start` to `end`
	size_t start, end, size, scanned;
};

static void explain(const char *socket, int error, char *text, size_t size)
{
	switch (error) {
	case ENOENT:
		snprintf(text, size,
			"no weftd at %s: start it (systemctl start weftd), or name its socket with "
			"-s",
			socket);
		break;
	case ECONNREFUSED:
		snprintf(text, size,
			"weftd has ended and left %s behind: start it again (systemctl start "
			"weftd)",
			socket);
		break;
	case EACCES:
		snprintf(text, size,
			"permission denied for %s: be root or a member of the group weft", socket);
		break;
	default:
		snprintf(text, size, "cannot connect to %s: %s", socket, strerror(error));
	}
}

struct connection *connection_new(const char *socket_path, char *text, size_t size)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct connection *c;

	if (!*socket_path) {
		snprintf(text, size, "the socket's path is empty");
		errno = EINVAL;
		return NULL;
	}
	if (strlen(socket_path) >= sizeof(addr.sun_path)) {
		snprintf(text, size, "the socket's path is too long: %s", socket_path);
		errno = ENAMETOOLONG;
		return NULL;
	}
	strcpy(addr.sun_path, socket_path);
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		int error = errno;
		explain(socket_path, error, text, size);
		connection_free(c);
		errno = error;
		return NULL;
	}
	return c;
}

void connection_free(struct connection *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	free(c->data);
	free(c);
}

int connection_fd(const struct connection *c)
{
	return c->fd;
}

bool connection_is_closed(const struct connection *c)
{
	char byte;

	return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

int connection_send(struct connection *c, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);
	int rc = 0;

	json_decref(json);
	if (!text)
		return -ENOMEM;
	size_t len = strlen(text), done = 0;
	text[len++] = '\n';
	while (done < len) {
		ssize_t n = send(c->fd, text + done, len - done, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rc = -errno;
			break;
		}
		done += n;
	}
	free(text);
	return rc;
}

// The next line that is complete, NUL-terminated, or NULL.
static char *next_line(struct connection *c, size_t *len)
{
	char *nl = c->data ? memchr(c->data + c->scanned, '\n', c->end - c->scanned) : NULL;

	if (!nl) {
		c->scanned = c->end;
		return NULL;
	}
	char *start = c->data + c->start;
	*len = nl - start;
	c->start = c->scanned = nl + 1 - c->data;
	return start;
}

static int fill(struct connection *c)
{
	if (c->start) {
		memmove(c->data, c->data + c->start, c->end - c->start);
		c->end -= c->start;
		c->scanned -= c->start;
		c->start = 0;
	}
	if (c->size - c->end < READ_SIZE) {
		char *more = realloc(c->data, c->size * 2 + READ_SIZE);
		if (!more)
			return -ENOMEM;
		c->data = more;
		c->size = c->size * 2 + READ_SIZE;
	}
	ssize_t n = read(c->fd, c->data + c->end, c->size - c->end);
	if (n <= 0)
		return n == 0 ? -ECONNRESET : -errno;
	c->end += n;
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

int connection_receive(struct connection *c, int timeout_ms, json_t **out)
{
	int64_t until = now_ms() + timeout_ms;
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	size_t len;
	char *line;

	*out = NULL;
	while (!(line = next_line(c, &len))) {
		int64_t left = until - now_ms();
		int n = poll(&p, 1, timeout_ms < 0 ? -1 : left > 0 ? (int)left : 0);
		if (n == 0)
			return 0;
		if (n < 0)
			return -errno;
		int rc = fill(c);
		if (rc < 0)
			return rc;
	}
	*out = json_loadb(line, len, 0, NULL);
	return *out ? 0 : -EPROTO;
}
