// SPDX-License-Identifier: BSD-2-Clause
// A listening unix socket that one process serves: a lock beside it decides who.
#pragma once

#include "dataplane/switch/switch.h"

struct unix_socket {
	char path[108], lock_path[120];
	int fd, lock_fd;
};

// Takes the path and listens: refused if another process serves it; what a dead one left is
// replaced. The lock is held until unix_socket_leave. -errno with *err filled and nothing left
// behind.
int unix_socket_take(struct unix_socket *s, const char *path, struct error *err);
// Removes socket and lock. The descriptor is closed.
void unix_socket_leave(struct unix_socket *s);
