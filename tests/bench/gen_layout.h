// SPDX-License-Identifier: BSD-2-Clause
// Where the generator's fields lie in a frame, and what fills its other lines: for the generator, and for
// the program that sends on an interface (gen_send.bpf.c).
#pragma once

#define GEN_LINE 64u

// The low bytes of the addresses: which of a guest's addresses it is.
#define GEN_OFF_DST_ADDRESS 4u
#define GEN_OFF_SRC_ADDRESS 10u

// The generator's own fields, from `base` of the frame (gen.base): for UDP 0, so that all is within the
// first line; for segments 24, behind a TCP header with timestamps.
#define GEN_OFF_MAGIC 42u // 16 bits
#define GEN_OFF_SRC   44u // 16 bits: the sending guest
#define GEN_OFF_DST   46u // 16 bits: the guest meant, or GEN_EVERYBODY
#define GEN_OFF_SEQ   48u // 64 bits, counted per (src, dst)
#define GEN_OFF_TIME  56u // 64 bits: ticks when written

// Every eight bytes of line k >= 1 are the frame's number times this, plus k.
#define GEN_PATTERN_FACTOR 0x9e3779b97f4a7c15ull
