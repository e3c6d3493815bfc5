// SPDX-License-Identifier: BSD-2-Clause
// The load generator: N guests of a switch, played by one thread on one core.
//
// Every slot of a transmit ring keeps one buffer with a ready frame, and only indexes move
// (vq_driver_repost). A frame is then written in whole cache lines, and read likewise.
#pragma once

#include "tests/bench/clock.h"
#include "tests/bench/gen_layout.h"
#include "tests/bench/histogram.h"
#include "tests/lib/front_guest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GEN_GUESTS_MAX  256u
#define GEN_VERIFY_MAX  16u // guests whose frames can be verified
#define GEN_SIZES_MAX   4u
#define GEN_BATCH_MAX   256u
#define GEN_SLICES      65536u
#define GEN_FRAME_MAX   65535u
#define GEN_ADDRESS_MAX 10000u
#define GEN_GAPS        256u // holes in the sequence that are remembered, to tell late from doubled

enum gen_pattern {
	GEN_PAIRS,     // 0 <-> 1, 2 <-> 3, ...
	GEN_ONEWAY,    // 0 -> 1, 2 -> 3, ...
	GEN_MESH,      // each to all others in turn
	GEN_BROADCAST, // each to ff:ff:ff:ff:ff:ff
};

// How much of a frame a guest touches.
enum gen_touch { GEN_NONE, GEN_HEAD, GEN_FULL };

struct gen_options {
	const char *command;
	const char *sockets[GEN_GUESTS_MAX]; // or iface:NAME
	unsigned n_guests;
	bool listen, huge, verify, latency, kick, tso, floor;
	enum gen_pattern pattern;
	enum gen_touch write, read;
	unsigned window; // frames on their way at most, per guest; 0: no limit
	unsigned ring, batch, min_batch, train, addresses;
	unsigned sizes[GEN_SIZES_MAX], n_sizes; // with IMIX several
	const char *size_name;
	unsigned rx_buf, tx_seg;
	uint64_t features;
	double rate; // frames a second of all guests together; 0: as fast as it goes
	double seconds, warmup;
	unsigned gap_us; // of `first`
	int core, peer_core;
};

#define GEN_MAGIC       0x7ef7u
#define GEN_MAGIC_LEARN 0x7ef8u
#define GEN_EVERYBODY   0xffffu
#define GEN_TSO_BASE    24u

// A cache line, in halves: a vector of all of it would go through the stack where that is wider than the CPU's.
typedef uint64_t gen_half __attribute__((vector_size(32), aligned(32), may_alias));
typedef struct {
	gen_half half[2];
} __attribute__((aligned(64), may_alias)) gen_line;

// Inline by force: these become the instructions of whatever they are used in.
#define GEN_INLINE static inline __attribute__((always_inline))

GEN_INLINE gen_line gen_line_add(gen_line a, gen_line b)
{
	return (gen_line){{a.half[0] + b.half[0], a.half[1] + b.half[1]}};
}

GEN_INLINE gen_line gen_line_or(gen_line a, gen_line b)
{
	return (gen_line){{a.half[0] | b.half[0], a.half[1] | b.half[1]}};
}

