// SPDX-License-Identifier: BSD-2-Clause
// API: captures.
#include "control/api.h"

#include "control/capture.h"
#include "control/client.h"
#include "control/daemon.h"

#include <errno.h>
#include <string.h>

static int start(struct api_call *call)
{
	const char *port = api_text(call, "port"), *dir = api_text(call, "dir");
	unsigned dirs = CAPTURE_RX | CAPTURE_TX;
	const struct running_port *p = running_port_find(call->daemon->running, port);
	struct client *c = call->client;

	if (c->capture)
		return api_fail(call, API_E_BUSY, "port",
			"this client captures already; one connection carries one capture");
	if (!p)
		return api_fail_rc(
			call, running_no_port(call->daemon->running, port, &call->error));
	if (!p->is_open)
		return api_fail(call, API_E_REFUSED, "port", "port %s is not open: %s", port,
			p->reason.text);
	if (dir && strcmp(dir, "rx") == 0)
		dirs = CAPTURE_RX;
	else if (dir && strcmp(dir, "tx") == 0)
		dirs = CAPTURE_TX;
	else if (dir && strcmp(dir, "both") != 0)
		return api_fail(call, API_E_PARAMS, "dir",
			"dir: one of rx, tx, both is expected, not '%.20s'", dir);
	// What the switch said of an earlier port of this name must not end this capture.
	events_drain_all(&call->daemon->events);
	int rc = capture_new(call->daemon->sw, call->daemon->base, c, port, dirs,
		api_number(call, "snaplen"), &c->capture, &call->error);
	if (rc < 0)
		return api_fail_rc(call, rc);
	client_set_patience(c);
	return 0;
}

static int stop(struct api_call *call)
{
	uint64_t lost = capture_stop(call->client->capture);

	call->client->capture = NULL;
	call->result = json_pack("{s:I}", "lost", (json_int_t)lost);
	client_set_patience(call->client);
	return 0;
}

static const struct api_param params[] = {{"port", API_PORT, true, "the port"},
	{"dir", API_TEXT, false,
		"rx: from the port into the switch; tx: to the port; both (default)"},
	{"snaplen", API_NUMBER, false, "bytes of each frame at most; default: all"}, {NULL}};

static const struct api_param stopped[] = {
	{"lost", API_NUMBER, true, "frames that the capture lost in all"}, {NULL}};

const struct api_method api_capture_methods[] = {
	{.name = "capture.start",
		.help = "Frames follow as notifications capture.frames (port, lost, frames: "
			"time_ns, "
			"dir, len, data in base64) until capture.stop or the client leaves. What "
			"it "
			"reads too slowly is lost from the capture, never from the traffic. Needs "
			"the "
			"right to change, as frames are other people's.",
		.changes = true,
		.params = params,
		.errors = "1 no such port; 4 the port is not open; 5 another capture runs on the "
			  "port",
		.example = "{\"port\": \"vm1\", \"dir\": \"rx\", \"snaplen\": 128}",
		.run = start},
	{.name = "capture.stop",
		.help = "Ends the capture; what it has yet is sent before the answer.",
		.changes = true,
		.result = stopped,
		.example = "{}",
		.run = stop},
	{NULL},
};
