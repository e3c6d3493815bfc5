// SPDX-License-Identifier: BSD-2-Clause
// Counters of a port: one set per worker with one writer, summed by whoever reads.
#pragma once

#include <stdint.h>

// Why a frame was not delivered, with the line that explains it to an operator.
// X(name, explanation, what to do about it)
#define DROP_REASONS(X)                                                                           \
	X(ring_full, "the receiver's ring had no free buffers",                                   \
		"is the receiver's interface up? then it is slower than its senders: larger "     \
		"rings, more queues or rate limits")                                              \
	X(no_buffer, "the port had no free transmit buffers",                                     \
		"the device sends slower than it is fed: check its link and queue count")         \
	X(malformed, "a descriptor chain or header broke the rules",                              \
		"look for a broken driver in the sending guest")                                  \
	X(bad_address, "a buffer lies outside the guest's memory",                                \
		"look for a broken driver in the guest")                                          \
	X(too_short, "shorter than an Ethernet header", "look for a broken driver in the sender") \
	X(too_long, "longer than the receiver takes", "set the same MTU on both sides")           \
	X(vlan, "the VLAN is not allowed on the port", "check vlan: of both ports")               \
	X(spoofed, "a source address that the port may not use", "check policy of the port")      \
	X(isolated, "both ports are isolated from each other", "check isolated: of both ports")   \
	X(rate, "above the port's rate limit", "raise rate: of the port if this is unwanted")     \
	X(storm, "above the port's limit of flooded frames", "look for a loop, or raise storm:")  \
	X(hairpin, "the destination is the port it came from", "harmless: another host answered") \
	X(reserved, "a link-local address that ends at a bridge",                                 \
		"harmless: LLDP, spanning tree or pause frames")                                  \
	X(port_down, "the receiving port has no guest or no link", "start the guest or the link") \
	X(no_offload, "offload work that could not be completed",                                 \
		"look for a broken driver in the sender")

enum drop_reason {
#define X(name, what, todo) DROP_##name,
	DROP_REASONS(X)
#undef X
		N_DROP_REASONS
};

// Written by one worker with plain stores, read by control; each field is one aligned 64-bit word.
struct port_stats {
	uint64_t rx_frames, rx_bytes; // from the guest or device into the switch
	uint64_t tx_frames, tx_bytes; // from the switch into the guest or device
	uint64_t drop[N_DROP_REASONS];
	uint64_t notified;   // notifications sent to the guest, or system calls to the device
	uint64_t suppressed; // notifications that EVENT_IDX or flags saved
	uint64_t kicks;      // wake-ups received
	uint64_t rx_bursts, tx_bursts;
	uint64_t copied;    // bytes of payload and header copied into the receiver
	uint64_t waited_ns; // in which frames from the port waited for room at their destination
	uint64_t cpu_ns;    // time spent on what came from the port, see worker.h
} __attribute__((aligned(64)));

const char *drop_reason_name(enum drop_reason r);
const char *drop_reason_text(enum drop_reason r);
const char *drop_reason_remedy(enum drop_reason r);

// sum += s, field by field. Any thread.
void port_stats_add(struct port_stats *sum, const struct port_stats *s);