// The line will be written: fetches it for that.
GEN_INLINE void gen_fetch_for_write(const void *p)
{
#ifdef __x86_64__
	__asm__ volatile("prefetchw %0" ::"m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

// What one guest sends to another.
struct gen_flow {
	gen_line first[GEN_SIZES_MAX]; // the first line of a frame of each size
	uint64_t seq;                  // of the next frame
	uint32_t address;              // next address of either guest, taken in turn
};

// What one guest expects of another.
struct gen_expect {
	uint64_t next;
	uint32_t n_gaps;
	struct {
		uint64_t from, to; // [from, to)
	} gap[GEN_GAPS];
};

struct gen_stats {
	uint64_t tx_frames, tx_bytes;
	uint64_t rx_frames, rx_bytes;
	uint64_t rx_other;   // not a frame of ours
	uint64_t lost;       // sequence numbers that never came
	uint64_t late;       // came after a later one: out of order
	uint64_t doubled;    // came twice
	uint64_t altered;    // content is not what was sent
	uint64_t bad_header; // virtio-net header is not what it must be
	uint64_t flooded;    // meant for another guest: the switch did not know where it lives
	uint64_t tx_full;    // wanted to send and had no free slot
	uint64_t kicks, kicks_saved;
	uint64_t overrun; // an interface's socket was full: the generator was too slow
};

struct gen_packet;
struct gen_floor;

struct gen_guest {
	// Hot, from here.
	struct vq_driver *tx, *rx;
	uint8_t *tx_frames, *rx_frames; // frame of slot 0; its header is right before it
	uint32_t tx_stride, rx_stride;
	uint16_t mask, me;
	uint8_t tx_touched, rx_touched, sends, mergeable;
	uint8_t *slot_size;  // which of the sizes a slot has
	uint32_t budget;     // frames it may send in this pass
	uint32_t dst, train; // to whom now, for how many more frames
	uint32_t more;       // buffers of the current frame still to come (mergeable)
	uint32_t partial;    // bytes of it so far
	uint64_t sink;       // what reading leaves behind, so that it is not optimised away
	struct gen_stats st;
	// Warm.
	struct gen_flow *flow;     // [n_guests], and [n_guests] for everybody
	struct gen_expect *expect; // [2 * n_guests]: of each guest, to me and to everybody
	uint8_t *gather;           // a frame in several buffers, for verification
	struct front_guest_queue *txq, *rxq;
	struct gen_packet *packet; // instead of a guest: a Linux interface
	uint64_t rx_before;        // frames received before the measured time
	struct front_guest guest;
};

struct gen {
	struct gen_options opt;
	unsigned n, n_sizes, addresses; // addresses per guest
	unsigned batch, base;
	bool many, write_times;
	bool one_line; // no frame is longer
	enum gen_touch write, read;
	bool verify, latency;
	unsigned size[GEN_SIZES_MAX], lines[GEN_SIZES_MAX];
	uint64_t now; // ticks, taken when a burst is seen or written
	double ticks_hz;
	struct histogram hist;
	struct gen_floor *floor;
	// Rates of short slices of the measured time, in Mpps: what it is while nothing disturbs.
	double slice[GEN_SLICES];
	unsigned n_slices;
	uint64_t slice_start, slice_frames, slice_ticks;
	uint64_t busy_ticks, busy_frames, busy_passes; // of passes that received something
	const char *broken;                            // why nothing works any more
	struct gen_guest guest[GEN_GUESTS_MAX];
};

// gen_options.c. Returns 0, or the exit status if the program is to end.
int gen_options_parse(struct gen_options *o, int argc, char **argv);
void gen_help(void);

// gen_setup.c. Connects all guests and fills their rings; a line on stderr and -errno on failure.
int gen_start(struct gen *g);
void gen_stop(struct gen *g);
// Sends one frame from every address, so that a learning switch knows where it lives.
int gen_learn(struct gen *g);

// gen_frame.c: the content of frames.
void gen_make_flow(struct gen *g, unsigned src, unsigned dst);
void gen_fill_slots(struct gen *g, struct gen_guest *w);
// One frame's own fields behind the first line; what gen_pass does in line.
void gen_write_frame(
	struct gen *g, struct gen_guest *w, uint8_t *frame, unsigned size, uint64_t seq);
// Those that do not lie in the first line (segments).
void gen_write_fields(struct gen *g, struct gen_guest *w, uint8_t *frame, uint64_t seq);
// Checks a whole frame and where it stands in its flow.
void gen_verify(struct gen *g, struct gen_guest *w, const uint8_t *frame, uint32_t len);
void gen_verify_header(struct gen *g, struct gen_guest *w, const uint8_t *header);
void gen_forget_sequences(struct gen *g);

// gen_pass.c: one look at every guest: takes and checks what came, sends up to w->budget frames,
// kicks where the switch asks for it. Returns frames received.
uint64_t gen_pass(struct gen *g);
// Takes what comes until nothing came for `quiet_ms`, at most `limit_ms`.
void gen_drain(struct gen *g, unsigned quiet_ms, unsigned limit_ms);
void gen_sum(const struct gen *g, struct gen_stats *sum);

// gen_packet.c: a Linux interface in place of a guest.
int gen_packet_open(struct gen *g, struct gen_guest *w, const char *device);
void gen_packet_close(struct gen_guest *w);
uint64_t gen_packet_rx(struct gen *g, struct gen_guest *w);
void gen_packet_tx(struct gen *g, struct gen_guest *w);

// gen_floor.c: the barest forwarder, on a thread of its own, in place of a switch.
int gen_floor_start(struct gen *g);
void gen_floor_stop(struct gen *g);
double gen_floor_cycles(const struct gen *g); // ticks per frame while it had any

// gen_wake.c: a thread that sleeps until it is woken, in place of a switch. NULL: not to be had.
struct gen_wake;
struct gen_wake *gen_wake_start(int core);
// Wakes it and waits for its answer. False: none within the limit.
bool gen_wake_trip(struct gen_wake *w, uint64_t limit_ns);
void gen_wake_stop(struct gen_wake *w);

// gen_stall.c: watches how long the host takes a core away. NULL: no such core.
struct gen_stall;
struct gen_stall *gen_stall_start(int core);
// The longest time so far, in ms; -1 if that was not to be had (NULL, no right to real-time threads).
double gen_stall_stop(struct gen_stall *s);

// The commands. 0 or 1 for exit().
int gen_load(struct gen *g);  // flood or paced
int gen_ping(struct gen *g);  // ping-pong
int gen_first(struct gen *g); // first frame after idle
int gen_idle(struct gen *g);  // connected, silent

// gen_report.c: one JSON object on stdout.
struct gen_result {
	double seconds;       // measured
	struct gen_stats st;  // of these seconds
	struct gen_stats all; // of everything, warm-up and what arrived afterwards included
	uint64_t
		least_frames; // of the measured seconds: what the receiver with the fewest got; load
	unsigned receivers;
	double rtt_before, rtt_after;
	double cpu_share; // CPU time of the generator over wall time: < 1 when others ran on its core
	uint64_t switches; // how often it was preempted
	double load;       // load average at the start
	double behind;     // paced: most frames a guest was behind its schedule
	double stall_ms
		[2]; // paced: longest time that our core, and the switch's, was away; -1: unknown
	uint64_t trips, trips_lost;
};
void gen_report(const struct gen *g, const struct gen_result *r);
double gen_rtt(const struct gen *g);
double gen_others(void);
uint64_t gen_switches(void);
