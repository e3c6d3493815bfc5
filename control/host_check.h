// SPDX-License-Identifier: BSD-2-Clause
// What a good configuration will lack on this host.
#pragma once

#include "control/config.h"

// Calls `say` with one sentence for each thing that the configuration needs and this host does not have
// now: devices, directories, rights, what the kernel must know. Opens nothing that others notice.
// Returns how many. It may be there later: no reason to refuse the configuration.
unsigned host_check(
	const struct config *config, void (*say)(void *ctx, const char *text), void *ctx);
