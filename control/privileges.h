// SPDX-License-Identifier: BSD-2-Clause
// Giving up every capability that the daemon does not need.
#pragma once

#include "control/config.h"

// Raises limits (descriptors, locked memory), then keeps only the capabilities for opening network
// devices, XDP sockets and BPF maps. Before other threads start: they inherit. -errno with *err.
int privileges_drop(const struct config *config, struct error *err);

// Whether the rights of these (enum conf_privilege) were kept, so far as the process had them.
bool privileges_are_kept(uint64_t privileges);
// Adds to the reason why a port cannot be opened that a right which was given up would have helped.
void privileges_explain(const struct port_config *port, int rc, struct error *err);

// Calls fn(ctx) in a thread that has no capability at all, waits, and returns what it returned.
// Threads that fn starts have none either: for workers, which touch what guests write.
int privileges_without(int (*fn)(void *ctx), void *ctx);
