// SPDX-License-Identifier: BSD-2-Clause
// Who may send what, how fast: addresses a port may use, its rate, its share of flooded frames.
//
// Addresses. With `macs` a frame's source must be one of them, and so must the sender's address
// that ARP and neighbour discovery carry. With `ips` the source of IPv4 and IPv6 must lie in one of
// the prefixes, as must the sender of ARP and the target of a neighbour advertisement; that is what
// others will believe. A station that has no address yet may still ask for one: ARP probes and
// RARP with sender 0.0.0.0, DHCP from 0.0.0.0, and ICMPv6 from :: pass; so does the link-local
// address that the frame's own MAC makes (EUI-64). What is neither IP nor ARP is refused on a port
// with `ips`: a tunnel could carry any address.
//
// Rates are token buckets, filled by time and drained once per burst. A port's queues may be polled
// by several workers, so a bucket has a lock, taken once per burst on limited ports only.
#pragma once

#include "dataplane/port/stats.h"
#include "dataplane/switch/frame_list.h"
#include "dataplane/switch/switch.h"

struct policy;

// Checks a configuration and says what is wrong with it. 0 or -EINVAL.
int policy_check(const struct policy_config *config, struct error *err);

// Whether workers have anything to do for it. Isolation is part of the plan and costs nothing here.
bool policy_is_any(const struct policy_config *config);

// A policy whose clock ticks `hz` times a second. 0 or -ENOMEM.
int policy_new(const struct policy_config *config, uint64_t hz, struct policy **out);
void policy_free(struct policy *p);

// Worker. Takes from the list what the port must not send at time `now` (ticks) and counts it in
// *st as spoofed, malformed or rate. May pull.
void policy_filter(struct policy *p, uint64_t now, struct frame *f, struct frame_list *list,
	struct port_stats *st);

// Worker. Whether one more frame may be flooded. Here as in policy_filter a segment counts as the
// frames that it makes on a wire, with their headers.
bool policy_flood(struct policy *p, uint64_t now, const struct frame *f);
