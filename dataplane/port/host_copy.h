// SPDX-License-Identifier: BSD-2-Clause
// weft's copy of the broadcasts and multicasts that a shared NIC passes to the host.
//
// The XDP program can send a frame one way only. With share: host it passes group addresses to the
// host's stack, and a packet socket with a filter for them brings weft its copy through a ring in
// shared memory: no system call as long as the worker polls, one copy by the kernel for each such
// frame, and none for unicast. The alternatives cost more: a clone by tc needs a second device for
// the clone to arrive on and runs for every frame that is passed; re-injection into the host's
// stack would copy every broadcast in user space and lose its checksum state and its VLAN tag.
//
// The packet socket's metadata says what XDP does not: a tag that the kernel took off is put back,
// and checksums that are only begun are marked as such by the kernel itself.
#pragma once

#include "dataplane/frame/frame.h"
#include "dataplane/port/error.h"
#include "dataplane/port/stats.h"

struct host_copy;

// Opens the socket on a device of this MTU. 0 or -errno with *err. Control or event thread.
int host_copy_new(int ifindex, uint32_t mtu, struct host_copy **out, struct error *err);
// NULL is fine. No worker uses it any more.
void host_copy_free(struct host_copy *c);
// Readable (edge) when frames arrive.
int host_copy_fd(const struct host_copy *c);
// Frames that the kernel dropped because the ring was full, since the last call.
uint32_t host_copy_lost(const struct host_copy *c);

// As port_ops; the worker of the queue.
uint32_t host_copy_rx(struct host_copy *c, struct burst *b, uint32_t max, struct port_stats *st);
void host_copy_rx_done(struct host_copy *c);
bool host_copy_has_work(const struct host_copy *c);
