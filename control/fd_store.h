// SPDX-License-Identifier: BSD-2-Clause
// Descriptors that outlive the daemon: the service manager holds duplicates, and hands them to the next.
//
// This is systemd's file descriptor store, spoken without its library, whose functions could wait for
// the manager: datagrams to NOTIFY_SOCKET (sd_notify(3)) that hand over and take back, LISTEN_FDS
// (sd_listen_fds(3)) that brings what the last daemon left. FDSTORE in the environment says how many
// descriptors the manager takes; systemd 254 sets it, for older ones the unit does.
#pragma once

#include "dataplane/switch/switch.h"

struct fd_store;

// Takes over what the manager passed to this process. NULL: there is no such manager, or no memory.
struct fd_store *fd_store_new(void);
// Closes our duplicates; the manager keeps its own. NULL is fine.
void fd_store_free(struct fd_store *s);

// What ports use it by; NULL if s is. Any thread.
const struct port_keeper *fd_store_keeper(const struct fd_store *s);
// All ports had their chance: what none has taken is closed, here and there. NULL is fine.
void fd_store_sweep(struct fd_store *s);
// About once a second: takes back what the manager had no ear for. NULL is fine.
void fd_store_tick(struct fd_store *s);
// From here on ports that close leave what they have.
void fd_store_end(struct fd_store *s);
