// SPDX-License-Identifier: BSD-2-Clause
// A stand-in for the dataplane behind switch.h, for tests of control and cli alone: ports, addresses
// and events live in memory, frames never move.
#pragma once

#include "dataplane/switch/switch.h"

// The link of a port goes up or down.
void fake_switch_link(struct sw *sw, const char *port, bool up, const char *why);
// An address is learnt on a port.
void fake_switch_learn(struct sw *sw, const char *port, const uint8_t mac[6], uint16_t vid);
// Counters of a port, to be written.
struct port_stats *fake_switch_stats(struct sw *sw, const char *port);
// Counters of a worker, to be written: what it spent beside the frames of ports. A cycle is a nanosecond.
struct switch_worker *fake_switch_spent(struct sw *sw, uint32_t worker);
// Frames that the next capture_read hands out.
void fake_switch_capture(struct sw *sw, const char *port, uint32_t n_frames);
// What switch_set_patience was called with last.
uint32_t fake_switch_patience(const struct sw *sw);
// How often ports were added, removed or changed.
unsigned fake_switch_changes(const struct sw *sw);
