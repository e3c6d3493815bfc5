// SPDX-License-Identifier: BSD-2-Clause
// A capture of a port's frames on its way to one client.
#pragma once

#include "dataplane/switch/switch.h"

struct capture;
struct client;
struct event_base;

// Starts to send what port carries to the client, as notifications capture.frames, until
// capture_free. At most one on a port. -errno with *err filled.
int capture_new(struct sw *sw, struct event_base *base, struct client *c, const char *port,
	unsigned dirs, uint32_t snaplen, struct capture **out, struct error *err);
// The port was removed or replaced: tells the client, if the capture is of this port. NULL is fine.
void capture_end(struct capture *cap, const char *port);
// Sends what there is and the client has room for, ends and frees the capture; how many frames were lost
// in all. NULL is fine.
uint64_t capture_stop(struct capture *cap);
// NULL is fine.
void capture_free(struct capture *cap);

// Base64 of RFC 4648, section 4; out has room for 4 * ((n + 2) / 3) + 1.
void capture_base64(const uint8_t *data, size_t n, char *out);
