// SPDX-License-Identifier: BSD-2-Clause
// The daemon's life: from its first port to its last.
#pragma once

#include "control/daemon.h"

// Brings up everything but the switch and the server, which `d` holds: ports, metrics, timers,
// signals. -errno with *err filled.
int loop_start(struct daemon *d, const struct config *config, struct error *err);
// Runs until SIGTERM or SIGINT.
void loop_run(struct daemon *d);
// Takes down what loop_start made. Guests see their link go down.
void loop_stop(struct daemon *d);
