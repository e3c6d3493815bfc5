// SPDX-License-Identifier: BSD-2-Clause
// A capture of a port's frames on its way to one client. What the client does not read in time is
// lost from the capture, counted, and costs neither memory nor traffic.
#include "control/capture.h"

#include "control/client.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#define PERIOD_US     5000
#define FRAMES_A_TURN 256
#define UNREAD_MAX    (4 << 20)
#define SNAPLEN_MAX   65535

struct capture {
	struct sw *sw;
	struct client *client;
	char port[PORT_NAME_MAX];
	bool is_ended; // the port is gone, and with it what was captured
	struct event *timer;
	json_t *frames; // of this turn
	uint64_t lost;  // total, as told last
	char text[4 * ((SNAPLEN_MAX + 2) / 3) + 1];
};

void capture_base64(const uint8_t *data, size_t n, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < n; i += 3, out += 4) {
		uint32_t v = (uint32_t)data[i] << 16;
		v |= i + 1 < n ? (uint32_t)data[i + 1] << 8 : 0;
		v |= i + 2 < n ? data[i + 2] : 0;
		out[0] = digits[v >> 18];
		out[1] = digits[v >> 12 & 63];
		out[2] = i + 1 < n ? digits[v >> 6 & 63] : '=';
		out[3] = i + 2 < n ? digits[v & 63] : '=';
	}
	*out = 0;
}

static void each(void *ctx, const struct capture_frame *f)
{
	struct capture *cap = ctx;
	uint32_t n = f->caplen < SNAPLEN_MAX ? f->caplen : SNAPLEN_MAX;

	capture_base64(f->data, n, cap->text);
	json_array_append_new(
		cap->frames, json_pack("{s:I, s:s, s:I, s:s}", "time_ns", (json_int_t)f->time_ns,
				     "dir", f->dir == CAPTURE_RX ? "rx" : "tx", "len",
				     (json_int_t)f->len, "data", cap->text));
}

static void send_frames(struct capture *cap, uint64_t lost)
{
	client_notify(cap->client, "capture.frames",
		json_pack("{s:s, s:o, s:I}", "port", cap->port, "frames", cap->frames, "lost",
			(json_int_t)lost));
	cap->lost = lost;
	cap->frames = NULL;
}

void capture_end(struct capture *cap, const char *port)
{
	if (!cap || cap->is_ended || strcmp(cap->port, port) != 0)
		return;
	cap->is_ended = true;
	evtimer_del(cap->timer);
	client_notify(cap->client, "capture.end",
		json_pack("{s:s, s:s}", "port", cap->port, "why",
			"the port was removed or replaced"));
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct capture *cap = ctx;
	uint64_t lost = cap->lost;
	uint32_t n;

	do {
		// One that is disconnected after what waits must not get more to wait for.
		if (cap->client->is_closing || !client_has_room(cap->client, UNREAD_MAX))
			return;
		cap->frames = json_array();
		n = switch_capture_read(cap->sw, cap->port, FRAMES_A_TURN, each, cap, &lost);
		if (n || lost != cap->lost)
			send_frames(cap, lost);
		json_decref(cap->frames);
		cap->frames = NULL;
	} while (n == FRAMES_A_TURN);
}

int capture_new(struct sw *sw, struct event_base *base, struct client *c, const char *port,
	unsigned dirs, uint32_t snaplen, struct capture **out, struct error *err)
{
	const struct timeval period = {0, PERIOD_US};
	struct capture *cap = calloc(1, sizeof(*cap));
	int rc;

	if (cap)
		cap->timer = event_new(base, -1, EV_PERSIST, on_timer, cap);
	if (!cap || !cap->timer) {
		free(cap);
		return error_set(err, -ENOMEM, "", "out of memory");
	}
	cap->sw = sw;
	cap->client = c;
	snprintf(cap->port, sizeof(cap->port), "%s", port);
	rc = switch_capture_start(sw, port, dirs, snaplen ? snaplen : SNAPLEN_MAX, err);
	if (rc < 0) {
		event_free(cap->timer);
		free(cap);
		return rc;
	}
	evtimer_add(cap->timer, &period);
	*out = cap;
	return 0;
}

static void nothing(void *ctx, const struct capture_frame *f)
{
}

uint64_t capture_stop(struct capture *cap)
{
	uint64_t lost, end;
	uint32_t n, unread = 0, turns = 0;

	if (!cap)
		return 0;
	lost = end = cap->lost;
	if (!cap->is_ended) {
		on_timer(-1, 0, cap);
		// What the client has no room for. Workers go on, but this ends.
		do {
			n = switch_capture_read(
				cap->sw, cap->port, FRAMES_A_TURN, nothing, NULL, &lost);
			unread += n;
		} while (n == FRAMES_A_TURN && ++turns < 1000);
		cap->is_ended = true;
		if (switch_capture_stop(cap->sw, cap->port, &end) == 0)
			lost = end;
	}
	capture_free(cap);
	return lost + unread;
}

void capture_free(struct capture *cap)
{
	uint64_t lost;

	if (!cap)
		return;
	if (!cap->is_ended)
		switch_capture_stop(cap->sw, cap->port, &lost);
	event_free(cap->timer);
	free(cap);
}
